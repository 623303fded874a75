"""What can be asked of the tables, all of it."""

from __future__ import annotations

from .assignments import AssignmentQuestions
from .blobs import BlobQuestions
from .census import CensusQuestions
from .checkpoints import CheckpointQuestions
from .deposits import DepositQuestions
from .devices import DeviceQuestions
from .evaluations import EvaluationQuestions
from .evidence import EvidenceQuestions
from .held import HeldQuestions
from .rounds import RoundQuestions
from .sightings import SightingQuestions
from .tallies import TallyQuestions
from .tasks import TaskQuestions
from .updates import UpdateQuestions
from .visits import VisitQuestions


class Reading(
    DeviceQuestions,
    VisitQuestions,
    DepositQuestions,
    BlobQuestions,
    TaskQuestions,
    CheckpointQuestions,
    RoundQuestions,
    AssignmentQuestions,
    HeldQuestions,
    UpdateQuestions,
    EvaluationQuestions,
    TallyQuestions,
    EvidenceQuestions,
    SightingQuestions,
    CensusQuestions,
):
    """The questions, within one transaction."""
