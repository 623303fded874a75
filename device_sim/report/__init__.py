"""The report of a run: numbers for programs, curves for TensorBoard, and one page for people.

``write_report`` turns what was measured and counted into the files of a folder; docs/fleet.md,
"What comes out", explains every column and every field.
"""

from .baselines import Baseline, BaselinePoint
from .facts import RunFacts
from .rows import to_csv
from .summary import Summary, summarise_run
from .writing import write_report

__all__ = [
    "Baseline",
    "BaselinePoint",
    "RunFacts",
    "Summary",
    "summarise_run",
    "to_csv",
    "write_report",
]
