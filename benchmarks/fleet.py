"""What a simulated fleet costs, by itself and beside other simulators.

``--only`` chooses parts: ``trainers`` (a phone's local training), ``rounds`` (a round through
server, protocol and workers), ``peers`` (the same round in Flower and in TensorFlow Federated),
``million`` (a million phones, paced by the server), ``bits`` (the same checkpoint whoever trains,
and after a kill) and ``exclusion`` (who misses a deadline). Rates are medians over rounds after a
warm-up; processor time is that of all processes of a run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags
from results import Result, show

PARTS = ("trainers", "rounds", "peers", "bits", "exclusion", "million")
QUICK = flags.DEFINE_bool("quick", False, "fewer samples: takes about a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")
ONLY = flags.DEFINE_list("only", None, f"parts to measure, of {', '.join(PARTS)}; all if not given")


def main(_: list[str]) -> None:
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for part in chosen():
            sys.stdout.write(f"{part} ...\n")
            sys.stdout.flush()
            began = time.monotonic()
            results += measured(part, Path(folder))
            results.append(Result(f"{part}: took", time.monotonic() - began, "s", 1))
    show(results, JSON.value)


def chosen() -> list[str]:
    """The parts to measure; building the peers' environments takes minutes, so not in haste."""
    wanted = ONLY.value
    if wanted is None:
        return [part for part in PARTS if not (QUICK.value and part in ("peers", "trainers"))]
    if unknown := set(wanted) - set(PARTS):
        raise app.UsageError(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(PARTS)}")
    return [part for part in PARTS if part in wanted]


def measured(part: str, folder: Path) -> list[Result]:
    """A part is imported when it is measured: some need TensorFlow, whose import takes seconds."""
    is_quick: bool = QUICK.value
    if part == "trainers":
        import training

        return training.both(folder, is_quick=is_quick)
    if part == "peers":
        import rivals

        return rivals.beside(folder, is_quick=is_quick)
    import whole_runs

    return whole_runs.PARTS[part](folder, is_quick=is_quick)


if __name__ == "__main__":
    app.run(main)
