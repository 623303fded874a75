"""Rounds of federated averaging in TensorFlow Federated, from files to files.

A script of its own for the environment that ``make tff`` makes; it imports nothing of pocketfed,
so that what it finds is TFF's own. ``rounds.py FOLDER…`` makes the rounds of every folder, one
after the other. What lies in a folder is told by ``files.py``, beside it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from safetensors.numpy import load_file, save_file

ADAPTIVE = ("adam", "yogi")


def make_rounds(folder: Path) -> None:
    """Makes the rounds of one folder and writes the weights after each, and what TFF measured."""
    job = json.loads((folder / "job.json").read_text())
    process, names = _process(job), _names(job)
    state = _begun(process, names, load_file(folder / "weights.safetensors"), job)
    phones: dict[int, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = {}
    measured = []
    for number, cohort in enumerate(job["rounds"], 1):
        for phone in cohort:
            if phone not in phones:
                owned = load_file(folder / "phones" / f"{phone}.safetensors")
                phones[phone] = owned["x"], owned["y"]
        taken = load_file(folder / "rounds" / f"{number}.safetensors")
        batches = [
            _batches(*phones[phone], taken[f"{phone}/order"], taken[f"{phone}/sizes"])
            for phone in cohort
        ]
        output = process.next(_with_rate(process, state, job, number), batches)
        state = output.state
        measured.append(_plain(output.metrics))
        made = process.get_model_weights(state).trainable
        arrays = {name: np.asarray(array) for name, array in zip(names, made, strict=True)}
        (folder / "made").mkdir(exist_ok=True)
        save_file(arrays, folder / "made" / f"{number}.safetensors")
    (folder / "measured.json").write_text(json.dumps(measured, indent=1))


def _process(job: dict[str, Any]) -> Any:
    weighting = tff.learning.ClientWeighting
    is_weighted = job["aggregator"]["is_weighted"]
    return tff.learning.algorithms.build_weighted_fed_avg(
        lambda: _model(job),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(job["learning_rate"]),
        server_optimizer_fn=_server_optimizer(job["server_optimizer"]),
        client_weighting=weighting.NUM_EXAMPLES if is_weighted else weighting.UNIFORM,
        model_aggregator=_aggregator(job["aggregator"]),
    )


def _keras_model(job: dict[str, Any]) -> Any:
    known = tf.keras.layers
    layers = [getattr(known, one["kind"])(**one["options"]) for one in job["model"]["layers"]]
    inputs = known.InputLayer(tuple(job["x"]["shape"]), dtype=job["x"]["dtype"])
    return tf.keras.Sequential([inputs, *layers])


def _model(job: dict[str, Any]) -> Any:
    loss = job["model"]["loss"]
    specs = (tf.TensorSpec((None, *job[name]["shape"]), job[name]["dtype"]) for name in ("x", "y"))
    return tff.learning.models.from_keras_model(
        _keras_model(job),
        loss=getattr(tf.keras.losses, loss["kind"])(**loss["options"]),
        input_spec=tuple(specs),
    )


def _names(job: dict[str, Any]) -> list[str]:
    """The weights in the order of Keras, under the names they have here: layer/weight."""
    with tf.Graph().as_default():
        return [one.name.partition(":")[0] for one in _keras_model(job).trainable_weights]


def _server_optimizer(chosen: dict[str, Any]) -> Any:
    optimizers, rate = tff.learning.optimizers, chosen["learning_rate"]
    if chosen["kind"] == "sgd":
        return optimizers.build_sgdm(rate, momentum=chosen["momentum"] or None)
    options = {"beta_1": chosen["beta_1"], "beta_2": chosen["beta_2"], "epsilon": chosen["tau"]}
    if chosen["kind"] == "adam":
        return optimizers.build_adam(rate, **options)
    begins_at = chosen["tau"] ** 2
    return optimizers.build_yogi(rate, **options, initial_preconditioner_value=begins_at)


def _aggregator(chosen: dict[str, Any]) -> Any:
    learning = tff.learning
    match chosen["kind"]:
        case "mean":
            mean = tff.aggregators.MeanFactory()
            norm = chosen["clip_norm"]
            return mean if norm is None else tff.aggregators.clipping_factory(norm, mean)
        case "clipped":
            return learning.robust_aggregator(zeroing=False)
        case "robust":
            return learning.robust_aggregator()
        case "compressed":
            return learning.compression_aggregator()
        case other:
            raise ValueError(f"there is no aggregator {other!r}")


def _begun(process: Any, names: list[str], weights: dict[str, Any], job: dict[str, Any]) -> Any:
    """The state before the first round: the given weights, and v of Adam at tau squared."""
    if set(names) != set(weights):
        raise ValueError(f"got weights {sorted(weights)}, expected {sorted(names)}")
    model = tff.learning.models.ModelWeights([weights[name] for name in names], [])
    state = process.set_model_weights(process.initialize(), model)
    chosen = job["server_optimizer"]
    if chosen["kind"] == "adam":
        begins_at = np.float32(chosen["tau"] ** 2)
        v = tf.nest.map_structure(
            lambda one: np.full_like(one, begins_at), state.finalizer["preconditioner"]
        )
        state = state._replace(finalizer={**state.finalizer, "preconditioner": v})
    return state


def _with_rate(process: Any, state: Any, job: dict[str, Any], number: int) -> Any:
    """The state with a rate of which TFF's correction of bias makes the one asked for."""
    chosen = job["server_optimizer"]
    if chosen["kind"] not in ADAPTIVE:
        return state
    beta_1, beta_2 = chosen["beta_1"], chosen["beta_2"]
    corrected = (1.0 - beta_1**number) / math.sqrt(1.0 - beta_2**number)
    hparams = process.get_hparams(state)
    hparams["finalizer"]["learning_rate"] = np.float32(chosen["learning_rate"] * corrected)
    return process.set_hparams(state, hparams)


def _batches(x: Any, y: Any, order: Any, sizes: Any) -> Any:
    """A data set of the batches as they were drawn, the last of a pass may be smaller."""
    ends = np.cumsum(sizes)

    def batch(first: Any, end: Any) -> Any:
        places = tf.constant(order)[first:end]
        return tf.gather(tf.constant(x), places), tf.gather(tf.constant(y), places)

    return tf.data.Dataset.from_tensor_slices((ends - sizes, ends)).map(batch)


def _plain(metrics: Any) -> Any:
    """What JSON can hold of TFF's measurements."""
    if isinstance(metrics, dict):
        return {str(name): _plain(one) for name, one in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_plain(one) for one in metrics]
    return np.asarray(metrics).tolist()


if __name__ == "__main__":
    for word in sys.argv[1:]:
        make_rounds(Path(word))
