"""Sliding windows over images [N, H, W, C]: what convolutions and pools read, and put back.

Everything here is made of PAD, SLICE, SPLIT, CONCATENATION, RESHAPE and ADD, so it runs on every
TFLite runtime; shapes are static and PAD stays 4-D.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import tensorflow as tf

from .refusal import Refusal

ROWS, COLUMNS, CHANNELS = 1, 2, 3


@dataclass(frozen=True)
class Axis:
    """``count`` windows along a side of ``size`` cells, behind ``before`` cells of padding."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    count: int

    @property
    def reach(self) -> int:
        """Cells from the first to the last cell of a window, both included."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def length(self) -> int:
        """Cells from the first to the last that any window covers, in whole strides."""
        covered = (self.count - 1) * self.stride + self.reach
        return -(-covered // self.stride) * self.stride


@dataclass(frozen=True)
class Windows:
    """The windows of an op over a whole image."""

    rows: Axis
    columns: Axis


def windows_of(
    op: tf.Operation, *, image: Sequence[int], output: Sequence[int], kernel: Sequence[int]
) -> Windows:
    """Reads strides, dilations and padding off a convolution or pooling op.

    ``image`` and ``output`` are the static shapes [N, H, W, C] of the forward op, ``kernel`` its
    window [rows, columns]. Raises Refusal for what is not supported.
    """
    attributes = op.node_def.attr
    if attributes["data_format"].s not in (b"", b"NHWC"):
        raise Refusal("its channels come first", advice="use data_format='channels_last'")
    return Windows(
        *(_axis(attributes, side, image[side], output[side], kernel[side - 1]) for side in (1, 2))
    )


def _axis(attributes: Mapping[str, Any], side: int, size: int, count: int, kernel: int) -> Axis:
    stride = attributes["strides"].list.i[side]
    dilations = attributes["dilations"].list.i
    dilation = dilations[side] if dilations else 1
    if stride > 1 and dilation > 1:
        raise Refusal("strides and dilation are both above 1", advice="use one of them")
    missing = max(0, (count - 1) * stride + (kernel - 1) * dilation + 1 - size)
    before = missing // 2 if attributes["padding"].s == b"SAME" else 0
    if attributes["padding"].s == b"EXPLICIT":
        before = attributes["explicit_paddings"].list.i[2 * side]
    return Axis(size, kernel, stride, dilation, before, count)


def cells(image: tf.Tensor, windows: Windows, *, fill: float) -> Iterator[tf.Tensor]:
    """The cell each window has at every offset, row-major as TF's kernels go; each [N, H', W', C].

    ``fill`` stands where a window leaves the image.
    """
    for row in _taken(image, windows.rows, ROWS, fill):
        yield from _taken(row, windows.columns, COLUMNS, fill)


def gather(image: tf.Tensor, windows: Windows) -> tf.Tensor:
    """All cells of each window side by side: [N, H', W', kernel rows * kernel columns * C]."""
    wide = _joined(_taken(image, windows.columns, COLUMNS, 0.0))
    return _joined(_taken(wide, windows.rows, ROWS, 0.0))


def lines(by_cell: Sequence[tf.Tensor], windows: Windows) -> list[tf.Tensor]:
    """What ``cells`` gave one by one, as the lines that ``scatter`` takes."""
    width = windows.columns.kernel
    return [_joined(by_cell[at : at + width]) for at in range(0, len(by_cell), width)]


def scatter(lines: Sequence[tf.Tensor], windows: Windows) -> tf.Tensor:
    """Adds the cells of all windows back to where ``gather`` took them; its transpose.

    ``lines[i]`` holds row i of every window: [N, H', W', kernel columns * C].
    """
    columns = windows.columns
    tall = _scatter_axis(lines, windows.rows, ROWS)
    return _scatter_axis(_parts(tall, columns.kernel), columns, COLUMNS)


def _taken(image: tf.Tensor, axis: Axis, side: int, fill: float) -> list[tf.Tensor]:
    """One image per offset along a side: its cell of every window.

    TFLite copies strided slices value by value, so the side is split into its phases first.
    """
    kept = min(axis.size, axis.length - axis.before)
    inside = _cut(image, side, 0, kept)
    whole = _pad(inside, side, axis.before, axis.length - axis.before - kept, fill)
    phases = _phases(whole, axis.stride, side)
    taken = []
    for offset in range(axis.kernel):
        shift, phase = divmod(offset * axis.dilation, axis.stride)
        taken.append(_cut(phases[phase], side, shift, axis.count))
    return taken


def _scatter_axis(parts: Sequence[tf.Tensor], axis: Axis, side: int) -> tf.Tensor:
    """Adds parts one dilation apart; ``stride`` neighbours never overlap, so they interleave."""
    length = max(axis.length, axis.before + axis.size)
    shifted = []
    for first in range(0, len(parts), axis.stride):
        group = _interleaved(parts[first : first + axis.stride], axis.stride, side)
        start = first * axis.dilation
        shifted.append(_pad(group, side, start, length - start - group.shape[side], 0.0))
    return _cut(reduce(tf.add, shifted), side, axis.before, axis.size)


def _phases(image: tf.Tensor, count: int, side: int) -> list[tf.Tensor]:
    """Every ``count``-th cell along a side, from each start; undoes ``_interleaved``."""
    if count == 1:
        return [image]
    batch, height, width, channels = image.shape
    if side == COLUMNS:
        return _parts(tf.reshape(image, (batch, height, width // count, count * channels)), count)
    flat = tf.reshape(image, (batch, height // count, count * width * channels))
    shape = (batch, height // count, width, channels)
    return [tf.reshape(part, shape) for part in tf.split(flat, count, axis=2)]


def _interleaved(parts: Sequence[tf.Tensor], count: int, side: int) -> tf.Tensor:
    """Zips equal images along a side: the first cell of each, then the second of each …

    Where there are fewer than ``count``, zeros stand for the others; padded, for the converter
    would store zeros that are joined.
    """
    if count == 1:
        return parts[0]
    batch, height, width, channels = parts[0].shape
    missing = count - len(parts)
    if side == COLUMNS:
        joined = _pad(_joined(parts), CHANNELS, 0, missing * channels, 0.0)
        return tf.reshape(joined, (batch, height, width * count, channels))
    shape = (batch, height, 1, width * channels)
    joined = _joined([tf.reshape(part, shape) for part in parts])
    joined = _pad(joined, CHANNELS, 0, missing * width * channels, 0.0)
    return tf.reshape(joined, (batch, height * count, width, channels))


def _pad(image: tf.Tensor, side: int, before: int, after: int, fill: float) -> tf.Tensor:
    amounts = [(0, 0)] * 4
    amounts[side] = (before, after)
    return tf.pad(image, amounts, constant_values=fill) if before or after else image


def _cut(image: tf.Tensor, side: int, start: int, size: int) -> tf.Tensor:
    if (start, size) == (0, image.shape[side]):
        return image
    begin, shape = [0, 0, 0, 0], image.shape.as_list()
    begin[side], shape[side] = start, size
    return tf.slice(image, begin, shape)


def _joined(parts: Sequence[tf.Tensor]) -> tf.Tensor:
    return parts[0] if len(parts) == 1 else tf.concat(parts, axis=CHANNELS)


def _parts(image: tf.Tensor, count: int) -> list[tf.Tensor]:
    return [image] if count == 1 else tf.split(image, count, axis=CHANNELS)
