"""Random ops, drawn from an input: the same seed takes the same step, wherever and whenever.

Elsewhere than in a step that has such an input they are refused, since a phone's own random ops
keep a state that nobody can repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import tensorflow as tf

from .generator import normal, uniform
from .refusal import Refusal
from .rewrite import CALLS, Lowering, lowered, needed

MOST_CHOICES = 2**24
Source = Callable[..., tf.Tensor]
Drawn = Callable[..., tf.Tensor]


def is_random(graph: Any) -> bool:
    """Whether a traced graph draws random numbers."""
    return any(
        op.type in DRAWS
        or (op.type in CALLS and is_random(op.graph._get_function(op.get_attr("f").name).graph))
        for op in needed(graph)
    )


def seeded(
    traced: Any, table: Mapping[str, Lowering], *, captured: Sequence[tf.Tensor] | None = None
) -> Callable[..., Any]:
    """As ``lowered``; the function takes a seed, a scalar int32, behind the inputs of ``traced``.

    Draws are numbered in the order in which they were traced.
    """

    def emit(*inputs: tf.Tensor) -> Any:
        *others, seed = inputs
        numbers = count()
        drawing = {
            op_type: partial(draw, partial(_drawn, seed, numbers))
            for op_type, draw in DRAWS.items()
        }
        numbered: Mapping[str, Lowering] = {**table, **LOWERINGS, **drawing}
        return lowered(traced, numbered, captured=captured)(*others)

    return emit


def _drawn(
    seed: tf.Tensor, numbers: Iterator[int], source: Source, rows: int | tf.Tensor, columns: int
) -> tf.Tensor:
    return source(seed, draw=next(numbers), rows=rows, columns=columns)


def draw_uniform(drawn: Drawn, op: tf.Operation, shape: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return _filled(partial(drawn, uniform), op, shape)


def draw_normal(drawn: Drawn, op: tf.Operation, shape: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
    return _filled(partial(drawn, normal), op, shape)


def draw_integer(drawn: Drawn, op: tf.Operation, shape: tf.Tensor, *others: tf.Tensor) -> tf.Tensor:
    """The bounds are the last two inputs, the lower one included and the upper one not."""
    lowest, end = (tf.get_static_value(bound) for bound in others[-2:])
    if lowest is None or end is None or end - lowest > MOST_CHOICES:
        raise Refusal(
            "its bounds are computed or too far apart",
            advice=f"draw from at most {MOST_CHOICES} integers with constant bounds",
        )
    numbers = _filled(partial(drawn, uniform), op, shape)
    return tf.cast(numbers * float(end - lowest), op.outputs[0].dtype) + lowest


def draw_category(
    drawn: Drawn, op: tf.Operation, logits: tf.Tensor, count_: tf.Tensor, *_: tf.Tensor
) -> tf.Tensor:
    """The largest logit once each has Gumbel noise added (Gumbel 1954)."""
    samples, classes = tf.get_static_value(count_), logits.shape[1]
    if samples is None or classes is None:
        raise Refusal("its sizes are computed", advice="draw a constant number of categories")
    rows = logits.shape[0] or tf.shape(logits)[0]
    numbers = drawn(uniform, rows, samples * classes)
    noise = -tf.math.log(-tf.math.log(tf.reshape(numbers, (-1, samples, classes))))
    return tf.argmax(logits[:, None] + noise, 2, op.outputs[0].dtype)


def _filled(drawn: Drawn, op: tf.Operation, shape: tf.Tensor) -> tf.Tensor:
    """Numbers in the op's shape; only its first side may be open."""
    sides = op.outputs[0].shape
    if op.outputs[0].dtype not in (tf.float32, tf.int32, tf.int64):
        raise Refusal(f"it draws {op.outputs[0].dtype.name}", advice="draw float32 or int32")
    if sides.rank is None or not sides[1:].is_fully_defined():
        raise Refusal("its shape is computed", advice="let the first side be the examples")
    if not sides.rank:
        return tf.reshape(drawn(1, 1), ())
    numbers = drawn(shape[0] if sides[0] is None else sides[0], sides[1:].num_elements())
    return tf.reshape(numbers, shape if sides[0] is None else sides)


def unused(op: tf.Operation, *_: tf.Tensor) -> list[tf.Tensor]:
    """What TensorFlow's generators would be keyed with."""
    return [tf.zeros(output.shape, output.dtype) for output in op.outputs]


def refuse_place(_: tf.Operation, *inputs: tf.Tensor) -> tf.Tensor:
    raise Refusal(
        "it draws random numbers outside a training step",
        advice="draw them only where training is true",
    )


def refuse_kind(_: tf.Operation, *inputs: tf.Tensor) -> tf.Tensor:
    raise Refusal(
        "numbers of this kind have no lowering",
        advice="draw uniform, normal, integer or categorical ones",
    )


DRAWS: Mapping[str, Callable[..., tf.Tensor]] = {
    "StatelessRandomUniformV2": draw_uniform,
    "StatelessRandomNormalV2": draw_normal,
    "StatelessRandomUniformIntV2": draw_integer,
    "StatelessMultinomial": draw_category,
    "RandomUniform": draw_uniform,
    "RandomStandardNormal": draw_normal,
    "RandomUniformInt": draw_integer,
    "Multinomial": draw_category,
}
UNKNOWN = (
    "RandomGammaV2",
    "RandomPoissonV2",
    "RandomShuffle",
    "StatelessParameterizedTruncatedNormal",
    "StatelessRandomBinomial",
    "StatelessRandomGammaV3",
    "StatelessRandomPoisson",
    "StatelessRandomUniformFullIntV2",
    "StatelessShuffle",
    "StatelessTruncatedNormalV2",
    "TruncatedNormal",
)
LOWERINGS: Mapping[str, Lowering] = {
    **dict.fromkeys(DRAWS, refuse_place),
    **dict.fromkeys(UNKNOWN, refuse_kind),
    "StatelessRandomGetKeyCounter": unused,
}
