"""What can be changed in the tables, all of it."""

from __future__ import annotations

from .assignments import AssignmentChanges
from .checkpoints import CheckpointChanges
from .deposits import DepositChanges
from .devices import DeviceChanges
from .evaluations import EvaluationChanges
from .reading import Reading
from .rounds import RoundChanges
from .sightings import SightingChanges
from .tasks import TaskChanges
from .updates import UpdateChanges


class Writing(
    DeviceChanges,
    DepositChanges,
    TaskChanges,
    CheckpointChanges,
    RoundChanges,
    AssignmentChanges,
    UpdateChanges,
    SightingChanges,
    EvaluationChanges,
    Reading,
):
    """The questions and the changes, within one transaction."""
