"""The store: the only place, with ``tables`` and ``migrations``, that knows SQL."""

from .engine import Store
from .reading import Checkpoint, Reading, RoundTally, Task, Update
from .writing import Writing

__all__ = ["Checkpoint", "Reading", "RoundTally", "Store", "Task", "Update", "Writing"]
