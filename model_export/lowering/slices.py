"""The gradient of a strided slice: values go back to where they were taken, zeros elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from .refusal import Refusal
from .rewrite import Lowering

MOST_PADDED_SIDES = 5
Bounds = Sequence[int]


def strided_slice_grad(
    op: tf.Operation,
    shape: tf.Tensor,
    begin: tf.Tensor,
    end: tf.Tensor,
    strides: tf.Tensor,
    gradient: tf.Tensor,
) -> tf.Tensor:
    sides, *bounds = (_constant(tensor) for tensor in (shape, begin, end, strides))
    taken = list(_taken(op, sides, *bounds))
    block = tf.reshape(gradient, [len(cells) for cells in taken])
    if len(sides) <= MOST_PADDED_SIDES and all(cells.step == 1 for cells in taken):
        return _padded(block, sides, taken)
    for side, cells in enumerate(taken):
        block = _spread(block, side, sides[side], cells)
    return block


def _constant(tensor: tf.Tensor) -> list[int]:
    value = tf.get_static_value(tensor)
    if value is None:
        raise Refusal("its bounds are computed", advice="slice with constant bounds")
    return [int(number) for number in value]


def _taken(
    op: tf.Operation, sides: Bounds, begin: Bounds, end: Bounds, strides: Bounds
) -> Iterator[range]:
    """The cells that were taken of every side of the input; masks as in ``tf.strided_slice``."""
    named = _named_sides(op, len(begin), len(sides))
    for side, size in enumerate(sides):
        at = named.get(side)
        if at is None:
            yield range(size)
        elif _has_bit(op, "shrink_axis_mask", at):
            start = begin[at] % size
            yield range(start, start + 1)
        else:
            first = None if _has_bit(op, "begin_mask", at) else begin[at]
            last = None if _has_bit(op, "end_mask", at) else end[at]
            yield range(size)[first : last : strides[at]]


def _named_sides(op: tf.Operation, bounds: int, rank: int) -> dict[int, int]:
    """Sides of the input by the place of their bounds; the ellipsis leaves some without."""
    places, side = {}, 0
    for at in range(bounds):
        if _has_bit(op, "ellipsis_mask", at):
            after = [i for i in range(at + 1, bounds) if not _has_bit(op, "new_axis_mask", i)]
            side = rank - len(after)
        elif not _has_bit(op, "new_axis_mask", at):
            places[side] = at
            side += 1
    return places


def _has_bit(op: tf.Operation, mask: str, at: int) -> bool:
    return bool(op.get_attr(mask) >> at & 1)


def _padded(block: tf.Tensor, sides: Bounds, taken: Sequence[range]) -> tf.Tensor:
    amounts = [
        (cells.start, size - cells.start - len(cells))
        for size, cells in zip(sides, taken, strict=True)
    ]
    return tf.pad(block, amounts) if any(map(any, amounts)) else block


def _spread(block: tf.Tensor, side: int, size: int, cells: range) -> tf.Tensor:
    """Puts one side of ``block`` back; folded to 3-D, because PAD takes five sides at most."""
    if cells == range(size):
        return block
    shape = block.shape.as_list()
    outer, inner = math.prod(shape[:side]), math.prod(shape[side + 1 :])
    block = tf.reshape(block, (outer, len(cells), inner))
    if cells.step < 0:
        block, cells = tf.reverse(block, [1]), cells[::-1]
    block = _dilated(block, cells.step)
    room = size - cells.start
    block = block[:, :room]
    block = tf.pad(block, [(0, 0), (cells.start, room - block.shape[1]), (0, 0)])
    return tf.reshape(block, (*shape[:side], size, *shape[side + 1 :]))


def _dilated(block: tf.Tensor, step: int) -> tf.Tensor:
    """Follows every cell of the middle side by ``step - 1`` zeros."""
    if step == 1:
        return block
    outer, count, inner = block.shape
    apart = tf.reshape(block, (outer, count, 1, inner))
    spread = tf.pad(apart, [(0, 0), (0, 0), (0, step - 1), (0, 0)])
    return tf.reshape(spread, (outer, count * step, inner))


LOWERINGS: Mapping[str, Lowering] = {"StridedSliceGrad": strided_slice_grad}
