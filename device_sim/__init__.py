"""Phones, honestly simulated: the very model bytes, the very protocol, and a clock a seed repeats.

A fleet of phones shares out a data set, checks in with a server over HTTP or in-process, trains
with the phones' runtime and sends deltas; a monitor measures every checkpoint, and a report shows
the run.
"""

from .data.datasets import DATASETS, fetch
from .fleet import FleetSettings, LiveFleet, VirtualClock, VirtualFleet
from .following.monitor import Monitor
from .report import RunFacts, write_report
from .training.trainers import LiteRTTrainer

__all__ = [
    "DATASETS",
    "FleetSettings",
    "LiteRTTrainer",
    "LiveFleet",
    "Monitor",
    "RunFacts",
    "VirtualClock",
    "VirtualFleet",
    "fetch",
    "write_report",
]
