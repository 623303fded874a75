"""How an exported model must behave on a runtime, one group of checks per property.

A group opens models of its own, so none feels what another did, and knows nothing of the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np

from ...protocol.artifact import Manifest, Tolerances
from ...protocol.weights import Vector
from ...runtime import Model
from .check import Array, Check, differing, parity
from .golden import STEPS, Arrays, Golden

THREADS = (2, 4)
# What a sum over a whole layer rounds to; weights are compared as the manifest says.
RESULT_ATOL, NO_SLACK = 1e-5, np.zeros(())
# A layer that drops little of a small batch often drops the same.
MOST_SEEDS = 1000


@dataclass(frozen=True, eq=False)
class Trial:
    """A model on trial: its bytes, what is said of it, and the runtime it is to run on."""

    model: bytes
    manifest: Manifest
    checkpoint: Vector
    golden: Golden
    runtime: type[Model]

    def open(self, *, num_threads: int = 1) -> Model:
        return self.runtime(self.model, num_threads=num_threads)

    def weights_after(self, steps: Sequence[Mapping[str, Array]], *, num_threads: int = 1) -> Array:
        """What the first weights of a model that was just opened become."""
        return _stepped(self.open(num_threads=num_threads), steps)


def _signature_checks(trial: Trial) -> Iterator[Check]:
    declared = {
        name: {
            "inputs": sorted(tensor.name for tensor in signature.inputs),
            "outputs": sorted(tensor.name for tensor in signature.outputs),
        }
        for name, signature in trial.manifest.signatures.items()
    }
    found = {
        name: {side: sorted(names) for side, names in sides.items()}
        for name, sides in trial.open().signatures().items()
    }
    wrong = [name for name in declared.keys() | found if declared.get(name) != found.get(name)]
    yield Check("signatures the manifest misdescribes", len(wrong))


def _weight_checks(trial: Trial) -> Iterator[Check]:
    model = trial.open()
    yield Check("first weights unlike the checkpoint", differing(model.weights, trial.checkpoint))
    drawn = np.random.default_rng(0).normal(size=trial.checkpoint.size).astype(np.float32)
    model.weights = drawn
    yield Check("weights changed by set and get", differing(model.weights, drawn))


def _parity_checks(trial: Trial) -> Iterator[Check]:
    """Against Keras: weights after one and after ten steps, every loss, then an evaluation."""
    golden = trial.golden
    of_results = msgspec.structs.replace(trial.manifest.tolerances, atol=RESULT_ATOL)
    model = trial.open()
    model.weights = trial.checkpoint
    losses = [model.train(golden.step(0))]
    yield _weight_parity(trial, "weights after 1 step", "weights_after_1", model.weights)
    losses += [model.train(golden.step(index)) for index in range(1, STEPS)]
    yield _weight_parity(trial, "weights after 10 steps", "weights_after_10", model.weights)
    near = partial(_near, golden.slack, of_results)
    yield near("loss", "losses of 10 steps", np.array(losses), golden.loss)
    model.weights = golden.weights_after_10
    sums = model.call("evaluate", golden.evaluation)
    for name, wanted in golden.evaluate_sums.items():
        yield near(name, f"{name} of an evaluation", sums.get(name), wanted)
    outputs = model.call("infer", golden.evaluate_x)
    for name, wanted in golden.outputs.items():
        yield near(name, f"{name} of an inference", outputs.get(name), wanted)


def _near(
    slack: Arrays, tolerances: Tolerances, role: str, row: str, got: Array | None, wanted: Array
) -> Check:
    allowed = slack.get(role, NO_SLACK)
    return parity(row, got, wanted=wanted, tolerances=tolerances, slack=allowed)


def _weight_parity(trial: Trial, row: str, role: str, weights: Array) -> Check:
    return parity(
        row,
        weights,
        wanted=getattr(trial.golden, role),
        tolerances=trial.manifest.tolerances,
        slack=trial.golden.slack_of(role, trial.manifest.spec),
    )


def _sharing_checks(trial: Trial) -> Iterator[Check]:
    """Signatures must work on one set of weights: trained here, evaluated there."""
    trained, fresh = trial.open(), trial.open()
    trained.train(trial.golden.step(0))
    moved = differing(trained.weights, trial.checkpoint)
    yield Check("train steps that get_weights does not see", int(moved == 0))
    fresh.weights = trained.weights
    sums = [model.call("evaluate", trial.golden.evaluation) for model in (trained, fresh)]
    yield Check(
        "sums that evaluate gets from other weights",
        sum(differing(sums[0][name], sums[1][name]) for name in sums[0]),
    )


def _thread_checks(trial: Trial) -> Iterator[Check]:
    steps = [trial.golden.step(index) for index in range(2)]
    alone = trial.weights_after(steps)
    for num_threads in THREADS:
        together = trial.weights_after(steps, num_threads=num_threads)
        yield Check(f"weights changed by {num_threads} threads", differing(together, alone))


def _padding_checks(trial: Trial) -> Iterator[Check]:
    """What stands in a padded row must not matter, and a batch of padding must do nothing."""
    golden, inputs = trial.golden, trial.golden.step(0)
    padded = {**inputs, "weight": inputs["weight"] * (np.arange(len(inputs["weight"])) == 0)}
    blank = {**padded, **{name: _first_only(inputs[name]) for name in (*golden.x, *golden.y)}}
    changed = differing(trial.weights_after([padded]), trial.weights_after([blank]))
    yield Check("weights changed by padded examples", changed)
    model = trial.open()
    loss = model.train({**inputs, "weight": np.zeros_like(inputs["weight"])})
    moved = differing(model.weights, trial.checkpoint)
    yield Check("weights changed by an empty batch", moved)
    yield Check("loss of an empty batch", loss if np.isfinite(loss) else np.inf)


def _memory_checks(trial: Trial) -> Iterator[Check]:
    """What the optimizer remembers: a reset forgets it; padding, get and set leave it alone."""
    steps = [trial.golden.step(index) for index in range(3)]
    padding = {**steps[1], "weight": np.zeros_like(steps[1]["weight"])}
    wanted = trial.weights_after(steps)
    model = trial.open()
    _stepped(model, steps[::-1])
    again = _repeated(trial, model, steps)
    yield Check("weights that reset_optimizer does not repeat", differing(again, wanted))
    paused = trial.weights_after([steps[0], padding, *steps[1:]])
    yield Check("later steps changed by an empty batch", differing(paused, wanted))
    if not trial.manifest.proximal:
        model = trial.open()
        model.weights = _stepped(model, steps[:1])
        resumed = _stepped(model, steps[1:])
        yield Check("later steps changed by get and set", differing(resumed, wanted))


def _seed_checks(trial: Trial) -> Iterator[Check]:
    """Random numbers must come from the seed; that the same one repeats a step is checked above."""
    if not trial.golden.is_random:
        return
    model, inputs = trial.open(), trial.golden.step(0)
    wanted = _stepped(model, [inputs])
    is_changed = any(
        differing(_repeated(trial, model, [{**inputs, "seed": inputs["seed"] ^ bits}]), wanted)
        for bits in np.arange(1, MOST_SEEDS, dtype=np.int32)
    )
    yield Check("steps that no other seed changes", int(not is_changed))


GROUPS: tuple[Callable[[Trial], Iterator[Check]], ...] = (
    _signature_checks,
    _weight_checks,
    _parity_checks,
    _sharing_checks,
    _thread_checks,
    _padding_checks,
    _memory_checks,
    _seed_checks,
)


def _first_only(batch: Array) -> Array:
    """The batch with zeros in place of all examples but the first."""
    alone = np.zeros_like(batch)
    alone[0] = batch[0]
    return alone


def _repeated(trial: Trial, model: Model, steps: Sequence[Mapping[str, Array]]) -> Array:
    """The weights after some steps from the checkpoint, whatever the model did before."""
    model.reset_optimizer()
    model.weights = trial.checkpoint
    return _stepped(model, steps)


def _stepped(model: Model, steps: Sequence[Mapping[str, Array]]) -> Array:
    for inputs in steps:
        model.train(inputs)
    return model.weights
