"""The store: the only place, with ``tables`` and ``migrations``, that knows SQL.

One file per subject holds what can be asked of it and what can be changed; ``Reading`` and
``Writing`` join the subjects. A question that spans subjects lies with the one it returns.
"""

from .archive import read_file, read_postgresql
from .census import Census
from .checkpoints import Checkpoint
from .connected import Transition
from .devices import DeviceRow
from .dialects import file_url
from .engine import Store
from .evidence import Accepted, Life
from .reading import Reading
from .sightings import Course
from .tallies import RoundTally
from .tasks import LIVE_STATUSES, Task
from .updates import Update
from .writing import Writing

__all__ = [
    "LIVE_STATUSES",
    "Accepted",
    "Census",
    "Checkpoint",
    "Course",
    "DeviceRow",
    "Life",
    "Reading",
    "RoundTally",
    "Store",
    "Task",
    "Transition",
    "Update",
    "Writing",
    "file_url",
    "read_file",
    "read_postgresql",
]
