"""The work that every peer does, and how a peer tells how long its rounds took.

For the peers' own environments: nothing but the standard library and NumPy.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

# In the environment of a peer's processes, all that descend from the first one included.
MARK = "POCKETFED_BENCHMARK"
# The folder of the work, for processes that a peer starts with arguments of its own.
FOLDER = "POCKETFED_BENCHMARK_WORK"


class Work:
    """Some rounds of federated averaging: ``cohort`` of ``phones`` each, all of equal size."""

    def __init__(self, folder):
        folder = Path(folder)
        self.__dict__.update(json.loads((folder / "work.json").read_text()))
        self.x = np.load(folder / "x.npy", mmap_mode="r")
        self.y = np.load(folder / "y.npy", mmap_mode="r")

    def of(self, phone):
        """(images in [0, 1], labels) of one phone."""
        mine = slice(phone * self.examples, (phone + 1) * self.examples)
        return self.x[mine].astype(np.float32) / 255.0, self.y[mine].astype(np.int32)


class Laps:
    """Instants at which rounds began or ended, with the processor time taken until then."""

    def __init__(self, file):
        self.file, self.laps = file, []

    def note(self, tasks):
        """One more instant, and how many phones have trained since the one before."""
        spent_s = cpu_s(marked(os.environ[MARK]))
        self.laps.append({"at_s": time.monotonic(), "cpu_s": spent_s, "tasks": tasks})
        Path(self.file).write_text(json.dumps(self.laps))


def marked(mark):
    """The processes that carry this mark, whatever became of their parents (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # it has ended, or is not ours to read
    return found


def cpu_s(process_ids):
    """User and system time of processes, and of those of their children that have ended."""
    total = 0
    for process_id in process_ids:
        try:
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / os.sysconf("SC_CLK_TCK")


def arguments():
    """The work, and where to note the laps."""
    return Work(os.environ[FOLDER]), Laps(sys.argv[1])
