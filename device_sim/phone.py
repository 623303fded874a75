"""One phone: its examples, its identity on the server, and the step it takes when it wakes.

::

    CHECK_IN -> DOWNLOAD -> TRAIN -> REPORT -> UPLOAD -> CHECK_IN

A phone that is asked to measure a checkpoint does so in place of training, and uploads nothing.
Training takes two wakes: one hands the work out, and the next, when a phone like this one would be
done, collects it.

``wake`` takes one step and says when to wake the phone again, so the same phone lives on a virtual
clock and on a real one. Errors end or repeat a step as docs/protocol.md, "Retrying", says; none
leaves the phone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np

from .. import __version__
from ..client import DeviceClient
from ..protocol.codecs import ENCODINGS
from ..protocol.errors import PocketFedError, TokenExpired, WorkerLost
from ..protocol.messages import (
    Assignment,
    Capabilities,
    CheckIn,
    Enrolment,
    Fate,
    Outcome,
    Rejection,
    Report,
    UploadInstruction,
)
from ..protocol.plan import RetryWindow, RoundKind
from .conditions import PhoneConditions, retry_stream
from .memory import NEW, Memory
from .retrying import Remedy, Step, remedy
from .sessions import SessionOutcome, SessionRecord, ending_of
from .shelf import Storage
from .surroundings import Surroundings
from .workers.jobs import Done, Job

_CAPABILITIES = Capabilities(kinds=tuple(RoundKind), codecs=ENCODINGS)
# Between which marks a session shows its work.
_MARKS = {RoundKind.TRAIN: ("[", "]"), RoundKind.EVALUATE: ("(", ")")}


class Phone:
    """A simulated device. Its seed, number and examples say all that it will ever compute.

    It is charging, idle and on an unmetered network whenever it checks in. ``client`` belongs to it
    alone and takes its identity from ``memory``.
    """

    def __init__(
        self,
        num_examples: int,
        *,
        conditions: PhoneConditions,
        client: DeviceClient,
        surroundings: Surroundings,
        memory: Memory = NEW,
    ) -> None:
        self._num_examples = num_examples
        self._conditions = conditions
        self._client = client
        self._client.device = memory.device
        self._around = surroundings
        self._storage = Storage(surroundings.shelf, client, memory.held)
        self._drawn = memory.drawn
        self._forsaken = memory.forsaken
        self._unsent = memory.unsent
        self._assignment: Assignment | None = None
        self._counted_up = self._counted_down = 0
        self._tries = 0
        self._idle()

    @property
    def memory(self) -> Memory:
        """All that is left of the phone while it sleeps, see ``is_asleep``."""
        return Memory(
            device=self._client.device,
            drawn=self._drawn,
            held=self._storage.held,
            forsaken=self._forsaken,
            unsent=self._unsent,
        )

    @property
    def is_asleep(self) -> bool:
        """Whether no session is under way."""
        return self._step is Step.CHECK_IN and self._tries == 0

    @property
    def step(self) -> Step:
        """What the phone does when it wakes next."""
        return self._step

    def wake(self) -> float:
        """Takes the next step; returns when to be woken again, in seconds on the fleet's clock."""
        try:
            wait_s = self._act_as_known()
        except WorkerLost:
            raise  # No phone's business.
        except PocketFedError as error:
            self._tries += 1
            wait_s = self._after(error)
        return self._around.clock() + wait_s

    def leave(self) -> None:
        """Gives an open place back if the server still listens, and goes idle."""
        if self._assignment is None:
            return
        with contextlib.suppress(PocketFedError):
            self._client.abort(self._assignment.assignment_id)
        self._end(SessionOutcome.FAILED, "!", detail="the fleet stopped")

    def _act_as_known(self) -> float:
        """Takes the step; a phone whose token has ended enrols again first, as the same device."""
        try:
            return self._act()
        except TokenExpired:
            self._client.enrol(Enrolment(client_version=__version__))
            return self._act()

    def _check_in(self) -> float:
        if self._client.device is None:
            self._client.enrol(Enrolment(client_version=__version__))
        message = CheckIn(
            client_version=__version__,
            capabilities=_CAPABILITIES,
            examples_bucket=_power_of_two(self._num_examples),
        )
        answer = self._client.check_in(self._around.population, message)
        if isinstance(answer, Rejection):
            self._end(SessionOutcome.TURNED_AWAY, "#", detail=answer.detail)
            return self._wait_s(answer.retry)
        if answer.assignment_id == self._forsaken:
            self._end(SessionOutcome.TURNED_AWAY, "!", detail="the phone dropped out before")
            return self._wait_s(answer.retry)
        self._forsaken = None
        return self._open(answer)

    def _open(self, assignment: Assignment) -> float:
        """Takes a place; if its delta was made before but got no answer, it is announced again."""
        self._assignment = assignment
        unsent, self._unsent = self._unsent, None
        if unsent is not None and unsent[0] == assignment.assignment_id:
            self._shape += "v" + "".join(_MARKS[assignment.kind])
            self._then(Step.REPORT, partial(self._report, assignment, unsent[1]))
        else:
            self._then(Step.DOWNLOAD, partial(self._download, assignment))
        return 0.0

    def _download(self, assignment: Assignment) -> float:
        before = self._client.traffic.down
        bodies = self._storage.obtain(assignment)
        self._shape += "v"
        self._then(Step.TRAIN, partial(self._train, assignment, bodies))
        return self._conditions.download_s(self._client.traffic.down - before)

    def _train(self, assignment: Assignment, bodies: dict[str, bytes]) -> float:
        self._shape += _MARKS[assignment.kind][0]
        if self._conditions.drops_out(
            round_=assignment.round, attempt=assignment.attempt, kind=assignment.kind
        ):
            self._forsaken = assignment.assignment_id
            self._end(SessionOutcome.DROPPED, "!", detail="the phone fell silent")
            return self._wait_s(assignment.retry)
        if self._num_examples < assignment.plan.eligibility.min_examples:
            self._shape += "!"
            return self._give_up(assignment, Outcome.NOT_ELIGIBLE, detail="too few examples")
        return self._hand_out(assignment, bodies)

    def _hand_out(self, assignment: Assignment, bodies: dict[str, bytes]) -> float:
        """Has the work begun; returns how long a phone like this one takes for it."""
        device = self._conditions.device
        job = Job.of(
            assignment,
            seed=self._conditions.seed,
            device=device,
            num_examples=self._num_examples,
            owed=self._around.debts.owed(device=device, task=assignment.task),
        )
        modelled_s = self._conditions.compute_s(job.steps)
        began_s = self._around.clock()
        done = self._around.workers.submit(job, bodies)
        took_s = self._around.clock() - began_s + modelled_s
        self._then(Step.TRAIN, partial(self._collect, assignment, done, took_s))
        return modelled_s

    def _collect(self, assignment: Assignment, done: Future[Done], took_s: float) -> float:
        """Waits for the work, which elsewhere may take longer than on the fleet's clock."""
        made = done.result()
        if assignment.kind is RoundKind.TRAIN:
            made = replace(made, report=msgspec.structs.replace(made.report, train_s=took_s))
        self._unsent = (assignment.assignment_id, made)
        self._shape += _MARKS[assignment.kind][1]
        self._then(Step.REPORT, partial(self._report, assignment, made))
        return 0.0

    def _give_up(self, assignment: Assignment, outcome: Outcome, *, detail: str) -> float:
        """Tells the server next that no delta will come."""
        self._detail = detail
        report = Report(outcome=outcome)
        self._then(Step.REPORT, partial(self._report, assignment, Done(report)))
        return 0.0

    def _report(self, assignment: Assignment, made: Done) -> float:
        answer = self._client.report(assignment.assignment_id, made.report)
        if isinstance(answer, Fate):
            if made.report.outcome is Outcome.COMPLETED:
                self._end(SessionOutcome.ACCEPTED, "^", num_examples=made.report.num_examples)
            else:
                self._end(SessionOutcome.FAILED, "", detail=self._detail)
            return self._wait_s(answer.retry)
        self._shape += "+"
        self._then(Step.UPLOAD, partial(self._upload, assignment, made, answer))
        return self._conditions.upload_s(len(made.body))

    def _upload(self, assignment: Assignment, made: Done, instruction: UploadInstruction) -> float:
        self._client.upload(instruction, made.body)
        if made.left_out is not None:
            device = self._conditions.device
            self._around.debts.accepted(made.left_out, device=device, task=assignment.task)
        self._end(SessionOutcome.ACCEPTED, "^", num_examples=made.report.num_examples)
        return self._wait_s(assignment.retry)

    def _after(self, error: PocketFedError) -> float:
        """Repeats the step, or ends the session; returns the wait in seconds."""
        policy, assignment = self._around.retry, self._assignment
        answer = remedy(error, step=self._step, tries=self._tries, policy=policy)
        if answer is Remedy.SAME_REQUEST:
            return policy.same_request_wait_s(error, tries=self._tries)
        self._tries = 0
        if answer is Remedy.GIVE_UP and assignment is not None:
            self._shape += "*"
            return self._give_up(assignment, Outcome.FAILED, detail=str(error))
        self._end(*ending_of(error), detail=str(error))
        if answer is Remedy.RETRY_WINDOW and assignment is not None:
            return self._wait_s(assignment.retry)
        if answer is Remedy.REFUSED:
            return policy.refused_wait_s(self._next_draw())
        return policy.no_answer_wait_s(self._next_draw())

    def _wait_s(self, window: RetryWindow) -> float:
        return window.draw(self._next_draw())

    def _next_draw(self) -> np.random.Generator:
        """For one wait: each draws one number."""
        conditions, drawn = self._conditions, self._drawn
        self._drawn += 1
        return retry_stream(seed=conditions.seed, device=conditions.device, drawn=drawn)

    def _end(
        self, outcome: SessionOutcome, mark: str, *, detail: str = "", num_examples: int = 0
    ) -> None:
        """Closes the books on this session and goes idle."""
        traffic, assignment = self._client.traffic, self._assignment
        record = SessionRecord(
            device=self._conditions.device,
            round=assignment.round if assignment else 0,
            attempt=assignment.attempt if assignment else 0,
            outcome=outcome,
            shape=self._shape + mark,
            num_examples=num_examples,
            bytes_up=traffic.up - self._counted_up,
            bytes_down=traffic.down - self._counted_down,
            detail=detail,
            kind=assignment.kind if assignment else RoundKind.TRAIN,
        )
        self._counted_up, self._counted_down = traffic.up, traffic.down
        if outcome is not SessionOutcome.FAILED:
            self._unsent = None
        self._idle()
        self._around.observe(record)

    def _idle(self) -> None:
        self._assignment = None
        self._shape = "-"
        self._detail = ""
        self._then(Step.CHECK_IN, self._check_in)

    def _then(self, step: Step, act: Callable[[], float]) -> None:
        self._step = step
        self._act = act
        self._tries = 0


def _power_of_two(count: int) -> int:
    """``count`` rounded down to a power of two; 0 stays 0."""
    return 1 << count.bit_length() >> 1
