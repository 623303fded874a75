"""One phone: its examples, its identity on the server, and the step it takes when it wakes.

::

    CHECK_IN -> DOWNLOAD -> TRAIN -> REPORT -> UPLOAD -> CHECK_IN

A phone that is asked to measure a checkpoint does so in place of training, and uploads nothing.

``wake`` takes one step and says when to wake the phone again, so the same phone lives on a virtual
clock and on a real one. It is woken only while it is eligible; when that ends in the middle of a
session it stops at once, and goes on later if its work was done and its place is still open. Errors
end or repeat a step as docs/protocol.md, "Retrying", says; none leaves the phone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from .. import __version__
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
from .books import Books
from .circumstances import Circumstances
from .conditions import PhoneConditions, retry_stream
from .conditions.needs import Need, names_of
from .conditions.network import Way
from .conditions.silence import Point
from .data.examples import Examples
from .local_work import LocalWork, Made
from .phone_client import PhoneClient
from .retrying import Remedy, Step, remedy
from .sessions import SessionOutcome, ending_of
from .shelf import Storage
from .surroundings import Surroundings

_CAPABILITIES = Capabilities(kinds=tuple(RoundKind), codecs=ENCODINGS)
# Between which marks a session shows its work.
_MARKS = {RoundKind.TRAIN: ("[", "]"), RoundKind.EVALUATE: ("(", ")")}


class Phone:
    """A simulated device. Its seed, number and examples say all that it will ever compute."""

    def __init__(
        self,
        examples: Examples,
        *,
        conditions: PhoneConditions,
        client: PhoneClient,
        surroundings: Surroundings,
    ) -> None:
        self._examples = examples
        self._client = client
        self._around = surroundings
        self._storage = Storage(surroundings.shelf, client)
        self._work = LocalWork(examples, conditions=conditions, clock=surroundings.clock)
        self._circumstances = Circumstances(conditions, surroundings.clock)
        self._rng = retry_stream(seed=conditions.seed, device=conditions.device)
        self._assignment: Assignment | None = None
        self._forsaken: str | None = None
        self._unsent: tuple[str, Made] | None = None
        self._done_s = 0.0
        self._books = Books(
            device=conditions.device,
            tier=conditions.speed.tier,
            traffic=client.traffic,
            clock=surroundings.clock,
        )
        self._tries = 0
        self._idle()

    @property
    def step(self) -> Step:
        """What the phone does when it wakes next."""
        return self._step

    def wake(self) -> float:
        """Takes the next step; returns when to be woken again, in seconds on the fleet's clock.

        That is infinity for a phone that will never be eligible again.
        """
        missing = self._circumstances.missing(self._assignment)
        try:
            wait_s = self._stopped(missing) if missing else self._act_as_known()
        except PocketFedError as error:
            self._tries += 1
            wait_s = self._after(error)
        return self._circumstances.due_s(self._assignment, wait_s)

    def leave(self) -> None:
        """Gives an open place back if the server still listens, and goes idle."""
        if self._assignment is None:
            return
        with contextlib.suppress(PocketFedError):
            self._client.abort(self._assignment.assignment_id)
        self._end(SessionOutcome.FAILED, "!", detail="the fleet stopped")

    def _stopped(self, missing: Need) -> float:
        """Stops at once. Finished work waits for the next session, an open place is given back."""
        assignment = self._assignment
        if assignment is None:
            return 0.0
        wait_s = assignment.retry.draw(self._rng)
        if self._unsent is None or self._around.clock() < self._done_s:
            self._unsent = None
            self._books.shape = self._books.shape.removesuffix(_MARKS[assignment.kind][1])
            if Need.UNMETERED not in missing:
                with contextlib.suppress(PocketFedError):
                    report = Report(outcome=Outcome.INTERRUPTED)
                    self._client.report(assignment.assignment_id, report)
        self._end(SessionOutcome.INTERRUPTED, "!", detail=f"no longer {names_of(missing)}")
        return wait_s

    def _silent(self, assignment: Assignment) -> float:
        """Is never heard of again for this assignment."""
        self._forsaken = assignment.assignment_id
        self._end(SessionOutcome.DROPPED, "!", detail="the phone fell silent")
        return assignment.retry.draw(self._rng)

    def _act_as_known(self) -> float:
        """Takes the step; a phone whose token has ended enrols again first, as the same device."""
        try:
            return self._act()
        except TokenExpired:
            self._client.enrol(Enrolment(client_version=__version__))
            return self._act()

    def _check_in(self) -> float:
        self._books.begins()
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
            self._unsent = unsent
            self._books.shape += "v" + "".join(_MARKS[assignment.kind])
            self._then(Step.REPORT, partial(self._report, assignment, unsent[1]))
        elif missing := self._circumstances.missing(assignment):
            return self._declined(assignment, missing)
        elif self._circumstances.falls_silent(assignment, Point.CHECKED_IN):
            return self._silent(assignment)
        else:
            self._then(Step.DOWNLOAD, partial(self._download, assignment))
        return 0.0

    def _declined(self, assignment: Assignment, missing: Need) -> float:
        """Gives the place back at once: the plan asks for more than the app waits for."""
        self._books.shape += "!"
        self._give_up(assignment, Outcome.NOT_ELIGIBLE, detail=f"not {names_of(missing)}")
        return self._act()

    def _download(self, assignment: Assignment) -> float:
        before = self._client.traffic.down
        self._circumstances.require_link(assignment, Way.DOWN, tries=self._tries)
        self._storage.obtain(assignment)
        if self._circumstances.falls_silent(assignment, Point.DOWNLOADING):
            return self._silent(assignment)
        body = self._client.download(assignment.checkpoint)
        weights = wire.decode(body, self._storage.manifest(assignment).weight_spec)
        self._books.shape += "v"
        self._then(Step.TRAIN, partial(self._train, assignment, weights))
        received = self._client.traffic.down - before
        return self._circumstances.download_s(assignment, received)

    def _train(self, assignment: Assignment, weights: Weights) -> float:
        begins, ends = _MARKS[assignment.kind]
        self._books.shape += begins
        if self._circumstances.falls_silent(assignment, Point.TRAINING):
            return self._silent(assignment)
        if len(self._examples) < assignment.plan.eligibility.min_examples:
            self._books.shape += "!"
            return self._give_up(assignment, Outcome.NOT_ELIGIBLE, detail="too few examples")
        trainer = self._around.trainers.get(
            assignment.model.sha256,
            self._storage.model(assignment),
            self._storage.manifest(assignment),
        )
        made, modelled_s = self._work.made(assignment, weights, trainer)
        self._done_s = self._around.clock() + modelled_s
        self._unsent = (assignment.assignment_id, made)
        self._books.shape += ends
        self._then(Step.REPORT, partial(self._report, assignment, made))
        return modelled_s

    def _give_up(self, assignment: Assignment, outcome: Outcome, *, detail: str) -> float:
        """Tells the server next that no delta will come."""
        self._books.detail = detail
        report = Report(outcome=outcome)
        self._then(Step.REPORT, partial(self._report, assignment, Made(report)))
        return 0.0

    def _report(self, assignment: Assignment, made: Made) -> float:
        is_done = made.report.outcome is Outcome.COMPLETED
        if is_done and self._circumstances.falls_silent(assignment, Point.TRAINED):
            return self._silent(assignment)
        answer = self._client.report(assignment.assignment_id, made.report)
        if isinstance(answer, Fate):
            if is_done and self._circumstances.falls_silent(
                assignment, Point.UPLOADING, Point.UPLOADED
            ):
                return self._silent(assignment)
            if is_done:
                self._end(SessionOutcome.ACCEPTED, "^", num_examples=made.report.num_examples)
            else:
                self._end(SessionOutcome.FAILED, "", detail=self._books.detail)
            return answer.retry.draw(self._rng)
        self._books.shape += "+"
        self._then(Step.UPLOAD, partial(self._upload, assignment, made, answer))
        return self._circumstances.upload_s(assignment, len(made.body), answer)

    def _upload(self, assignment: Assignment, made: Made, instruction: UploadInstruction) -> float:
        if self._circumstances.falls_silent(assignment, Point.UPLOADING):
            with contextlib.suppress(PocketFedError):
                self._client.upload_part(instruction, made.body, share=0.5)
            return self._silent(assignment)
        if self._circumstances.breaks_off(assignment, Way.UP, tries=self._tries):
            self._client.upload_part(instruction, made.body, share=0.5)
        self._client.upload(instruction, made.body)
        if self._circumstances.falls_silent(assignment, Point.UPLOADED):
            return self._silent(assignment)
        self._work.accepted(assignment)
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
            self._books.shape += "*"
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
        record = self._books.closed(
            self._assignment, outcome, mark, detail=detail, num_examples=num_examples
        )
        if outcome not in (SessionOutcome.FAILED, SessionOutcome.INTERRUPTED):
            self._unsent = None
        self._idle()
        self._around.observe(record)

    def _idle(self) -> None:
        self._assignment = None
        self._then(Step.CHECK_IN, self._check_in)

    def _then(self, step: Step, act: Callable[[], float]) -> None:
        self._step = step
        self._act = act
        self._tries = 0


def _power_of_two(count: int) -> int:
    """``count`` rounded down to a power of two; 0 stays 0."""
    return 1 << count.bit_length() >> 1
