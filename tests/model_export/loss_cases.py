"""The losses and options that are exported, each trained on the phone beside Keras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

layers = keras.layers
Options = dict[str, Any]
LOGITS: Options = {"from_logits": True}
SMOOTHED: Options = {"label_smoothing": 0.1}
BOTH: Options = {**LOGITS, **SMOOTHED}
OUTPUTS, SEQUENCE = 3, (6, 4)


class LossCase(NamedTuple):
    """A loss with its options, on outputs that ``activation`` brings into its range."""

    loss: str
    labels: str
    options: Options
    activation: str = "linear"
    shape: tuple[int, ...] = (6,)

    def __str__(self) -> str:
        return f"{self.loss}({self.shown}) {self.labels}"

    @property
    def shown(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items())

    def build(self) -> keras.Model:
        """Three outputs, one set of them per time step for a sequence."""
        parts = [layers.Dense(4, "tanh"), layers.Dense(OUTPUTS, self.activation)]
        return keras.Sequential([keras.Input(self.shape), *parts])


def on(loss: str, labels: str, *variants: Options, **always: Any) -> Iterator[LossCase]:
    """One case for each variant of a loss on such labels."""
    for options in variants:
        yield LossCase(loss, labels, options, **always)


LOSSES: tuple[LossCase, ...] = (
    *on("sparse_categorical_crossentropy", "class numbers", {}, activation="softmax"),
    *on("sparse_categorical_crossentropy", "class numbers", LOGITS),
    *on("sparse_categorical_crossentropy", "one per time step", LOGITS, shape=SEQUENCE),
    *on("categorical_crossentropy", "one-hot", {}, SMOOTHED, activation="softmax"),
    *on("categorical_crossentropy", "one-hot", LOGITS, BOTH),
    *on("binary_crossentropy", "0 or 1 for each output", {}, SMOOTHED, activation="sigmoid"),
    *on("binary_crossentropy", "0 or 1 for each output", LOGITS, BOTH),
    *on("mean_squared_error", "numbers", {}),
    *on("mean_absolute_error", "numbers", {}),
    *on("huber", "numbers", {}, {"delta": 0.5}),
)
