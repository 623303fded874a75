"""Keras model -> artifact: trace, lower, convert, write, prove; or say in one sentence why not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import msgspec
import tensorflow as tf

from .. import __version__
from ..protocol import wire
from ..protocol.artifact import CHECKPOINT, GOLDEN, GRAPH, MODEL, Artifact, InputScale, Manifest
from ..protocol.errors import ExportError, first_line
from ..protocol.plan import Plan
from ..protocol.record import Name
from ..protocol.weights import Weights
from ..runtime import quietly
from .converting.artifact import record, staged, write
from .converting.convert import convert, unsupported
from .converting.storage import rounded
from .lowering import NotLowered
from .proving.drawing import golden_of
from .proving.golden import Golden
from .proving.lint import Lint, lint
from .proving.verify import verify
from .reading.functional import functional
from .reading.inspection import require_exportable, require_trainable
from .reading.scope import scoped
from .training.graph import graph_of
from .training.losses import KINDS
from .training.objective import LossChoice, Objective, WeightChoice, objective_of
from .training.optimizers import optimizer_of
from .training.signatures import Program, Trainee, trace
from .zoo import AS_IS, ZOO, zoo_model


def export(
    model: keras.Model,
    *,
    out: Path,
    inputs: Any = None,
    loss: LossChoice | None = None,
    loss_weights: WeightChoice | None = None,
    optimizer: str | keras.optimizers.Optimizer = "sgd",
    proximal: float = 0.0,
    batch_size: int = 10,
    evaluate_batch_size: int = 100,
    trainable: str = "full",
    storage: str = "float32",
    name: str | None = None,
    labels: tuple[str, ...] = (),
    input_scale: InputScale = AS_IS,
    plan: Plan | None = None,
    graph: bool = False,
    seed: int = 0,
) -> Artifact:
    """Exports a model into the folder ``out``, which is replaced only if every check passes.

    ``inputs`` are keras.Input objects in the structure of the call, for a model that knows none.
    ``loss`` is one for every output, or one each by name or in order, by default what the model
    was compiled with, ``loss_weights`` included. ``optimizer`` is a name or a Keras optimizer,
    whose learning rate goes into the default plan; ``proximal`` is the mu of FedProx.
    ``batch_size`` is the static batch of ``train``, ``evaluate_batch_size`` that of ``evaluate``
    and ``infer``. ``trainable`` is a preset of ``scope``, ``storage`` float32 or float16, to which
    the first weights are then rounded; ``labels`` name the classes of the first output; ``graph``
    adds the training program for TensorFlow; ``seed`` draws the golden inputs. The model is left as
    it was. Raises ExportError, most often UnsupportedLayer or ParityFailure.
    """
    known, objective = _task_of(model, inputs, loss, loss_weights)
    with scoped(known, trainable, seed=seed) as lent, rounded(lent, storage) as stored:
        require_trainable(lent)
        sizes = batch_size, evaluate_batch_size
        trainee = Trainee(lent, objective, optimizer_of(optimizer), *sizes, proximal, stored)
        plan = plan or Plan(batch_size=batch_size, learning_rate=trainee.optimizer.learning_rate)
        name = name or str(model.name)
        _require_settings(trainee, plan, labels)
        _require_name(name)
        manifest, files = _made(trainee, graph=graph, seed=seed)
        said = {"name": name, "labels": labels, "input_scale": input_scale, "plan": plan}
        manifest = msgspec.structs.replace(manifest, trainable=trainable, **said)
        return _proven(manifest, files, out)


def export_zoo(
    name: str,
    *,
    out: Path,
    optimizer: str = "sgd",
    proximal: float = 0.0,
    trainable: str = "full",
    storage: str = "float32",
    vocabulary: int | None = None,
    batch_size: int | None = None,
    evaluate_batch_size: int | None = None,
    graph: bool = False,
    seed: int = 0,
) -> Artifact:
    """Exports a model of the zoo; raises ExportError when there is none of this name.

    Another optimizer than ``sgd`` brings its own learning rate into the plan, as another batch size
    brings itself; ``vocabulary`` is the number of tokens of a language model, by default the
    paper's.
    """
    model = zoo_model(name, seed=seed, vocabulary=vocabulary)
    entry = ZOO[name]
    size = batch_size or entry.batch_size
    plan = msgspec.structs.replace(entry.plan, batch_size=size)
    if optimizer != "sgd":
        rate = optimizer_of(optimizer).learning_rate
        plan = msgspec.structs.replace(plan, learning_rate=rate)
    return export(
        model,
        out=out,
        loss=entry.loss(),
        optimizer=optimizer,
        proximal=proximal,
        trainable=trainable,
        storage=storage,
        batch_size=size,
        evaluate_batch_size=evaluate_batch_size or entry.evaluate_batch_size,
        labels=entry.labels,
        input_scale=entry.input_scale,
        plan=plan,
        graph=graph,
        seed=seed,
    )


def load(path: Path) -> keras.Model:
    """Opens a model that was saved as ``.keras``; raises ExportError when it cannot be."""
    if path.suffix != ".keras" or not path.is_file():
        raise ExportError(f"{path} is not a .keras file; write one with model.save('name.keras')")
    try:
        with warnings.catch_warnings():
            # What an optimizer remembered plays no part in an export.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return keras.saving.load_model(path)
    except (ValueError, TypeError, OSError) as error:
        raise ExportError(f"{path} cannot be opened by this Keras: {_reason(error)}") from error


def _task_of(
    model: keras.Model, inputs: Any, loss: LossChoice | None, weights: WeightChoice | None
) -> tuple[keras.Model, Objective]:
    """The model with known inputs, and what it is to be trained for."""
    known = functional(model, inputs)
    require_exportable(known)
    if loss is None:
        loss = _compiled_loss(model)
        weights = model._compile_loss._user_loss_weights if weights is None else weights
    return known, objective_of(known, loss, weights)


def _compiled_loss(model: keras.Model) -> LossChoice:
    loss: LossChoice | None = getattr(model, "loss", None)
    if loss is None:
        raise ExportError(f"{model.name} was compiled with no loss; name one of {', '.join(KINDS)}")
    return loss


def _reason(error: Exception) -> str:
    line, is_own_class, _ = first_line(error).partition(". Make sure custom")
    if not is_own_class:
        return line
    return (
        f"{line}; only a Python program that imports this class, decorated with "
        "keras.saving.register_keras_serializable(), can export it"
    )


def _made(trainee: Trainee, *, graph: bool, seed: int) -> tuple[Manifest, dict[str, bytes]]:
    """The files, and what follows from them for the manifest."""
    program, tflite = _compiled(trainee)
    found = lint(tflite)
    manifest = _manifest(trainee, program, found)
    found.require(weights_bytes=manifest.stored_bytes)
    checkpoint = wire.encode(Weights(program.spec, trainee.layout.vector))
    golden = _golden(trainee, seed=seed).to_bytes()
    files = {MODEL: tflite, CHECKPOINT: checkpoint, GOLDEN: golden}
    if graph:
        files[GRAPH] = graph_of(trainee, program)
    return manifest, files


def _manifest(trainee: Trainee, program: Program, found: Lint) -> Manifest:
    """What follows from the model itself; the rest is the caller's to say."""
    return Manifest(
        name=trainee.model.name,
        created_by=f"pocketfed {__version__}",
        files={},
        signatures=program.signatures(),
        batch_size=trainee.batch_size,
        evaluate_batch_size=trainee.evaluate_batch_size,
        spec=program.spec.entries,
        frozen_weights=trainee.layout.frozen_weights,
        storage=trainee.storage,
        loss=trainee.objective.name,
        loss_weights=trainee.objective.weights,
        optimizer=trainee.optimizer.name,
        ops=found.ops,
        minimum_runtime=found.minimum_runtime,
        proximal=trainee.proximal,
        tolerances=trainee.optimizer.rule.tolerances,
    )


