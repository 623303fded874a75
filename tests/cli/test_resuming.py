"""A virtual run that dies goes on from its last safe point and ends as if nothing had happened."""

import json
import multiprocessing
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from pocketfed.cli.demo import scenario_of
from pocketfed.cli.simulating.following import Looks
from pocketfed.cli.simulating.resuming import DATABASE, SafePoints
from pocketfed.cli.simulating.scenario import Scenario
from pocketfed.cli.simulating.simulation import virtual
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.data.dataset import Dataset
from pocketfed.device_sim.fleet import VirtualFleet
from pocketfed.protocol.artifact import Artifact

# More phones than places, so that some check-ins are turned away.
SMALL = replace(
    scenario_of(phones=20, seed=3, rounds=4, target=None, limit_s=3600.0),
    conditions=Conditions(drop_out=0.2),
)


def with_codec(codec: str) -> Scenario:
    return replace(SMALL, settings=msgspec.structs.replace(SMALL.settings, codecs=(codec,)))


class Killed(Exception):
    """Stands for a death at a moment of the test's choosing."""


@pytest.fixture
def thawed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The frozen fleets that runs have gone on from."""
    found: list[bytes] = []
    thaw = VirtualFleet.thaw

    def thaw_and_tell(self: VirtualFleet, frozen: bytes) -> None:
        found.append(frozen)
        thaw(self, frozen)

    monkeypatch.setattr(VirtualFleet, "thaw", thaw_and_tell)
    return found


def die_after(points: int, do) -> None:
    """Lets a run save so many points, one a round, and dies when it would save the next."""
    left, save = iter(range(points)), SafePoints.save

    def save_or_die(self, *args, **options):
        if next(left, None) is None:
            raise Killed
        # However long the last one took.
        self._not_before_s = 0.0
        return save(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SafePoints, "save", save_or_die)
        with pytest.raises(Killed):
            do()


@pytest.mark.parametrize("codec", ["float32", "topk:0.1"])
def test_a_run_that_died_ends_at_the_same_rounds_as_one_that_did_not(
    artifact: Artifact, dataset: Dataset, tmp_path: Path, thawed: list[bytes], codec: str
) -> None:
    def run(name: str):
        return virtual(with_codec(codec), artifact=artifact, dataset=dataset, out=tmp_path / name)

    whole = run("whole")
    die_after(2, lambda: run("torn"))
    assert run("torn") == whole
    assert len(thawed) == 1
    assert whole.rejections["round_full"] > 0
    for file in ("rounds.csv", "summary.json", "index.html"):
        assert (tmp_path / "torn" / file).read_text() == (tmp_path / "whole" / file).read_text()
    assert not (tmp_path / "torn" / "points").exists()


def test_a_run_that_goes_on_looks_at_its_task_at_the_same_instants(
    artifact: Artifact, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_s: list[float] = []
    shows = Looks._shows

    def note_and_show(self: Looks) -> bool:
        looked_s.append(self.clock())
        return shows(self)

    monkeypatch.setattr(Looks, "_shows", note_and_show)
    virtual(SMALL, artifact=artifact, dataset=dataset, out=tmp_path / "whole")
    whole_s = looked_s.copy()
    die_after(2, lambda: virtual(SMALL, artifact=artifact, dataset=dataset, out=tmp_path / "torn"))
    newest = json.loads((tmp_path / "torn" / "points" / "newest.json").read_bytes())
    looked_s.clear()
    virtual(SMALL, artifact=artifact, dataset=dataset, out=tmp_path / "torn")
    assert looked_s[0] == newest["now_s"]
    assert looked_s == whole_s[-len(looked_s) :]


def test_another_scenario_in_the_same_folder_begins_anew(
    artifact: Artifact, dataset: Dataset, tmp_path: Path, thawed: list[bytes]
) -> None:
    die_after(1, lambda: virtual(SMALL, artifact=artifact, dataset=dataset, out=tmp_path))
    short = msgspec.structs.replace(SMALL.settings, rounds=1)
    virtual(replace(SMALL, settings=short), artifact=artifact, dataset=dataset, out=tmp_path)
    assert thawed == []


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on(
    artifact: Artifact, dataset: Dataset, tmp_path: Path, thawed: list[bytes]
) -> None:
    settings = msgspec.structs.replace(SMALL.settings, goal=4, rounds=8)
    scenario = replace(SMALL, settings=settings, workers="1")
    given = {"artifact": artifact, "dataset": dataset}
    whole = virtual(scenario, out=tmp_path / "whole", **given)
    out = tmp_path / "torn"
    process = multiprocessing.get_context("spawn").Process(
        target=virtual, args=(scenario,), kwargs={"out": out, **given}
    )
    process.start()
    while process.is_alive() and not (out / "points" / "newest.json").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -9
    assert virtual(scenario, out=out, **given) == whole
    assert len(thawed) == 1


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """What a server leaves: a database and a blob."""
    folder = tmp_path / "server"
    (folder / "blobs").mkdir(parents=True)
    (folder / "blobs" / "first").write_bytes(b"one")
    write(folder, 1)
    return folder


def write(folder: Path, number: int) -> None:
    with sqlite3.connect(folder / DATABASE) as database:
        database.execute("CREATE TABLE IF NOT EXISTS t (n)")
        database.execute("INSERT INTO t VALUES (?)", [number])
    database.close()


def rows(folder: Path) -> list[int]:
    database = sqlite3.connect(folder / DATABASE)
    found = [number for (number,) in database.execute("SELECT n FROM t")]
    database.close()
    return found


def points(tmp_path: Path, *, scenario: object = "s", timer=lambda: 0.0) -> SafePoints:
    return SafePoints(tmp_path / "points", scenario=scenario, timer=timer)


def test_the_servers_folder_is_put_back_as_it_was(data_dir: Path, tmp_path: Path) -> None:
    assert points(tmp_path).save(data_dir, lambda: b"fleet", now_s=7.5)
    write(data_dir, 2)
    (data_dir / "blobs" / "first").unlink()
    (data_dir / "blobs" / "second").write_bytes(b"two")
    point = points(tmp_path).restore(data_dir)
    assert point is not None
    assert (point.number, point.now_s, point.fleet) == (1, 7.5, b"fleet")
    assert rows(data_dir) == [1]
    assert {file.name for file in (data_dir / "blobs").iterdir()} == {"first"}


def test_a_run_that_dies_while_it_saves_has_the_point_before(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = points(tmp_path)
    saving.save(data_dir, lambda: b"older", now_s=1.0)
    write(data_dir, 2)

    def die(self, newest) -> None:
        raise Killed

    monkeypatch.setattr(SafePoints, "_name", die)
    with pytest.raises(Killed):
        saving.save(data_dir, lambda: b"newer", now_s=2.0)
    point = points(tmp_path).restore(data_dir)
    assert point is not None
    assert point.fleet == b"older"
    assert rows(data_dir) == [1]


def test_blobs_are_on_disk_before_a_point_is_the_newest(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(
        "pocketfed.cli.simulating.resuming._make_durable", lambda path: flushed.append(path.name)
    )
    saving = points(tmp_path)
    saving.save(data_dir, lambda: b"fleet", now_s=1.0)
    (data_dir / "blobs" / "second").write_bytes(b"two")
    saving.save(data_dir, lambda: b"fleet", now_s=2.0)
    assert flushed.count("first") == flushed.count("second") == 1
    assert flushed.index("first") < flushed.index("newest.new")


def test_only_the_newest_point_is_kept(data_dir: Path, tmp_path: Path) -> None:
    saving = points(tmp_path)
    for number in range(3):
        saving.save(data_dir, lambda: b"fleet", now_s=float(number))
    names = {entry.name for entry in (tmp_path / "points").iterdir()}
    assert names == {"newest.json", "point-3"}


def test_saving_takes_a_small_share_of_the_time(data_dir: Path, tmp_path: Path) -> None:
    # Each save takes a second on this clock.
    instants = iter([0.0, 0.0, 1.0, 50.0, 52.0, 53.0])
    saving = points(tmp_path, timer=lambda: next(instants))
    saved = [saving.save(data_dir, lambda: b"fleet", now_s=0.0) for _ in range(3)]
    assert saved == [True, False, True]


def test_points_of_another_scenario_are_forgotten(data_dir: Path, tmp_path: Path) -> None:
    points(tmp_path).save(data_dir, lambda: b"fleet", now_s=1.0)
    assert points(tmp_path, scenario="other").restore(data_dir) is None
    assert not (tmp_path / "points").exists()
    assert not data_dir.exists()
