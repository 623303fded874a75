"""Phones that measure checkpoints: the real model, the real server, the same result for a seed."""

import math
import time

import msgspec
import numpy as np
import pytest
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.fleet import FleetSettings, LiveFleet, VirtualClock, VirtualFleet
from pocketfed.device_sim.following.monitor import Monitor
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.measuring import measure
from pocketfed.device_sim.phones.sessions import SessionOutcome
from pocketfed.device_sim.training.trainers import Evaluation, LiteRTTrainer
from pocketfed.device_sim.workers import Job
from pocketfed.protocol import wire
from pocketfed.protocol.admin import EvaluationSource, RoundPhase
from pocketfed.protocol.errors import ImplausibleReport
from pocketfed.protocol.messages import Assignment, AssignmentState, CheckIn, Fate, Report
from pocketfed.protocol.plan import EvaluationSettings, Plan, RetryWindow, RoundKind, RoundSettings

PHONES = 8
ROUNDS = 3
WINDOW = RetryWindow(min_s=5.0, max_s=9.0)


@pytest.fixture(scope="module")
def owned(make_examples):
    return Listed([make_examples(10 + 5 * device, seed=device) for device in range(PHONES)])


def settings(**changes):
    fields = {
        "goal": 2,
        "rounds": ROUNDS,
        "retry": WINDOW,
        "compute_timeout_s": 60.0,
        "selection_timeout_s": 120.0,
        "report_timeout_s": 240.0,
        "evaluation": EvaluationSettings(goal=4),
    }
    return RoundSettings(**{**fields, **changes})


def start(host, owned, wanted, *, drop_out=0.0, observe=None):
    clock = VirtualClock(start_s=1000.0)
    server = host(wanted, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=Conditions(drop_out=drop_out)),
        owned=owned,
        session=server.session,
        clock=clock,
        observe=observe,
    )
    return server, fleet


def by_phones(server):
    found = server.history().evaluations
    return [one for one in found if one.source is EvaluationSource.PHONES]


def the_last_is_measured(server):
    """Versions that come too fast are passed over, the last one is not."""
    return any(one.version == ROUNDS for one in by_phones(server))


def test_the_mean_is_that_of_the_phones_that_took_part(host, owned, artifact) -> None:
    records = []
    server, fleet = start(host, owned, settings(), observe=records.append)
    fleet.run(until=lambda: len(by_phones(server)) > 0)
    (found,) = by_phones(server)
    judges = [
        one.device
        for one in records
        if one.kind is RoundKind.EVALUATE and one.outcome is SessionOutcome.ACCEPTED
    ]
    assert len(judges) == found.devices == 4
    trainer = LiteRTTrainer(artifact.model, artifact.manifest)
    body = server.admin.download(server.history().checkpoints[found.version])
    weights = wire.decode(body, artifact.manifest.weight_spec)
    results = [trainer.evaluate(weights, owned.of(device)) for device in judges]
    counts = [owned.num_examples(device) for device in judges]
    assert found.num_examples == sum(counts)
    for name in ("loss", "accuracy"):
        values = [getattr(one, name) for one in results]
        assert found.metrics[name] == pytest.approx(np.average(values, weights=counts), rel=1e-9)


def test_the_same_seed_measures_the_same(host, owned) -> None:
    found = []
    for _ in range(2):
        server, fleet = start(host, owned, settings(), drop_out=0.2)
        fleet.run(until=lambda server=server: the_last_is_measured(server))
        found.append(server.history())
    assert found[0].evaluations == found[1].evaluations
    assert found[0].checkpoints == found[1].checkpoints


def test_the_last_version_is_measured_after_training_has_finished(host, owned) -> None:
    server, fleet = start(host, owned, settings(rounds=1))
    fleet.run(until=lambda: len(by_phones(server)) > 0)
    assert [one.version for one in by_phones(server)] == [1]


def test_sessions_that_measure_are_tallied_by_themselves(host, owned) -> None:
    server, fleet = start(host, owned, settings())
    fleet.run(until=lambda: len(by_phones(server)) > 0)
    assert fleet.tallies.shapes["-v()^"] >= 4
    tally = fleet.tallies.of(1, 1, RoundKind.EVALUATE)
    assert tally.accepted == 4
    assert fleet.tallies.of(1, 1).accepted == 2
    assert fleet.tallies.rounds(RoundKind.EVALUATE)[0] == tally


def test_phones_that_fall_silent_leave_the_evaluation_to_others(host, owned) -> None:
    server, fleet = start(host, owned, settings(), drop_out=0.4)
    fleet.run(until=lambda: the_last_is_measured(server))
    rounds = server.history().evaluation_rounds
    assert any(one.dropped for one in rounds) or fleet.tallies.shapes["-v(!"] > 0
    committed = [one for one in rounds if one.phase is RoundPhase.COMMITTED]
    assert len(committed) == len(by_phones(server))


def test_live_phones_measure_too(host, owned) -> None:
    quick = RetryWindow(min_s=0.01, max_s=0.05)
    server = host(settings(retry=quick))
    with LiveFleet(
        FleetSettings(population="people", conditions=Conditions(drop_out=0.0)),
        owned=owned,
        session=server.session,
        workers=2,
    ):
        give_up_at = time.monotonic() + 20.0
        while not by_phones(server) and time.monotonic() < give_up_at:
            time.sleep(0.05)
    assert by_phones(server)[0].devices >= 4


