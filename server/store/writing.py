"""What can be changed in the tables, all of it."""

from __future__ import annotations

from .assignments import AssignmentChanges
from .checkpoints import CheckpointChanges
from .deposits import DepositChanges
from .devices import DeviceChanges
from .evaluations import EvaluationChanges
from .leases import LeaseChanges
from .locks import Locking
from .reading import Reading
from .rounds import RoundChanges
from .sightings import SightingChanges
from .tasks import TaskChanges
from .updates import UpdateChanges
from .visits import VisitChanges


class Writing(
    DeviceChanges,
    VisitChanges,
    DepositChanges,
    TaskChanges,
    CheckpointChanges,
    RoundChanges,
    AssignmentChanges,
    UpdateChanges,
    SightingChanges,
    EvaluationChanges,
    LeaseChanges,
    Locking,
    Reading,
):
    """The questions and the changes, within one transaction."""
