"""The flags of the commands about models."""

from __future__ import annotations

from absl import flags

from ...protocol.artifact import STORED_BYTES
from .groups import Values


def restore(values: Values) -> None:
    flags.DEFINE_string("checkpoint", None, "file that `task checkpoint` wrote", flag_values=values)
    flags.DEFINE_string("out", None, "the .keras file to write", flag_values=values)
    _zoo(values)


def export(values: Values) -> None:
    flags.DEFINE_string(
        "loss",
        None,
        "Keras loss for every output of a .keras file, on probabilities; "
        "by default what it was compiled with",
        flag_values=values,
    )
    flags.DEFINE_string(
        "optimizer",
        "sgd",
        "sgd, momentum, nesterov, adam or adamw, with the options of Keras",
        flag_values=values,
    )
    flags.DEFINE_float(
        "proximal",
        0.0,
        "mu of FedProx: adds mu/2 times the squared distance from the weights received",
        lower_bound=0.0,
        flag_values=values,
    )
    flags.DEFINE_string(
        "trainable",
        "full",
        "what trains: full, bn_frozen, last:K (layers), head, bias, or lora:R (rank)",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "batch_size", 10, "examples per training step", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "evaluate_batch_size",
        100,
        "examples per evaluation step",
        lower_bound=1,
        flag_values=values,
    )
    _files(values)
    _zoo(values)


def _files(values: Values) -> None:
    flags.DEFINE_enum(
        "storage",
        "float32",
        list(STORED_BYTES),
        "floats in which the file holds the first weights; float16 rounds them and halves it",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "graph",
        False,
        "adds graph.pb, with which `simulate --trainer=graph` trains in TensorFlow",
        flag_values=values,
    )


def _zoo(values: Values) -> None:
    flags.DEFINE_integer("seed", 0, "seed of a zoo model's weights", flag_values=values)
    flags.DEFINE_integer(
        "vocabulary",
        None,
        "tokens of a zoo model's language; by default 90 characters or 10,000 words",
        flag_values=values,
    )
