"""The commands about models: export, verify, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..protocol.artifact import MODEL
from .flags.groups import Values
from .flags.parsing import UsageError, exactly, required
from .tables import show_cost, show_verification


def export(words: list[str], values: Values) -> None:
    from .. import model_export

    (model,) = exactly(words, "MODEL")
    out = Path(required(values, "out"))
    if model.endswith(".keras"):
        artifact = model_export.export(
            model_export.load(Path(model)),
            out=out,
            loss=values.loss,
            optimizer=values.optimizer,
            proximal=values.proximal,
            trainable=values.trainable,
            storage=values.storage,
            graph=values.graph,
            batch_size=values.batch_size,
            evaluate_batch_size=values.evaluate_batch_size,
        )
    else:
        artifact = model_export.export_zoo(
            model,
            out=out,
            optimizer=values.optimizer,
            proximal=values.proximal,
            trainable=values.trainable,
            storage=values.storage,
            graph=values.graph,
            vocabulary=values.vocabulary,
            batch_size=_given(values, "batch_size"),
            evaluate_batch_size=_given(values, "evaluate_batch_size"),
            seed=values.seed,
        )
    manifest = artifact.manifest
    size, frozen = manifest.files[MODEL].bytes, manifest.frozen_weights
    weights = f"{manifest.weight_spec.size:,} weights" + (f" and {frozen:,} frozen" * (frozen > 0))
    print(f"{out}: {manifest.name}, {weights}, {size:,} bytes")
    show_cost(manifest.ops, manifest.measured)


def _given(values: Values, name: str) -> Any:
    """What the command line says of a flag, None if nothing: the zoo then knows better."""
    return values[name].value if values[name].present else None


def restore(words: list[str], values: Values) -> None:
    from .. import model_export

    (name,) = exactly(words, "MODEL")
    checkpoint, out = (Path(required(values, flag)) for flag in ("checkpoint", "out"))
    if out.suffix != ".keras":
        raise UsageError(f"got --out={out}, expected a name that ends in .keras")
    model = _keras_model(name, values)
    model_export.restore(model, checkpoint.read_bytes())
    model.save(out)
    print(f"{out}: {model.name} with the weights of {checkpoint}")


def _keras_model(name: str, values: Values) -> Any:
    from .. import model_export

    if name.endswith(".keras"):
        return model_export.load(Path(name))
    return model_export.zoo_model(name, seed=values.seed, vocabulary=values.vocabulary)


def verify(words: list[str], values: Values) -> None:
    from .. import model_export

    (folder,) = exactly(words, "DIR")
    verification = model_export.verify(Path(folder))
    show_verification(verification)
    verification.require()
