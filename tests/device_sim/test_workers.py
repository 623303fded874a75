"""Workers: wherever a job is done, the same comes of it, and what goes wrong is said."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.device_sim.workers import Done, Inline, Job, Processes, RayActors, workers_of
from pocketfed.device_sim.workers.published import KEPT, Published
from pocketfed.device_sim.workers.queueing import LongestFirst
from pocketfed.protocol import wire
from pocketfed.protocol.artifact import MANIFEST
from pocketfed.protocol.errors import ConfigError, WorkerLost
from pocketfed.protocol.messages import Outcome, Report
from pocketfed.protocol.plan import EvaluationSettings, Plan, RetryWindow, RoundKind, RoundSettings

PHONES, ROUNDS = 9, 3
CODECS = ["float32", "topk:0.1+zlib"]


class Deadly(LiteRTTrainer):
    """Ends the process it is in."""

    def train(self, *args, **options):
        os.kill(os.getpid(), signal.SIGKILL)
        return super().train(*args, **options)


@pytest.fixture(scope="module")
def owned(make_examples):
    return Listed([make_examples(5 + 7 * device, seed=device) for device in range(PHONES)])


@pytest.fixture(scope="module")
def bodies(artifact):
    found = (
        artifact.model,
        (artifact.folder / MANIFEST).read_bytes(),
        artifact.bytes_of("checkpoint.safetensors"),
    )
    return {wire.sha256(body): body for body in found}


@pytest.fixture(scope="module")
def job(bodies):
    model, manifest, checkpoint = bodies
    return Job(
        kind=RoundKind.TRAIN,
        model=model,
        manifest=manifest,
        checkpoint=checkpoint,
        plan=Plan(epochs=2, batch_size=10),
        codec="topk:0.1",
        device=3,
        round=1,
        seed=0,
        steps=6,
    )


@pytest.fixture(scope="module", params=[1, 2])
def processes(request, owned):
    """Started once for all tests, as in a run."""
    with Processes(owned, count=request.param) as workers:
        yield workers


def run(host, owned, workers=None, *, codec="float32"):
    """The last checkpoint of a small run with training, measuring and silent phones."""
    settings = RoundSettings(
        goal=3,
        over_selection=1.5,
        rounds=ROUNDS,
        retry=RetryWindow(min_s=100.0, max_s=200.0),
        codecs=(codec,),
        evaluation=EvaluationSettings(goal=3),
    )
    clock = VirtualClock()
    server = host(settings, clock=clock)
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=Conditions(drop_out=0.2)),
        owned=owned,
        session=server.session,
        clock=clock,
        workers=workers,
    )
    fleet.run(until=lambda: fleet.tallies.of(ROUNDS, 1).accepted == 3)
    history = server.history()
    measured = [(one.version, one.metrics) for one in history.evaluations]
    return history.checkpoints[-1].sha256, measured, fleet.tallies.rounds()


@pytest.fixture(scope="module")
def alone() -> dict[str, object]:
    """What runs without workers came to, by codec."""
    return {}


@pytest.fixture
def expected(host, owned, alone):
    def find(codec):
        if codec not in alone:
            alone[codec] = run(host, owned, codec=codec)
        return alone[codec]

    return find


@pytest.mark.parametrize("codec", CODECS)
def test_a_run_ends_at_the_same_bits_whatever_the_number_of_processes(
    host, owned, processes, codec, expected
) -> None:
    assert run(host, owned, processes, codec=codec) == expected(codec)


def test_what_a_codec_left_out_travels_with_the_next_job(owned, bodies, job, processes) -> None:
    for owed in (None, np.full(owned_size(owned, bodies, job), 0.5, np.float32)):
        asked = replace(job, owed=owed)
        here = Inline(owned).submit(asked, bodies).result()
        there = processes.submit(asked, bodies).result()
        assert (here.report, here.body) == (there.report, there.body)
        np.testing.assert_array_equal(here.left_out, there.left_out)


def owned_size(owned, bodies, job) -> int:
    left_out = Inline(owned).submit(job, bodies).result().left_out
    assert left_out is not None
    return left_out.size


def test_a_phones_own_error_comes_back_as_it_was(bodies, job, processes) -> None:
    impossible = replace(job, plan=Plan(batch_size=99))
    with pytest.raises(ConfigError, match="batch_size=99") as caught:
        processes.submit(impossible, bodies).result()
    assert caught.value.setting == "batch_size"
    assert processes.submit(job, bodies).result().body


def test_a_worker_that_dies_ends_the_run_and_says_so(host, owned) -> None:
    with (
        Processes(owned, Deadly, count=1) as workers,
        pytest.raises(WorkerLost, match=r"phone \d+ in round 1 ended without a result"),
    ):
        run(host, owned, workers)


def test_processes_end_with_the_run(owned) -> None:
    before = set(multiprocessing.active_children())
    with Processes(owned, count=1):
        (child,) = set(multiprocessing.active_children()) - before
    child.join(10)
    assert not child.is_alive()


def begin_and_sleep(owned, pipe) -> None:
    with Processes(owned, count=1):
        (child,) = multiprocessing.active_children()
        pipe.send(child.pid)
        time.sleep(60)


@pytest.mark.slow
def test_processes_end_with_a_parent_that_is_killed(owned) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=begin_and_sleep, args=(Listed([]), theirs))
    parent.start()
    worker = ours.recv()
    wait_until(lambda: has_begun(worker))
    parent.kill()
    parent.join()
    wait_until(lambda: not is_alive(worker))


def has_begun(pid: int) -> bool:
    """Whether it has more than one thread: the one that watches its parent."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1


