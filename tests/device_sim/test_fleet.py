"""Fleets against the real server: a seed repeats a run, and both sides count the same."""

import threading
import time

import httpx
import numpy as np
import pytest
from pocketfed.client import Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.compute import LogNormalCompute
from pocketfed.device_sim.conditions.network import Network
from pocketfed.device_sim.data import partitions
from pocketfed.device_sim.fleet import FleetSettings, LiveFleet, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Partitioned
from pocketfed.device_sim.phones.retrying import RetryPolicy
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.device_sim.streams import Purpose, stream
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.protocol import wire
from pocketfed.protocol.admin import RoundPhase
from pocketfed.protocol.plan import RetryWindow, RoundSettings

PHONES = 14
QUICK = RetryWindow(min_s=0.01, max_s=0.05)
UNHURRIED = RetryWindow(min_s=20.0, max_s=40.0)


@pytest.fixture(scope="module")
def owned(make_examples):
    examples = make_examples(400)
    parts = partitions.unbalanced_dirichlet(
        examples.y, phones=PHONES, alpha=1.0, sigma=1.0, rng=stream(0, Purpose.OWNERSHIP)
    )
    return Partitioned.of_parts(examples, parts)


def rounds(count, **changes):
    return RoundSettings(**{"goal": 4, "over_selection": 1.5, "rounds": count} | changes)


def run_virtual(host, owned, settings, *, seed=0, drop_out=0.2, until=None, **conditions):
    clock = VirtualClock()
    server = host(settings, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(
            population="people",
            seed=seed,
            conditions=Conditions(drop_out=drop_out, **conditions),
        ),
        owned=owned,
        session=server.session,
        clock=clock,
    )
    fleet.run(
        until=until or (lambda: fleet.tallies.of(settings.rounds, 1).accepted >= settings.goal)
    )
    return server.history(), fleet


def test_the_same_seed_gives_the_same_checkpoint_to_the_bit(host, owned):
    first, first_fleet = run_virtual(host, owned, rounds(3))
    second, second_fleet = run_virtual(host, owned, rounds(3))
    assert first.checkpoints[-1].version == 3
    assert first.checkpoints[-1].sha256 == second.checkpoints[-1].sha256
    assert first_fleet.tallies.rounds() == second_fleet.tallies.rounds()


def test_another_seed_gives_another_checkpoint(host, owned):
    first, _ = run_virtual(host, owned, rounds(1))
    second, _ = run_virtual(host, owned, rounds(1), seed=1)
    assert first.checkpoints[0].sha256 == second.checkpoints[0].sha256
    assert first.checkpoints[1].sha256 != second.checkpoints[1].sha256


def test_both_sides_count_the_same_places_and_updates(host, owned):
    settings = rounds(6, retry=UNHURRIED)
    history, fleet = run_virtual(host, owned, settings, compute=LogNormalCompute(5000.0))
    assert len(history.rounds) == 6
    for summary in history.rounds:
        tally = fleet.tallies.of(summary.round, summary.attempt)
        ended = tally.accepted + tally.late + tally.dropped + tally.failed + tally.refused
        assert summary.accepted == tally.accepted == 4
        assert summary.late == tally.late
        assert summary.num_examples == tally.num_examples
        assert summary.assigned == ended
        assert summary.dropped <= tally.dropped
        assert summary.bytes_up <= tally.bytes_up
    assert sum(tally.dropped for tally in fleet.tallies.rounds()) > 0
    assert sum(tally.late for tally in fleet.tallies.rounds()) > 0


def test_over_selection_gives_goal_times_the_factor_places(host, owned):
    settings = rounds(1, retry=UNHURRIED)
    history, fleet = run_virtual(
        host, owned, settings, drop_out=0.0, compute=LogNormalCompute(10_000.0, sigma=0.1)
    )
    tally = fleet.tallies.of(1, 1)
    assert history.rounds[0].assigned == settings.capacity == 6
    assert (tally.accepted, tally.accepted + tally.late + tally.failed) == (4, 6)


def test_when_every_phone_falls_silent_the_server_counts_places_as_dropped(host, owned):
    settings = rounds(1, compute_timeout_s=50.0, report_timeout_s=120.0, retry=UNHURRIED)
    clock = VirtualClock()
    server = host(settings, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=Conditions(drop_out=1.0)),
        owned=owned,
        session=server.session,
        clock=clock,
    )
    fleet.run(until=lambda: clock.now() > 250)
    first = server.history().rounds[0]
    assert (first.phase, first.accepted) == (RoundPhase.ABANDONED, 0)
    assert first.assigned == fleet.tallies.of(1, 1).dropped > 6
    assert first.dropped > 0


