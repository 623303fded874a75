"""One phone: its examples, its identity on the server, and the step it takes when it wakes.

::

    CHECK_IN -> DOWNLOAD -> TRAIN -> REPORT -> UPLOAD -> CHECK_IN

A phone that is asked to measure a checkpoint does so in place of training, and uploads nothing.

``wake`` takes one step and says when to wake the phone again, so the same phone lives on a virtual
clock and on a real one. Errors end or repeat a step as docs/protocol.md, "Retrying", says; none
leaves the phone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .. import __version__
from ..client import DeviceClient
from ..protocol import wire
from ..protocol.codecs import ENCODINGS
from ..protocol.errors import PocketFedError, TokenExpired
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
from ..protocol.plan import RoundKind
from ..protocol.weights import Weights
from .conditions import PhoneConditions, retry_stream, shuffle_stream
from .data.examples import Examples
from .encoding import Encoder
from .measuring import measure
from .retrying import Remedy, RetryPolicy, Step, remedy
from .sessions import SessionOutcome, SessionRecord, ending_of
from .shelf import Shelf, Storage
from .trainers import TrainerPool

_CAPABILITIES = Capabilities(kinds=tuple(RoundKind), codecs=ENCODINGS)
# Between which marks a session shows its work.
_MARKS = {RoundKind.TRAIN: ("[", "]"), RoundKind.EVALUATE: ("(", ")")}


@dataclass(frozen=True)
class Surroundings:
    """What all phones of a fleet share."""

    population: str
    retry: RetryPolicy
    clock: Callable[[], float]
    trainers: TrainerPool
    shelf: Shelf
    observe: Callable[[SessionRecord], None]


@dataclass(frozen=True)
class Made:
    """A finished piece of local training: what to announce and what to send."""

    report: Report
    body: bytes = b""


class Phone:
    """A simulated device. Its seed, number and examples say all that it will ever compute.

    It is charging, idle and on an unmetered network whenever it checks in.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        conditions: PhoneConditions,
        client: DeviceClient,
        surroundings: Surroundings,
    ) -> None:
        self._examples = examples
        self._conditions = conditions
        self._client = client
        self._around = surroundings
        self._storage = Storage(surroundings.shelf, client)
        self._encoder = Encoder(seed=conditions.seed, device=conditions.device)
        self._rng = retry_stream(seed=conditions.seed, device=conditions.device)
        self._assignment: Assignment | None = None
        self._forsaken: str | None = None
        self._unsent: tuple[str, Made] | None = None
        self._counted_up = self._counted_down = 0
        self._tries = 0
        self._idle()

    @property
    def step(self) -> Step:
        """What the phone does when it wakes next."""
        return self._step

    def wake(self) -> float:
        """Takes the next step; returns when to be woken again, in seconds on the fleet's clock."""
        try:
            wait_s = self._act_as_known()
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
            examples_bucket=_power_of_two(len(self._examples)),
        )
        answer = self._client.check_in(self._around.population, message)
        if isinstance(answer, Rejection):
            self._end(SessionOutcome.TURNED_AWAY, "#", detail=answer.detail)
            return answer.retry.draw(self._rng)
        if answer.assignment_id == self._forsaken:
            self._end(SessionOutcome.TURNED_AWAY, "!", detail="the phone dropped out before")
            return answer.retry.draw(self._rng)
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
        self._storage.obtain(assignment)
        body = self._client.download(assignment.checkpoint)
        weights = wire.decode(body, self._storage.manifest(assignment).weight_spec)
        self._shape += "v"
        self._then(Step.TRAIN, partial(self._train, assignment, weights))
        return self._conditions.download_s(self._client.traffic.down - before)

    def _train(self, assignment: Assignment, weights: Weights) -> float:
        begins, ends = _MARKS[assignment.kind]
        self._shape += begins
        if self._conditions.drops_out(
            round_=assignment.round, attempt=assignment.attempt, kind=assignment.kind
        ):
            self._forsaken = assignment.assignment_id
            self._end(SessionOutcome.DROPPED, "!", detail="the phone fell silent")
            return assignment.retry.draw(self._rng)
        if len(self._examples) < assignment.plan.eligibility.min_examples:
            self._shape += "!"
            return self._give_up(assignment, Outcome.NOT_ELIGIBLE, detail="too few examples")
        made, modelled_s = self._made(assignment, weights)
        self._unsent = (assignment.assignment_id, made)
        self._shape += ends
        self._then(Step.REPORT, partial(self._report, assignment, made))
        return modelled_s

    def _made(self, assignment: Assignment, weights: Weights) -> tuple[Made, float]:
        """Works; returns what to send, and how long a phone like this one would have taken."""
        conditions, clock = self._conditions, self._around.clock
        trainer = self._around.trainers.get(
            assignment.model.sha256,
            self._storage.model(assignment),
            self._storage.manifest(assignment),
        )
        if assignment.kind is RoundKind.EVALUATE:
            report, modelled_s = measure(
                trainer, weights, self._examples, assignment=assignment, conditions=conditions
            )
            return Made(report), modelled_s
        rng = shuffle_stream(
            seed=conditions.seed, device=conditions.device, round_=assignment.round
        )
        started = clock()
        result = trainer.train(weights, self._examples, plan=assignment.plan, rng=rng)
        modelled_s = conditions.compute_s(result.steps)
        body = self._encoder.encode(assignment, result.delta)
        report = Report(
            outcome=Outcome.COMPLETED,
            num_examples=result.num_examples,
            bytes=len(body),
            sha256=wire.sha256(body),
            loss=result.loss,
            train_s=clock() - started + modelled_s,
        )
        return Made(report, body), modelled_s

    def _give_up(self, assignment: Assignment, outcome: Outcome, *, detail: str) -> float:
        """Tells the server next that no delta will come."""
        self._detail = detail
        report = Report(outcome=outcome)
        self._then(Step.REPORT, partial(self._report, assignment, Made(report)))
        return 0.0

    def _report(self, assignment: Assignment, made: Made) -> float:
        answer = self._client.report(assignment.assignment_id, made.report)
        if isinstance(answer, Fate):
            if made.report.outcome is Outcome.COMPLETED:
                self._end(SessionOutcome.ACCEPTED, "^", num_examples=made.report.num_examples)
            else:
                self._end(SessionOutcome.FAILED, "", detail=self._detail)
            return answer.retry.draw(self._rng)
        self._shape += "+"
        self._then(Step.UPLOAD, partial(self._upload, assignment, made, answer))
        return self._conditions.upload_s(len(made.body))

    def _upload(self, assignment: Assignment, made: Made, instruction: UploadInstruction) -> float:
        self._client.upload(instruction, made.body)
        self._encoder.accepted(assignment)
        self._end(SessionOutcome.ACCEPTED, "^", num_examples=made.report.num_examples)
        return assignment.retry.draw(self._rng)

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
            return assignment.retry.draw(self._rng)
        if answer is Remedy.REFUSED:
            return policy.refused_wait_s(self._rng)
        return policy.no_answer_wait_s(self._rng)

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
