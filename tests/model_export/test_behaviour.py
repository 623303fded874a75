"""The checks of a running model: each notices the fault it is there for, and only faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from pocketfed.model_export.proving.behaviour import GROUPS, Trial
from pocketfed.model_export.proving.golden import Golden
from pocketfed.protocol.artifact import GOLDEN, Artifact
from pocketfed.runtime import Array, CompiledRuntime, Model, Runtime

Inputs = Mapping[str, npt.ArrayLike]


@pytest.fixture
def trial(dense: Artifact) -> Trial:
    """The dense model on an Interpreter."""
    golden = Golden.from_bytes(dense.bytes_of(GOLDEN))
    return Trial(dense.model, dense.manifest, dense.checkpoint.vector, golden, Runtime)


def seeded(trial: Trial) -> Trial:
    """As if its steps drew random numbers."""
    return replace(trial, golden=replace(trial.golden, seed=np.zeros(10, np.int32)))


def failed(trial: Trial) -> set[str]:
    return {check.name for group in GROUPS for check in group(trial) if not check.passed}


@pytest.mark.parametrize("runtime", [Runtime, CompiledRuntime])
def test_a_sound_model_passes(trial: Trial, runtime: type[Model]) -> None:
    assert failed(replace(trial, runtime=runtime)) == set()


class Rounding(Runtime):
    """Gives weights of half precision."""

    @property
    def weights(self) -> Array:
        return super().weights.astype(np.float16).astype(np.float32)

    @weights.setter
    def weights(self, vector: Array) -> None:
        self.call("set_weights", {"weights": vector})


class Untrained(Runtime):
    """Trains, and then forgets it."""

    def train(self, inputs: Inputs) -> float:
        before = self.weights
        loss = super().train(inputs)
        self.weights = before
        return loss


class Split(Runtime):
    """Evaluates the weights it was given, not those it has trained."""

    def __init__(self, model: bytes, *, num_threads: int = 1) -> None:
        super().__init__(model, num_threads=num_threads)
        self._other = Runtime(model)

    def call(self, signature: str, inputs: Inputs) -> dict[str, Array]:
        if signature == "evaluate":
            return self._other.call(signature, inputs)
        if signature == "set_weights":
            self._other.call(signature, inputs)
        return super().call(signature, inputs)


class Racing(Runtime):
    """Takes another step when it has several threads."""

    def __init__(self, model: bytes, *, num_threads: int = 1) -> None:
        super().__init__(model, num_threads=num_threads)
        self._rate = np.float32(num_threads)

    def train(self, inputs: Inputs) -> float:
        return super().train(
            {**inputs, "learning_rate": np.multiply(inputs["learning_rate"], self._rate)}
        )


class Greedy(Runtime):
    """Takes padding for examples."""

    def train(self, inputs: Inputs) -> float:
        return super().train({**inputs, "weight": np.ones_like(inputs["weight"])})


class Dividing(Runtime):
    """Divides by the number of examples, none though there may be."""

    def train(self, inputs: Inputs) -> float:
        loss = super().train(inputs)
        return loss if np.any(inputs["weight"]) else float("nan")


class Elephant(Runtime):
    """Takes each step more slowly than the last, whatever it is told to forget."""

    def __init__(self, model: bytes, *, num_threads: int = 1) -> None:
        super().__init__(model, num_threads=num_threads)
        self._steps = 0

    def train(self, inputs: Inputs) -> float:
        self._steps += 1
        rate = np.divide(inputs["learning_rate"], np.float32(self._steps))
        return super().train({**inputs, "learning_rate": rate})


class Goldfish(Elephant):
    """Forgets its steps whenever it is given weights."""

    @property
    def weights(self) -> Array:
        return super().weights

    @weights.setter
    def weights(self, vector: Array) -> None:
        self._steps = 0
        self.call("set_weights", {"weights": vector})


class Deaf(Runtime):
    """Does not hear the seed."""

    def train(self, inputs: Inputs) -> float:
        return super().train({name: array for name, array in inputs.items() if name != "seed"})


@pytest.mark.parametrize(
    ("runtime", "row"),
    [
        (Rounding, "first weights unlike the checkpoint"),
        (Rounding, "weights changed by set and get"),
        (Untrained, "train steps that get_weights does not see"),
        (Untrained, "weights after 1 step"),
        (Split, "sums that evaluate gets from other weights"),
        (Racing, "weights changed by 2 threads"),
        (Racing, "weights changed by 4 threads"),
        (Greedy, "weights changed by padded examples"),
        (Greedy, "weights changed by an empty batch"),
        (Dividing, "loss of an empty batch"),
        (Elephant, "weights that reset_optimizer does not repeat"),
        (Elephant, "later steps changed by an empty batch"),
        (Goldfish, "later steps changed by get and set"),
    ],
)
def test_a_fault_fails_the_check_that_is_there_for_it(
    runtime: type[Model], row: str, trial: Trial
) -> None:
    assert row in failed(replace(trial, runtime=runtime))


def test_a_model_that_does_not_hear_the_seed_fails(trial: Trial) -> None:
    assert failed(seeded(replace(trial, runtime=Deaf))) == {"steps that no other seed changes"}