def is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def wait_until(claim) -> None:
    ends = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < ends, "nothing happened in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def actors(owned):
    pytest.importorskip("ray")
    with RayActors(owned, count=2) as workers:
        yield workers


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
def test_a_run_on_ray_ends_at_the_same_bits(host, owned, actors, codec, expected) -> None:
    assert run(host, owned, actors, codec=codec) == expected(codec)


@pytest.mark.slow
def test_a_phones_own_error_comes_back_from_ray_too(bodies, job, actors) -> None:
    with pytest.raises(ConfigError, match="batch_size=99"):
        actors.submit(replace(job, plan=Plan(batch_size=99)), bodies).result()


@pytest.mark.parametrize(
    ("choice", "kind"), [("0", Inline), ("3", Processes), (None, Processes), ("ray", RayActors)]
)
def test_workers_are_chosen_by_a_word(owned, choice, kind) -> None:
    assert isinstance(workers_of(choice, owned), kind)


@pytest.mark.parametrize("choice", ["-1", "many", ""])
def test_any_other_word_is_refused(owned, choice) -> None:
    with pytest.raises(ConfigError, match="expected a number of processes, or ray"):
        workers_of(choice, owned)


class Place:
    """A place that works when it is told to."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, Future]] = []
        self.due_s: list[float] = []

    def __call__(self, job, bodies) -> Future:
        self.due_s.append(job.due_s)
        self.begun.append((job.steps, Future()))
        return self.begun[-1][1]


def test_of_the_jobs_that_wait_the_longest_goes_first(job) -> None:
    place = Place()
    queue = LongestFirst([place])
    done = [queue.submit(replace(job, steps=steps), {}) for steps in (3, 1, 9, 5)]
    for _ in done:
        place.begun[-1][1].set_result(Done(Report(outcome=Outcome.COMPLETED)))
    assert [steps for steps, _ in place.begun] == [3, 9, 5, 1]
    assert all(one.done() for one in done)


def test_of_jobs_as_long_the_one_that_is_asked_for_first_goes_first(job) -> None:
    place = Place()
    queue = LongestFirst([place])
    for due_s in (9.0, 3.0, 1.0, 2.0):
        queue.submit(replace(job, due_s=due_s), {})
    for _ in range(4):
        place.begun[-1][1].set_result(Done(Report(outcome=Outcome.COMPLETED)))
    assert place.due_s == [9.0, 1.0, 2.0, 3.0]


def test_jobs_handed_out_from_many_threads_are_each_done_once(job) -> None:
    begun = []

    def at_once(job, bodies):
        begun.append(job.device)
        answer = Future()
        threading.Thread(
            target=answer.set_result, args=[Done(Report(outcome=Outcome.COMPLETED))]
        ).start()
        return answer

    queue = LongestFirst([at_once] * 2)
    done = [queue.submit(replace(job, device=device), {}) for device in range(200)]
    for one in done:
        one.result(timeout=10)
    assert sorted(begun) == list(range(200))


def test_published_bytes_stay_while_a_job_needs_them_and_go_when_newer_ones_came(tmp_path) -> None:
    published = Published(tmp_path)
    published.need({"held": b"x"})
    for number in range(3 * KEPT):
        published.need({str(number): b"y"})
        published.release([str(number)])
    assert len(list(tmp_path.iterdir())) <= KEPT
    assert (tmp_path / "held").read_bytes() == b"x"
    published.release(["held"])
    published.need({"another": b"z"})
    published.release(["another"])
    assert not (tmp_path / "held").exists()
