"""One virtual run of a scenario file in a process of its own, and what it cost, round by round.

``python simulated.py FILE.yaml FOLDER TRAINER WORKERS`` runs into FOLDER, a second time to the end
if the first was killed, and leaves an account in FOLDER/account.json; until then, a line for each
round is in FOLDER/laps.jsonl.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import yaml  # type: ignore[import-untyped]
from pocketfed.device_sim.following.exclusion import TierTally
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from processes import cpu_s, family, resident_mib

ACCOUNT = "account.json"
LAPS = "laps.jsonl"


class Lap(msgspec.Struct, frozen=True):
    """Where a run stood when the first session in a round ended.

    ``cpu_s`` is of all processes of the run, ``resident_mib`` of the one with server and fleet.
    """

    round: int
    at_s: float
    cpu_s: float
    resident_mib: float
    check_ins: int
    accepted: int


class Tier(msgspec.Struct, frozen=True):
    """What became of the places of one tier of phones, and the share of them that came too late."""

    given: int
    accepted: int
    late: int
    dropped: int
    excluded_share: float


class Account(msgspec.Struct, frozen=True):
    """What a run cost and came to; ``checkpoint`` is the SHA-256 of the last one."""

    laps: list[Lap]
    tiers: dict[str, Tier]
    check_ins: int
    accepted: int
    checkpoint: str
    accuracy: float
    virtual_h: float


def run(
    scenario: Path, out: Path, *, trainer: str, workers: int, limit_s: float = 3600.0
) -> Account:
    """Runs a scenario to its end; raises CalledProcessError or TimeoutExpired."""
    process = start(scenario, out, trainer=trainer, workers=workers)
    try:
        if process.wait(limit_s):
            raise subprocess.CalledProcessError(process.returncode, process.args)
    finally:
        process.kill()
    return msgspec.json.decode((out / ACCOUNT).read_bytes(), type=Account)


def start(scenario: Path, out: Path, *, trainer: str, workers: int) -> subprocess.Popen[bytes]:
    """The run as a process that tells nothing until it has ended."""
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(scenario), str(out), trainer, str(workers)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def placed(name: str, folder: Path, **changes: Mapping[str, object]) -> Path:
    """A scenario of ours beside the artifacts in ``folder``, some of its sections changed."""
    source = Path(__file__).parent / "scenarios" / f"{name}.yaml"
    sections = yaml.safe_load(source.read_text())
    for section, values in changes.items():
        sections[section] |= values
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(sections))
    return path


class Ledger:
    """An observer that counts sessions, and notes where the run stands as each round begins."""

    def __init__(self, out: Path) -> None:
        self._live = out / LAPS
        self._live.unlink(missing_ok=True)
        self.laps: list[Lap] = []
        self.check_ins = self.accepted = 0
        self.tiers: dict[str, TierTally] = {}

    def note(self, record: SessionRecord) -> None:
        self.check_ins += 1
        if not record.round:
            return
        self.accepted += record.outcome is SessionOutcome.ACCEPTED
        self.tiers.setdefault(record.tier, TierTally()).add(record)
        if not self.laps or record.round > self.laps[-1].round:
            self.laps.append(self._lap(record.round))
            with self._live.open("ab") as file:
                file.write(msgspec.json.encode(self.laps[-1]) + b"\n")

    def _lap(self, round_: int) -> Lap:
        return Lap(
            round=round_,
            at_s=time.monotonic(),
            cpu_s=cpu_s(family([os.getpid()])),
            resident_mib=resident_mib(os.getpid()),
            check_ins=self.check_ins,
            accepted=self.accepted,
        )


def main(file: str, folder: str, trainer: str, workers: str) -> None:
    from pocketfed.cli.scenario_file import read_scenario
    from pocketfed.cli.simulating.simulation import virtual
    from pocketfed.device_sim.data.datasets import fetch

    read, out, ledger = read_scenario(Path(file)), Path(folder), Ledger(Path(folder))
    dataset = fetch(read.dataset)
    dataset = dataset.tested_on(read.test_examples or len(dataset.test))
    summary = virtual(
        replace(read.scenario, trainer=trainer, workers=workers),
        artifact=read.artifact,
        dataset=dataset,
        out=out,
        observe=ledger.note,
    )
    account = Account(
        laps=ledger.laps,
        tiers={name: _tier(tally) for name, tally in ledger.tiers.items()},
        check_ins=ledger.check_ins,
        accepted=ledger.accepted,
        checkpoint=_last_checkpoint(out),
        accuracy=summary.accuracy,
        virtual_h=summary.seconds / 3600.0,
    )
    (out / ACCOUNT).write_bytes(msgspec.json.encode(account))


def _tier(tally: TierTally) -> Tier:
    outcomes = tally.outcomes
    return Tier(
        given=tally.given,
        accepted=outcomes[SessionOutcome.ACCEPTED],
        late=outcomes[SessionOutcome.LATE],
        dropped=outcomes[SessionOutcome.DROPPED],
        excluded_share=tally.excluded_share,
    )


def _last_checkpoint(out: Path) -> str:
    with (out / "rounds.csv").open() as file:
        return list(csv.DictReader(file))[-1]["checkpoint"]


if __name__ == "__main__":
    main(*sys.argv[1:])
