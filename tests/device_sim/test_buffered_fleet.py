"""A fleet of fast and slow phones: with a buffer the slow ones count, and nobody waits for them."""

from dataclasses import dataclass

import pytest
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.compute import LogNormalCompute
from pocketfed.device_sim.data import partitions
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Partitioned
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.device_sim.streams import Purpose, stream
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol import wire
from pocketfed.protocol.admin import TaskHistory, TaskStatus
from pocketfed.protocol.plan import Buffering, RetryWindow, RoundSettings

PHONES, VERSIONS = 14, 8
UNEQUAL = Conditions(drop_out=0.1, compute=LogNormalCompute(batch_ms_median=4000.0, sigma=1.3))
COMMON = {
    "goal": 3,
    "rounds": VERSIONS,
    "retry": RetryWindow(min_s=10.0, max_s=30.0),
    "compute_timeout_s": 1500.0,
}


@dataclass(frozen=True)
class Run:
    history: TaskHistory
    records: list[SessionRecord]
    seconds: float
    accuracy: float

    def devices(self, outcome: SessionOutcome) -> set[int]:
        return {one.device for one in self.records if one.outcome is outcome}


@pytest.fixture(scope="module")
def owned(make_examples):
    examples = make_examples(400)
    parts = partitions.unbalanced_dirichlet(
        examples.y, phones=PHONES, alpha=1.0, sigma=0.5, rng=stream(0, Purpose.OWNERSHIP)
    )
    return Partitioned.of_parts(examples, parts)


@pytest.fixture
def run(host, owned, artifact, make_examples):
    def run(settings: RoundSettings, *, seed: int = 0) -> Run:
        clock = VirtualClock()
        server = host(settings, clock=clock)
        records: list[SessionRecord] = []
        fleet = VirtualFleet(
            FleetSettings(population="people", seed=seed, conditions=UNEQUAL),
            owned=owned,
            session=server.session,
            clock=clock,
            observe=records.append,
        )
        began = clock.now()
        fleet.run(until=lambda: server.history().task.status is TaskStatus.FINISHED)
        history = server.history()
        newest = wire.decode(
            server.admin.download(history.task.checkpoint), artifact.manifest.weight_spec
        )
        trainer = LiteRTTrainer(artifact.model, artifact.manifest)
        accuracy = trainer.evaluate(newest, make_examples(200, seed=5)).accuracy
        return Run(history, records, clock.now() - began, accuracy)

    return run


BUFFERED = RoundSettings(**COMMON, buffer=Buffering(concurrency=8, max_staleness=12))
SYNCHRONOUS = RoundSettings(**COMMON, over_selection=8 / 3)  # as many phones at a time


def test_slow_phones_contribute_stale_updates_where_they_were_late_before(run) -> None:
    buffered, synchronous = run(BUFFERED), run(SYNCHRONOUS)
    for history in (buffered.history, synchronous.history):
        assert [one.accepted for one in history.rounds if one.phase == "committed"] == [3] * 8
    stale = [one.mean_staleness for one in buffered.history.rounds]
    assert stale[0] == 0.0
    assert max(stale) >= 1.0
    assert sum(one.late for one in synchronous.history.rounds) > 0
    assert sum(one.late for one in buffered.history.rounds[:-1]) == 0
    came_in_vain = synchronous.devices(SessionOutcome.LATE)
    assert came_in_vain & buffered.devices(SessionOutcome.ACCEPTED)
    assert not buffered.devices(SessionOutcome.LATE)
    assert buffered.seconds < synchronous.seconds
    assert buffered.accuracy >= synchronous.accuracy - 0.1


def test_the_same_seed_gives_the_same_buffers_to_the_bit(run) -> None:
    first, second = run(BUFFERED), run(BUFFERED)
    assert [one.sha256 for one in first.history.checkpoints] == [
        one.sha256 for one in second.history.checkpoints
    ]
    assert first.records == second.records


def test_phones_that_have_fallen_too_far_behind_check_in_again_and_count(run) -> None:
    strict = RoundSettings(**COMMON, buffer=Buffering(concurrency=8, max_staleness=0))
    found = run(strict)
    assert sum(one.late for one in found.history.rounds) > 0
    too_late = [one for one in found.records if "too far behind" in one.detail]
    assert too_late
    assert all(one.mean_staleness in (0.0, None) for one in found.history.rounds)
    assert found.devices(SessionOutcome.ACCEPTED) & {one.device for one in too_late}
