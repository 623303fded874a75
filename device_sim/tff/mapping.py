"""What a task asks of its server, in TFF's terms; docs/tff.md has the formulae side by side."""

from __future__ import annotations

from typing import Any

import msgspec

from ...protocol import folding
from ...protocol.artifact import Manifest
from ...protocol.errors import ConfigError

MEAN = "mean"
# What TFF has to offer beside the mean a task asks for; their settings are TFF's defaults.
OWN = ("clipped", "robust", "compressed")


def server_optimizer_of(chosen: folding.ServerOptimizer) -> dict[str, Any]:
    """The server optimizer of a task; raises ConfigError for one that TFF cannot compute."""
    plain: dict[str, Any] = msgspec.to_builtins(chosen)
    match chosen:
        case folding.Sgd(nesterov=True):
            reason = "TFF has no momentum of Nesterov; leave nesterov out"
        case folding.Adagrad():
            reason = "TFF's has no beta_1, and its epsilon stands under the root; choose another"
        case _:
            return plain
    raise ConfigError("server_optimizer", plain["kind"], reason)


def aggregator_of(chosen: folding.Aggregator, *, own: str = MEAN) -> dict[str, Any]:
    """The aggregator of a task, or one of TFF's ``own`` around its mean; raises ConfigError."""
    if own not in (MEAN, *OWN):
        raise ConfigError("tff_aggregator", own, f"choose of {', '.join((MEAN, *OWN))}")
    if not isinstance(chosen, folding.WeightedMean | folding.Mean):
        kind = type(chosen).__struct_config__.tag
        raise ConfigError("aggregator", kind, "TFF has only means; choose weighted_mean or mean")
    if own != MEAN and chosen.clip_norm is not None:
        reason = f"TFF's {own} finds a norm of its own; leave one of the two out"
        raise ConfigError("aggregator", f"clip_norm={chosen.clip_norm}", reason)
    is_weighted = isinstance(chosen, folding.WeightedMean)
    return {"kind": own, "is_weighted": is_weighted, "clip_norm": chosen.clip_norm}


def require_comparable(manifest: Manifest) -> None:
    """Raises ConfigError for a model whose local training is another one in TFF."""
    drawn = "seed" in {spec.name for spec in manifest.signatures["train"].inputs}
    stays = [entry.name for entry in manifest.spec if not entry.trainable]
    reasons = {
        f"trains with {manifest.optimizer}, expected sgd": manifest.optimizer != "sgd",
        f"trains only {manifest.trainable}, expected full": manifest.trainable != "full",
        f"trains with the proximal term {manifest.proximal:g}, whose sign is wrong in TFF 0.87": (
            manifest.proximal != 0.0
        ),
        "draws random numbers while it trains, which would be others": drawn,
        f"averages {stays[:1]}, which TFF leaves on the server": bool(stays),
    }
    for reason, holds in reasons.items():
        if holds:
            raise ConfigError("trainer", "tff", f"{manifest.name} {reason}")
