"""Beginnings: what the paper leaves open of a model, first weights and the scale of its pixels.

The zoo's models begin with Glorot-uniform weights, zero biases and pixels in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..protocol.artifact import Artifact, InputScale

# Weights of one variable of this shape, for a layer with so many inputs.
Draw = Callable[[np.random.Generator, tuple[int, ...], int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """Where a model of dense layers begins otherwise; what is None is as in the zoo.

    ``kernels`` and ``biases`` draw the weights of each layer.
    """

    kernels: Draw | None = None
    biases: Draw | None = None
    input_scale: InputScale | None = None

    def export(
        self, name: str, *, out: Path, batch_size: int, evaluate_batch_size: int, seed: int
    ) -> Artifact:
        """Exports a model of the zoo with this beginning."""
        from ..model_export import ZOO, export

        entry = ZOO[name]
        model = entry.build(seed)
        self._redraw(model.layers, np.random.default_rng(seed))
        return export(
            model,
            out=out,
            loss=entry.loss(),
            batch_size=batch_size,
            evaluate_batch_size=evaluate_batch_size,
            labels=entry.labels,
            input_scale=self.input_scale or entry.input_scale,
            graph=True,
            seed=seed,
        )

    def _redraw(self, layers: Sequence[Any], rng: np.random.Generator) -> None:
        for layer in layers:
            for place, variable in enumerate(layer.trainable_variables):
                draw = self.biases if place else self.kernels
                fan_in = layer.trainable_variables[0].shape[0]
                if draw is not None:
                    variable.assign(draw(rng, tuple(variable.shape), fan_in))


def _normal(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    return rng.normal(0.0, 0.1, shape)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    return rng.uniform(-0.05, 0.05, shape)


def _by_fan_in(rng: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> np.ndarray:
    end = fan_in**-0.5
    return rng.uniform(-end, end, shape)


# The usual first weights of 2015 and 2016, by what the page calls them.
WEIGHTS: Mapping[str, Beginning] = {
    "normal": Beginning(kernels=_normal),
    "uniform": Beginning(kernels=_uniform),
    "fan-in": Beginning(kernels=_by_fan_in, biases=_by_fan_in),
}
MEANINGS = {
    "normal": "normal, deviation 0.1",
    "uniform": "uniform in [-0.05, 0.05]",
    "fan-in": "uniform within 1 / sqrt(inputs), biases too",
}
CENTRED = Beginning(input_scale=InputScale(offset=127.5, scale=1 / 127.5))
