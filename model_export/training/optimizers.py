"""The optimizers a phone can step with, each a Keras optimizer whose options are followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ...protocol.errors import ExportError
from .updates import ADAM, DESCENT, MOMENTUM, Rule


@dataclass(frozen=True)
class Optimizer:
    """A Keras optimizer, ``options``, with the rule by which a phone takes its steps."""

    name: str
    options: keras.optimizers.Optimizer
    rule: Rule

    @property
    def learning_rate(self) -> float:
        """The rate it was made with, for a plan; ``train`` takes the rate as an input."""
        return float(str(np.float32(self.options.get_config()["learning_rate"])))

    def reference(self) -> keras.optimizers.Optimizer:
        """Keras's own, new and with the same options."""
        return type(self.options).from_config(self.options.get_config())


def optimizer_of(optimizer: str | keras.optimizers.Optimizer) -> Optimizer:
    """Makes an optimizer by its name or takes the object as it was made.

    Raises ExportError for another kind, and for an option that cannot be followed.
    """
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        optimizer = OPTIMIZERS[optimizer]()
    # A subclass may step otherwise, hence the exact type.
    if type(optimizer) not in _CHOICES:
        raise ExportError(
            f"got the optimizer {_shown(optimizer)}, expected one of {', '.join(OPTIMIZERS)}"
        )
    _require_followed(optimizer)
    name, rule = _CHOICES[type(optimizer)](optimizer)
    return Optimizer(name, optimizer, rule)


def _sgd(options: Any) -> tuple[str, Rule]:
    if not options.momentum:
        return "sgd", DESCENT
    return ("nesterov" if options.nesterov else "momentum"), MOMENTUM


_CHOICES: Mapping[type, Callable[[Any], tuple[str, Rule]]] = {
    keras.optimizers.SGD: _sgd,
    keras.optimizers.Adam: lambda _: ("adam", ADAM),
    keras.optimizers.AdamW: lambda _: ("adamw", ADAM),
}
OPTIMIZERS: Mapping[str, Callable[[], keras.optimizers.Optimizer]] = {
    "sgd": lambda: keras.optimizers.SGD(0.1),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


def _require_followed(options: Any) -> None:
    """Raises ExportError, naming the option, for what the update rules would leave out."""
    set_options = {
        "amsgrad": getattr(options, "amsgrad", False),
        "use_ema": options.use_ema,
        "loss_scale_factor": options.loss_scale_factor is not None,
        "gradient_accumulation_steps": options.gradient_accumulation_steps is not None,
        "exclude_from_weight_decay": _excludes_from_decay(options),
    }
    kind = type(options).__name__
    for option, is_set in set_options.items():
        if is_set:
            raise ExportError(f"{kind} has {option} set, which no phone follows; leave it out")
    if not isinstance(options.get_config()["learning_rate"], float):
        raise ExportError(
            f"{kind} has a schedule or a function as learning_rate; give a number, the plan of "
            "each round may say another"
        )


def _excludes_from_decay(options: Any) -> bool:
    """Keras keeps this to itself, and its ``get_config`` leaves it out."""
    pattern = getattr(options, "_exclude_from_weight_decay_pattern", None)
    return bool(pattern or getattr(options, "_exclude_from_weight_decay", None))


def _shown(optimizer: object) -> str:
    return repr(optimizer) if isinstance(optimizer, str) else type(optimizer).__name__
