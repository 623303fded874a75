"""The kinds of baselines, as values that a command line can name."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ...protocol.folding import Rate
from ...protocol.record import Positive


class FedSgd(msgspec.Struct, frozen=True, tag="fedsgd", tag_field="kind"):
    """The same fleet and seed with E = 1 and B = infinity: one gradient a phone and round.

    ``learning_rate`` is that of the run if not given, ``rounds`` too.
    """

    learning_rate: Rate | None = None
    rounds: Positive | None = None


class Centralised(msgspec.Struct, frozen=True, tag="centralised", tag_field="kind"):
    """SGD on the pooled examples of the phones, as many as the accepted phones trained on."""

    learning_rate: Rate | None = None


class OnDevice(msgspec.Struct, frozen=True, tag="on_device", tag_field="kind"):
    """Some ``phones`` train alone, ``epochs`` passes over their own examples."""

    learning_rate: Rate | None = None
    phones: Positive = 20
    epochs: Positive = 20


BaselineKind: TypeAlias = FedSgd | Centralised | OnDevice
NAMES: dict[type[BaselineKind], str] = {
    FedSgd: "FedSGD",
    Centralised: "centralised SGD",
    OnDevice: "on-device-only",
}


def kind_of(kind: BaselineKind | type[BaselineKind]) -> str:
    """What it is called on the command line."""
    return str(kind.__struct_config__.tag)