def test_a_round_is_the_weighted_mean_of_what_its_phones_trained(host, owned, artifact):
    weights, deltas = [], []

    class Recording(LiteRTTrainer):
        def train(self, *args, **kwargs):
            result = super().train(*args, **kwargs)
            weights.append(result.num_examples)
            deltas.append(result.delta.vector)
            return result

    clock = VirtualClock()
    server = host(rounds(1, goal=5, over_selection=1.0), clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=Conditions(drop_out=0.0)),
        owned=owned,
        session=server.session,
        clock=clock,
        new_trainer=Recording,
    )
    fleet.run(until=lambda: fleet.tallies.of(1, 1).accepted == 5)
    body = server.admin.download(server.history().checkpoints[1])
    trained = wire.decode(body, artifact.manifest.weight_spec).vector
    expected = artifact.checkpoint.vector + np.average(deltas, axis=0, weights=weights)
    assert len(deltas) == 5
    np.testing.assert_allclose(trained, expected, atol=1e-7)


def test_a_fleet_that_stops_gives_its_places_back(host, owned):
    history, fleet = run_virtual(
        host,
        owned,
        rounds(None),
        drop_out=0.0,
        until=lambda: True,
        compute=LogNormalCompute(10_000.0),
    )
    tally = fleet.tallies.of(1, 1)
    assert history.rounds[0].failed == tally.failed > 0


def test_slow_networks_make_a_round_longer(host, owned):
    def virtual_s(**conditions):
        history, _ = run_virtual(host, owned, rounds(1), drop_out=0.0, **conditions)
        return history.rounds[0].closed_at

    assert virtual_s(network=Network(up_kb_s_mu=-3.0)) > virtual_s() + 10


def live(server, owned, **options):
    settings = FleetSettings(
        population="people", conditions=Conditions(drop_out=0.1), arrive_within_s=0.05
    )
    return LiveFleet(settings, owned=owned, session=server.session, workers=3, **options)


def wait_for(condition, *, within_s=15.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def test_a_live_fleet_commits_rounds_and_stops_cleanly(host, owned):
    server = host(rounds(None, retry=QUICK))
    threads = threading.active_count()
    with live(server, owned) as fleet:
        assert fleet.is_running
        wait_for(lambda: len(server.history().checkpoints) >= 4)
    assert not fleet.is_running
    assert threading.active_count() == threads
    for summary in server.history().rounds:
        if summary.phase is RoundPhase.COMMITTED:
            tally = fleet.tallies.of(summary.round, summary.attempt)
            assert (summary.accepted, summary.num_examples) == (tally.accepted, tally.num_examples)


def test_a_live_fleet_outlives_a_server_that_is_gone(owned):
    def refuse(_):
        raise httpx.ConnectError("connection refused")

    session = Session("http://server", transport=httpx.MockTransport(refuse))
    settings = FleetSettings(
        population="people",
        arrive_within_s=0.01,
        retry=RetryPolicy(first_wait_s=0.001, no_answer_s=0.002),
    )
    with LiveFleet(settings, owned=owned, session=session, workers=2) as fleet:
        wait_for(lambda: fleet.tallies.ended >= 3 * PHONES)
        assert fleet.is_running


def test_a_programming_error_ends_a_live_fleet_and_is_raised(host, owned):
    class Broken(LiteRTTrainer):
        def train(self, *args, **kwargs):
            raise KeyError("a bug")

    server = host(rounds(None, retry=QUICK))
    with pytest.raises(KeyError, match="a bug"), live(server, owned, new_trainer=Broken) as fleet:
        wait_for(lambda: not fleet.is_running)


def test_leaving_on_an_interrupt_stops_the_phones(host, owned):
    server = host(rounds(None, retry=QUICK))
    threads = threading.active_count()

    def interrupted():
        with live(server, owned) as fleet:
            wait_for(lambda: fleet.tallies.ended > 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threading.active_count() == threads


def test_the_observer_hears_of_every_session_once(host, owned):
    heard = []
    server = host(rounds(2, retry=QUICK))
    with live(server, owned, observe=heard.append) as fleet:
        wait_for(lambda: len(server.history().checkpoints) == 3)
    assert len(heard) == fleet.tallies.ended
    accepted = [record for record in heard if record.outcome is SessionOutcome.ACCEPTED]
    assert len(accepted) == 8
    assert sum(record.bytes_up for record in heard) == fleet.tallies.bytes_up


def test_a_shorter_codec_shows_in_the_bytes_of_the_fleet(host, owned):
    plain, _ = run_virtual(host, owned, rounds(2), drop_out=0.0)
    short, _ = run_virtual(host, owned, rounds(2, codecs=("int8",)), drop_out=0.0)
    sent = [sum(one.bytes_up / one.accepted for one in run.rounds[:2]) for run in (plain, short)]
    assert sent[1] < 0.8 * sent[0]


def test_a_seed_repeats_a_run_whose_deltas_are_rounded_at_random(host, owned):
    settings = rounds(2, codecs=("int4+zstd",))
    first, again = (run_virtual(host, owned, settings)[0] for _ in range(2))
    other, _ = run_virtual(host, owned, settings, seed=1)
    assert first.checkpoints[-1].sha256 == again.checkpoints[-1].sha256
    assert first.checkpoints[-1].sha256 != other.checkpoints[-1].sha256