def _golden(trainee: Trainee, *, seed: int) -> Golden:
    try:
        with quietly():
            return golden_of(trainee, seed=seed)
    except NotLowered as error:
        raise unsupported(trainee.model, error) from error
    except tf.errors.OpError as error:
        raise ExportError(
            f"Keras itself cannot train {trainee.model.name} on this machine: {_said_by(error)}"
        ) from error


def _said_by(error: tf.errors.OpError) -> str:
    """What the kernel said: after a title and where in the program, before the node's name."""
    said, _, _ = str(error).partition("[[")
    return said.strip().splitlines()[-1].rstrip(".")


def _proven(manifest: Manifest, files: Mapping[str, bytes], out: Path) -> Artifact:
    """Writes, verifies and measures beside ``out``, then puts the folder in its place."""
    with staged(out) as folder:
        write(folder, manifest, files)
        verification = verify(folder)
        verification.require()
        record(folder, verification.measured)
    return Artifact.read(out)


def _require_settings(trainee: Trainee, plan: Plan, labels: tuple[str, ...]) -> None:
    if not 0 <= trainee.proximal < math.inf:
        raise ExportError(f"got proximal={trainee.proximal}, expected a number from 0 on")
    for size in (trainee.batch_size, trainee.evaluate_batch_size):
        if size < 1:
            raise ExportError(f"got a batch of {size}, expected at least one example")
    if plan.batch_size > trainee.batch_size:
        raise ExportError(
            f"the plan asks for batches of {plan.batch_size}, but the model takes "
            f"{trainee.batch_size}; export with batch_size={plan.batch_size}"
        )
    classes = trainee.model.outputs[0].shape[-1]
    if labels and len(labels) != classes:
        raise ExportError(f"got {len(labels)} labels for {classes} outputs; give one for each")


def _require_name(name: str) -> None:
    try:
        msgspec.convert(name, type=Name)
    except msgspec.ValidationError as error:
        raise ExportError(
            f"got the name {name!r}, expected at most 64 letters, digits and any of . _ -"
        ) from error


def _compiled(trainee: Trainee) -> tuple[Program, bytes]:
    try:
        with quietly():
            program = trace(trainee)
        return program, convert(program, in_halves=trainee.storage == "float16")
    except NotLowered as error:
        raise unsupported(trainee.model, error) from error
    except (ValueError, TypeError) as error:
        raise ExportError(
            f"{trainee.model.name} cannot be trained with {trainee.loss.name}: {first_line(error)}"
        ) from error
