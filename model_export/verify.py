"""Runs an artifact on the phone's runtime and compares it with what Keras did at export.

Needs the artifact and LiteRT, not TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from ..protocol.artifact import GOLDEN, Artifact, Manifest, Tolerances
from ..protocol.errors import ExportError, FlexRequired, ParityFailure, UninitialisedVariables
from ..runtime import Runtime
from .golden import STEPS, Array, Golden
from .lint import Lint, lint
from .measure import measure

THREADS = (2, 4)
LOSS_ATOL, NO_SLACK = 1e-5, np.zeros(())
# A layer that drops little of a small batch often drops the same.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Check:
    """One row of the table: passed when ``measured`` is at most ``limit``.

    ``failure`` is the error that ``Verification.require`` raises for it.
    """

    name: str
    measured: float
    limit: float = 0.0
    failure: type[ExportError] = ExportError

    @property
    def passed(self) -> bool:
        return bool(self.measured <= self.limit)


@dataclass(frozen=True)
class Verification:
    """All checks of an artifact, and the figures measured on this machine."""

    checks: tuple[Check, ...]
    measured: dict[str, float]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def require(self) -> None:
        """Raises the error of the first check that failed."""
        for check in self.checks:
            if not check.passed:
                raise _error_of(check)


def verify(folder: Path) -> Verification:
    """Checks an artifact in every way a phone relies on.

    Raises DamagedArtifact when it is not what was exported; every other finding is a row.
    """
    artifact = Artifact.read(folder)
    golden = Golden.from_bytes(artifact.bytes_of(GOLDEN))
    checks = [*_lint_checks(artifact, lint(artifact.model))]
    if not all(check.passed for check in checks):
        return Verification(tuple(checks), {})
    for group in GROUPS:
        checks += group(artifact, golden)
    return Verification(tuple(checks), measure(folder))


def _lint_checks(artifact: Artifact, found: Lint) -> Iterator[Check]:
    yield Check("ops no phone has", len(found.custom_ops), failure=FlexRequired)
    yield Check(
        "variables without a first value", len(found.uninitialised), failure=UninitialisedVariables
    )
    limit = found.size_limit(artifact.manifest.stored_bytes)
    yield Check("model size, bytes", found.model_bytes, limit)
    yield Check(
        "ops the manifest miscounts", len(found.ops.items() ^ artifact.manifest.ops.items())
    )


def _manifest_checks(artifact: Artifact, _: Golden) -> Iterator[Check]:
    manifest = artifact.manifest
    declared = {
        name: {
            "inputs": sorted(tensor.name for tensor in signature.inputs),
            "outputs": sorted(tensor.name for tensor in signature.outputs),
        }
        for name, signature in manifest.signatures.items()
    }
    found = {
        name: {side: sorted(names) for side, names in sides.items()}
        for name, sides in Runtime(artifact.model).signatures().items()
    }
    wrong = [name for name in declared.keys() | found if declared.get(name) != found.get(name)]
    yield Check("signatures the manifest misdescribes", len(wrong))
    if manifest.labels:
        yield Check("labels missing or left over", abs(len(manifest.labels) - _classes(manifest)))


def _weight_checks(artifact: Artifact, _: Golden) -> Iterator[Check]:
    runtime = Runtime(artifact.model)
    checkpoint = artifact.checkpoint.vector
    yield Check("first weights unlike the checkpoint", _differing(runtime.weights, checkpoint))
    drawn = np.random.default_rng(0).normal(size=checkpoint.size).astype(np.float32)
    runtime.weights = drawn
    yield Check("weights changed by set and get", _differing(runtime.weights, drawn))


def _parity_checks(artifact: Artifact, golden: Golden) -> Iterator[Check]:
    """Against Keras: weights after one and after ten steps, every loss, then an evaluation."""
    tolerances = artifact.manifest.tolerances
    tight = msgspec.structs.replace(tolerances, atol=min(tolerances.atol, LOSS_ATOL))
    runtime = Runtime(artifact.model)
    runtime.weights = artifact.checkpoint.vector
    losses = [runtime.train(golden.step(0))]
    slack = golden.slack_of("weights_after_1", artifact.manifest.spec)
    yield _parity(
        "weights after 1 step", runtime.weights, golden.weights_after_1, tolerances, slack
    )
    losses += [runtime.train(golden.step(index)) for index in range(1, STEPS)]
    slack = golden.slack_of("weights_after_10", artifact.manifest.spec)
    yield _parity(
        "weights after 10 steps", runtime.weights, golden.weights_after_10, tolerances, slack
    )
    loss_slack = golden.slack.get("loss", NO_SLACK)
    yield _parity("losses of 10 steps", np.array(losses), golden.loss, tight, loss_slack)
    runtime.weights = golden.weights_after_10
    sums = runtime.call("evaluate", golden.evaluation)
    for name, wanted in golden.evaluate_sums.items():
        slack = golden.slack.get(name, NO_SLACK)
        yield _parity(f"{name} of an evaluation", sums[name], wanted, tight, slack)
    outputs = runtime.call("infer", golden.evaluate_x)
    for name, wanted in golden.outputs.items():
        slack = golden.slack.get(name, NO_SLACK)
        yield _parity(f"{name} of an inference", outputs[name], wanted, tight, slack)


def _sharing_checks(artifact: Artifact, golden: Golden) -> Iterator[Check]:
    """Signatures must work on one set of weights: trained here, evaluated there."""
    trained, fresh = Runtime(artifact.model), Runtime(artifact.model)
    trained.train(golden.step(0))
    moved = _differing(trained.weights, artifact.checkpoint.vector)
    yield Check("train steps that get_weights does not see", int(moved == 0))
    fresh.weights = trained.weights
    sums = [runtime.call("evaluate", golden.evaluation) for runtime in (trained, fresh)]
    yield Check(
        "sums that evaluate gets from other weights",
        sum(_differing(sums[0][name], sums[1][name]) for name in sums[0]),
    )


def _thread_checks(artifact: Artifact, golden: Golden) -> Iterator[Check]:
    alone = _trained(artifact, golden, num_threads=1)
    for num_threads in THREADS:
        together = _trained(artifact, golden, num_threads=num_threads)
        yield Check(f"weights changed by {num_threads} threads", _differing(together, alone))


def _padding_checks(artifact: Artifact, golden: Golden) -> Iterator[Check]:
    """What stands in a padded row must not matter, and a batch of padding must do nothing."""
    inputs = golden.step(0)
    padded = {**inputs, "weight": inputs["weight"] * (np.arange(len(inputs["weight"])) == 0)}
    blank = {**padded, **{name: _first_only(inputs[name]) for name in (*golden.x, *golden.y)}}
    runtimes = [Runtime(artifact.model) for _ in range(3)]
    for runtime, batch in zip(runtimes, (padded, blank), strict=False):
        runtime.train(batch)
    changed = _differing(runtimes[0].weights, runtimes[1].weights)
    yield Check("weights changed by padded examples", changed)
    loss = runtimes[2].train({**inputs, "weight": np.zeros_like(inputs["weight"])})
    moved = _differing(runtimes[2].weights, artifact.checkpoint.vector)
    yield Check("weights changed by an empty batch", moved)
    yield Check("loss of an empty batch", loss if np.isfinite(loss) else np.inf)


def _memory_checks(artifact: Artifact, golden: Golden) -> Iterator[Check]:
    """What the optimizer remembers: a reset forgets it; padding, get and set leave it alone."""
    steps = [golden.step(index) for index in range(3)]
    padding = {**steps[1], "weight": np.zeros_like(steps[1]["weight"])}
    wanted = _weights_after(Runtime(artifact.model), steps)
    runtime = Runtime(artifact.model)
    _weights_after(runtime, steps[::-1])
    runtime.reset_optimizer()
    runtime.weights = artifact.checkpoint.vector
    again = _weights_after(runtime, steps)
    yield Check("weights that reset_optimizer does not repeat", _differing(again, wanted))
    paused = _weights_after(Runtime(artifact.model), [steps[0], padding, *steps[1:]])
    yield Check("later steps changed by an empty batch", _differing(paused, wanted))
    if not artifact.manifest.proximal:
        runtime = Runtime(artifact.model)
        runtime.weights = _weights_after(runtime, steps[:1])
        resumed = _weights_after(runtime, steps[1:])
        yield Check("later steps changed by get and set", _differing(resumed, wanted))


def _seed_checks(artifact: Artifact, golden: Golden) -> Iterator[Check]:
    """Random numbers must come from the seed; that the same one repeats a step is checked above."""
    if not golden.is_random:
        return
    runtime, inputs = Runtime(artifact.model), golden.step(0)
    wanted = _weights_after(runtime, [inputs])
    is_changed = any(
        _differing(_repeated(artifact, runtime, {**inputs, "seed": inputs["seed"] ^ bits}), wanted)
        for bits in np.arange(1, MOST_SEEDS, dtype=np.int32)
    )
    yield Check("steps that no other seed changes", int(not is_changed))


def _repeated(artifact: Artifact, runtime: Runtime, inputs: dict[str, Array]) -> Array:
    """The weights after one step from the checkpoint."""
    runtime.reset_optimizer()
    runtime.weights = artifact.checkpoint.vector
    return _weights_after(runtime, [inputs])


GROUPS: tuple[Callable[[Artifact, Golden], Iterator[Check]], ...] = (
    _manifest_checks,
    _weight_checks,
    _parity_checks,
    _sharing_checks,
    _thread_checks,
    _padding_checks,
    _memory_checks,
    _seed_checks,
)


def _classes(manifest: Manifest) -> int:
    """The last side of the first output; 0 for a manifest that describes no output."""
    infer = manifest.signatures.get("infer")
    return infer.outputs[0].shape[-1] if infer else 0


def _first_only(batch: Array) -> Array:
    """The batch with zeros in place of all examples but the first."""
    alone = np.zeros_like(batch)
    alone[0] = batch[0]
    return alone


def _trained(artifact: Artifact, golden: Golden, *, num_threads: int) -> Array:
    runtime = Runtime(artifact.model, num_threads=num_threads)
    return _weights_after(runtime, [golden.step(index) for index in range(2)])


def _weights_after(runtime: Runtime, steps: list[dict[str, Array]]) -> Array:
    for inputs in steps:
        runtime.train(inputs)
    return runtime.weights


def _parity(name: str, got: Array, wanted: Array, tolerances: Tolerances, slack: Array) -> Check:
    """The element furthest beyond its tolerance, with the tolerance of that element."""
    wanted = np.asarray(wanted, np.float64).reshape(-1)
    errors = np.abs(np.asarray(got, np.float64).reshape(-1) - wanted)
    limits = tolerances.atol + tolerances.rtol * np.abs(wanted) + slack
    worst = int(np.argmax(np.nan_to_num(errors / limits, nan=np.inf)))
    return Check(name, float(errors[worst]), float(limits[worst]), ParityFailure)


def _differing(left: Array, right: Array) -> int:
    """Elements that are not the same bits."""
    same = np.asarray(left).view(np.uint32) == np.asarray(right).view(np.uint32)
    return int(np.size(same) - np.count_nonzero(same))


def _error_of(check: Check) -> ExportError:
    got = f"{check.name}: got {check.measured:.6g}, expected at most {check.limit:.6g}"
    if check.failure is ParityFailure:
        return ParityFailure(
            f"{got} away from Keras; do not ship this artifact", max_error=check.measured
        )
    return check.failure(f"{got}; do not ship this artifact")
