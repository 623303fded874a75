"""The store: the only place, with ``tables`` and ``migrations``, that knows SQL.

One file per subject holds what can be asked of it and what can be changed; ``Reading`` and
``Writing`` join the subjects. A question that spans subjects lies with the one it returns.
"""

from .checkpoints import Checkpoint
from .engine import Store
from .reading import Reading
from .tallies import RoundTally
from .tasks import LIVE_STATUSES, Task
from .updates import Update
from .writing import Writing

__all__ = [
    "LIVE_STATUSES",
    "Checkpoint",
    "Reading",
    "RoundTally",
    "Store",
    "Task",
    "Update",
    "Writing",
]
