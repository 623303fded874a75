"""The monitor: each checkpoint once, with the counts of the round that made it."""

from dataclasses import replace

import pytest
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.following.monitor import MISSES, Monitor
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol import wire
from pocketfed.protocol.errors import NoAnswer
from pocketfed.protocol.plan import RetryWindow, RoundSettings

ROUNDS = 3


class Counting(LiteRTTrainer):
    """Counts its evaluations."""

    evaluations = 0

    def evaluate(self, weights, examples):
        self.evaluations += 1
        return super().evaluate(weights, examples)


@pytest.fixture
def run(host, artifact, make_examples):
    """(server, fleet, monitor) before the first round."""
    clock = VirtualClock(start_s=1000.0)
    settings = RoundSettings(goal=3, rounds=ROUNDS, retry=RetryWindow(min_s=5.0, max_s=9.0))
    server = host(settings, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people"),
        owned=Listed([make_examples(30, seed=device) for device in range(8)]),
        session=server.session,
        clock=clock,
    )
    monitor = Monitor(
        history=server.history,
        fetch=server.admin.download,
        tally=fleet.tallies.of,
        trainer=Counting(artifact.model, artifact.manifest),
        test=make_examples(100, seed=77),
        spec=artifact.manifest.weight_spec,
    )
    return server, fleet, monitor


def until_committed(server, count):
    return lambda: len(server.history().checkpoints) > count


def test_one_of_so_many_checkpoints_has_a_row(run, artifact, make_examples):
    server, fleet, _ = run
    monitor = Monitor(
        history=server.history,
        fetch=server.admin.download,
        tally=fleet.tallies.of,
        trainer=LiteRTTrainer(artifact.model, artifact.manifest),
        test=make_examples(100, seed=77),
        spec=artifact.manifest.weight_spec,
        every=2,
    )
    fleet.run(until=until_committed(server, 3))
    assert [row.round for row in monitor.poll()] == [0, 2]
    assert [row.round for row in monitor.settled()] == [0, 2]


def test_each_checkpoint_is_evaluated_exactly_once(run):
    server, fleet, monitor = run
    assert [row.round for row in monitor.poll()] == [0]
    fleet.run(until=until_committed(server, 2))
    assert [row.round for row in monitor.poll()] == [1, 2]
    assert monitor.poll() == []
    assert monitor._trainer.evaluations == 3
    assert [row.round for row in monitor.rows] == [0, 1, 2]


def test_a_row_tells_what_the_server_and_the_phones_counted(run):
    server, fleet, monitor = run
    fleet.run(until=until_committed(server, ROUNDS))
    monitor.poll()
    history = server.history()
    for row, summary in zip(monitor.rows[1:], history.rounds, strict=True):
        tally = fleet.tallies.of(row.round, row.attempt)
        assert (row.round, row.attempt) == (summary.round, summary.attempt)
        assert (row.accepted, row.num_examples) == (3, 90)
        assert row.train_loss == summary.train_loss > 0
        assert (row.late, row.dropped) == (tally.late, tally.dropped)
        assert (row.bytes_up, row.bytes_down) == (tally.bytes_up, tally.bytes_down)
        assert row.checkpoint == history.checkpoints[row.round].sha256
        assert row.seconds == pytest.approx(summary.closed_at - 1000.0)


def test_a_row_is_the_evaluation_of_its_checkpoint(run, artifact, make_examples):
    server, fleet, monitor = run
    fleet.run(until=until_committed(server, ROUNDS))
    monitor.poll()
    checkpoint = server.history().checkpoints[2]
    weights = wire.decode(server.admin.download(checkpoint), artifact.manifest.weight_spec)
    expected = LiteRTTrainer(artifact.model, artifact.manifest).evaluate(
        weights, make_examples(100, seed=77)
    )
    assert (monitor.rows[2].accuracy, monitor.rows[2].loss) == (expected.accuracy, expected.loss)


def test_the_untrained_model_is_round_zero_and_cost_nothing(run):
    _, _, monitor = run
    (row,) = monitor.poll()
    assert (row.round, row.seconds, row.accepted, row.bytes_up, row.bytes_down) == (0, 0, 0, 0, 0)
    assert row.train_loss is None


def test_training_helps(run):
    server, fleet, monitor = run
    fleet.run(until=until_committed(server, ROUNDS))
    monitor.poll()
    assert monitor.rows[-1].loss < monitor.rows[0].loss


def test_following_looks_once_more_after_the_end(run):
    server, fleet, monitor = run
    pauses = []

    def work(pause_s):
        pauses.append(pause_s)
        fleet.run(until=until_committed(server, len(pauses)))

    rows = monitor.follow(until=lambda: len(pauses) == ROUNDS, every_s=0.5, sleep=work)
    assert [row.round for row in rows] == [0, 1, 2, 3]
    assert pauses == [0.5] * ROUNDS


def test_a_server_that_comes_back_is_followed_on(run):
    server, fleet, monitor = run
    fleet.run(until=until_committed(server, 1))
    absences = iter([NoAnswer("away"), NoAnswer("away")])

    def sometimes():
        for absence in absences:
            raise absence
        return server.history()

    monitor._history = sometimes
    pauses = []
    rows = list(monitor.follow(until=lambda: True, sleep=pauses.append))
    assert [row.round for row in rows] == [0, 1]
    assert len(pauses) == 2


def test_a_server_that_stays_away_ends_the_following(run):
    _, _, monitor = run

    def never():
        raise NoAnswer("away")

    monitor._history = never
    pauses = []
    with pytest.raises(NoAnswer):
        list(monitor.follow(until=lambda: True, sleep=pauses.append))
    assert len(pauses) == MISSES - 1


def test_a_follower_that_has_seen_enough_stops_the_evaluation(run):
    server, fleet, monitor = run
    fleet.run(until=until_committed(server, ROUNDS))
    for row in monitor.follow(until=lambda: False):
        if row.round == 1:
            break
    assert [row.round for row in monitor.rows] == [0, 1]
    assert monitor._trainer.evaluations == 2


def test_settled_rows_count_the_sessions_that_outlasted_their_round(run):
    server, fleet, monitor = run
    fleet.run(until=until_committed(server, 1))
    before = monitor.poll()[1]
    straggler = SessionRecord(
        device=7,
        round=1,
        attempt=1,
        outcome=SessionOutcome.LATE,
        shape="-v[]#",
        num_examples=0,
        bytes_up=50,
        bytes_down=7,
    )
    fleet.tallies.add(straggler)
    assert monitor.settled()[1] == replace(
        before,
        late=before.late + 1,
        bytes_up=before.bytes_up + 50,
        bytes_down=before.bytes_down + 7,
    )