def test_the_monitor_shows_the_phones_beside_the_test_set(
    host, owned, artifact, make_examples
) -> None:
    server, fleet = start(host, owned, settings())
    monitor = Monitor(
        history=server.history,
        fetch=server.admin.download,
        tally=fleet.tallies.of,
        trainer=LiteRTTrainer(artifact.model, artifact.manifest),
        test=make_examples(50, seed=77),
        spec=artifact.manifest.weight_spec,
    )
    fleet.run(until=lambda: len(by_phones(server)) > 0)
    monitor.poll()
    found = {one.version: one.metrics for one in by_phones(server)}
    for row in monitor.settled():
        metrics = found.get(row.round, {})
        assert row.phones_loss == metrics.get("loss")
        assert row.phones_accuracy == metrics.get("accuracy")
    assert monitor.settled()[0].phones_loss is None


def test_a_rolled_back_version_has_no_row_of_its_own(host, owned, artifact, make_examples) -> None:
    server, fleet = start(host, owned, settings(evaluation=None))
    fleet.run(until=lambda: len(server.history().checkpoints) > 1)
    server.admin.roll_back("tiny", version=0)
    fleet.run(until=lambda: len(server.history().checkpoints) > 3)
    monitor = Monitor(
        history=server.history,
        fetch=server.admin.download,
        tally=fleet.tallies.of,
        trainer=LiteRTTrainer(artifact.model, artifact.manifest),
        test=make_examples(50, seed=77),
        spec=artifact.manifest.weight_spec,
    )
    assert [row.round for row in monitor.poll()] == [0, 1, 2]


class Bad(LiteRTTrainer):
    """Measures what is no number."""

    def evaluate(self, weights, examples):
        return Evaluation(loss=math.nan, accuracy=0.0, num_examples=len(examples))


@pytest.fixture
def judging(make_bench):
    """A bench whose server asks for an evaluation."""

    def make(*args, **options):
        bench = make_bench(*args, **options)
        train, report = bench.server._check_in, bench.server._report

        def check_in(request):
            assert CheckIn.from_json(request.content).capabilities.kinds == ("train", "evaluate")
            answer = train(request)
            asked = msgspec.structs.replace(
                Assignment.from_json(answer.content), kind=RoundKind.EVALUATE
            )
            return type(answer)(201, content=asked.to_json())

        def tell(request):
            told = Report.from_json(request.content)
            if told.outcome != "completed":
                return report(request)
            fate = Fate(assignment_id="a1", state=AssignmentState.MEASURED, retry=WINDOW)
            return type(report(request))(200, content=fate.to_json())

        bench.server._check_in, bench.server._report = check_in, tell
        return bench

    return make


def told(bench):
    sent = [
        request.content
        for request, step in zip(bench.server.requests, bench.server.log, strict=True)
        if step == "report"
    ]
    return Report.from_json(sent[-1])


def test_a_phone_measures_and_uploads_nothing(judging, artifact, make_examples) -> None:
    bench = judging(7)
    record = bench.run_session()
    assert (record.outcome, record.shape) == (SessionOutcome.ACCEPTED, "-v()^")
    assert (record.kind, record.num_examples) == (RoundKind.EVALUATE, 7)
    assert "upload" not in bench.server.log
    expected = LiteRTTrainer(artifact.model, artifact.manifest).evaluate(
        artifact.checkpoint, make_examples(7)
    )
    assert told(bench).metrics == {"loss": expected.loss, "accuracy": expected.accuracy}
    assert (told(bench).num_examples, told(bench).sha256, told(bench).bytes) == (7, None, 0)


def test_a_phone_measures_on_as_many_examples_as_the_plan_allows(judging) -> None:
    bench = judging(30, plan=Plan(batch_size=10, max_examples=20))
    bench.run_session()
    assert told(bench).num_examples == 20


def test_a_lost_answer_to_a_measurement_is_asked_for_again(judging) -> None:
    from pocketfed.protocol.errors import Unavailable

    bench = judging(7)
    bench.server.script["report"] = [Unavailable("busy", retry_after_s=1.0)]
    assert bench.run_session().outcome is SessionOutcome.ACCEPTED
    assert bench.server.log.count("report") == 2


def test_a_loss_that_is_no_number_gives_the_place_back(artifact, make_examples) -> None:
    assignment = msgspec.structs.replace(Assignment.from_json(ANY_PLACE), kind=RoundKind.EVALUATE)
    with pytest.raises(ImplausibleReport, match="nan"):
        measure(
            Bad(artifact.model, artifact.manifest),
            artifact.checkpoint,
            make_examples(5),
            job=Job.of(assignment, seed=1, device=0, num_examples=5),
        )


_BLOB = {"url": "/", "sha256": "0" * 64, "bytes": 1}
ANY_PLACE = msgspec.json.encode(
    {
        "assignment_id": "a",
        "task": "t",
        "round": 1,
        "attempt": 1,
        "checkpoint": _BLOB,
        "model": _BLOB,
        "manifest": _BLOB,
        "plan": {},
        "compute_within_s": 1.0,
        "upload_within_s": 1.0,
        "retry": {"min_s": 1.0, "max_s": 2.0},
    }
)


def test_an_assignment_that_names_no_kind_is_to_train() -> None:
    assert Assignment.from_json(ANY_PLACE).kind is RoundKind.TRAIN
