"""Baselines: the same model on the same data, trained in other ways, to compare a run with.

FedSGD and the comparison with SGD on pooled data are those of McMahan et al. 2016 (arXiv
1602.05629). FedSGD is a run of its own, of the same phones; here is how its phones train.
"""

from .centralised import pooled, train_centralised
from .full_batch import FullBatchTrainers
from .kinds import BaselineKind, Centralised, FedSgd, OnDevice
from .on_device import train_alone

__all__ = [
    "BaselineKind",
    "Centralised",
    "FedSgd",
    "FullBatchTrainers",
    "OnDevice",
    "pooled",
    "train_alone",
    "train_centralised",
]
