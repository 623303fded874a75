"""One phone: its examples, its identity on the server, and the step it takes when it wakes.

::

    CHECK_IN -> DOWNLOAD -> TRAIN -> REPORT -> UPLOAD -> CHECK_IN

A phone that is asked to measure a checkpoint does so in place of training, and uploads nothing.
Training takes two wakes: one hands the work out, and the next, when a phone like this one would be
done, collects it.

``wake`` takes one step and says when to wake the phone again, so the same phone lives on a virtual
clock and on a real one. It is woken only while it is eligible; when that ends in the middle of a
session it stops at once, and goes on later if its work was done and its place is still open. Errors
end or repeat a step as docs/protocol.md, "Retrying", says; none leaves the phone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial

from ...protocol.errors import PocketFedError, TokenExpired, WorkerLost
from ...protocol.messages import Assignment, Fate, Outcome, Rejection, Report, UploadInstruction
from ...protocol.plan import RoundKind
from ..conditions import PhoneConditions
from ..conditions.needs import Need, names_of
from ..conditions.network import Way
from ..conditions.silence import Point
from ..workers.jobs import Done
from .books import Books
from .circumstances import Circumstances
from .handing_out import Counter, HandedOut
from .memory import NEW, Memory
from .phone_client import PhoneClient
from .retrying import Remedy, Step, remedy
from .sessions import SessionOutcome, ending_of
from .shelf import Storage
from .surroundings import Surroundings
from .waiting import Waits

# Between which marks a session shows its work.
_MARKS = {RoundKind.TRAIN: ("[", "]"), RoundKind.EVALUATE: ("(", ")")}


class Phone:
    """A simulated device. Its seed, number and examples say all that it will ever compute.

    ``client`` belongs to it alone and takes its identity from ``memory``.
    """

    def __init__(
        self,
        num_examples: int,
        *,
        conditions: PhoneConditions,
        client: PhoneClient,
        surroundings: Surroundings,
        memory: Memory = NEW,
    ) -> None:
        self._client = client
        self._client.device = memory.device
        self._around = surroundings
        self._storage = Storage(surroundings.shelf, client, memory.held)
        self._circumstances = Circumstances(conditions, surroundings.clock)
        self._counter = Counter(
            num_examples=num_examples,
            conditions=conditions,
            circumstances=self._circumstances,
            around=surroundings,
        )
        self._waits = Waits(conditions.seed, conditions.device, memory.drawn)
        self._forsaken = memory.forsaken
        self._unsent = memory.unsent
        self._assignment: Assignment | None = None
        self._books = Books(conditions, traffic=client.traffic, clock=surroundings.clock)
        self._tries = 0
        self._idle()

    @property
    def memory(self) -> Memory:
        """All that is left of the phone while it sleeps, see ``is_asleep``."""
        return Memory(
            device=self._client.device,
            drawn=self._waits.drawn,
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
        """Takes the next step; returns when to be woken again, in seconds on the fleet's clock.

        That is infinity for a phone that will never be eligible again.
        """
        missing = self._circumstances.missing(self._assignment)
        try:
            wait_s = self._stopped(missing) if missing else self._act_as_known()
        except PocketFedError as error:
            if isinstance(error, WorkerLost):
                raise  # no phone's business
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
        wait_s = self._waits.within(assignment.retry)
        if self._unsent is None and Need.UNMETERED not in missing:
            with contextlib.suppress(PocketFedError):
                self._client.report(assignment.assignment_id, Report(outcome=Outcome.INTERRUPTED))
        self._end(SessionOutcome.INTERRUPTED, "!", detail=f"no longer {names_of(missing)}")
        return wait_s

    def _silent(self, assignment: Assignment) -> float:
        """Is never heard of again for this assignment."""
        self._forsaken = assignment.assignment_id
        self._end(SessionOutcome.DROPPED, "!", detail="the phone fell silent")
        return self._waits.within(assignment.retry)

    def _act_as_known(self) -> float:
        """Takes the step; a phone whose token has ended enrols again first, as the same device."""
        try:
            return self._act()
        except TokenExpired:
            self._client.introduce()
            return self._act()

    def _check_in(self) -> float:
        self._books.begins()
        if self._client.device is None:
            self._client.introduce()
        answer = self._client.come(self._around.population, num_examples=self._counter.num_examples)
        if isinstance(answer, Rejection):
            self._books.reason = answer.reason
            self._end(SessionOutcome.TURNED_AWAY, "#", detail=answer.detail)
            return self._waits.within(answer.retry)
        if answer.assignment_id == self._forsaken:
            self._end(SessionOutcome.TURNED_AWAY, "!", detail="the phone dropped out before")
            return self._waits.within(answer.retry)
        self._forsaken = None
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
        bodies = self._storage.model(assignment)
        if self._circumstances.falls_silent(assignment, Point.DOWNLOADING):
            return self._silent(assignment)
        bodies |= self._storage.checkpoint(assignment)
        self._books.shape += "v"
        self._then(Step.TRAIN, partial(self._train, assignment, bodies))
        received = self._client.traffic.down - before
        return self._circumstances.download_s(assignment, received)

    def _train(self, assignment: Assignment, bodies: dict[str, bytes]) -> float:
        self._books.shape += _MARKS[assignment.kind][0]
        if self._circumstances.falls_silent(assignment, Point.TRAINING):
            return self._silent(assignment)
        if self._counter.num_examples < assignment.plan.eligibility.min_examples:
            self._books.shape += "!"
            return self._give_up(assignment, Outcome.NOT_ELIGIBLE, detail="too few examples")
        work = self._counter.hand_out(assignment, bodies)
        self._then(Step.TRAIN, partial(self._collect, assignment, work))
        return work.modelled_s

    def _collect(self, assignment: Assignment, work: HandedOut) -> float:
        made = self._counter.collect(work)
        self._books.deviation = made.deviation
        self._unsent = (assignment.assignment_id, made)
        self._books.shape += _MARKS[assignment.kind][1]
        self._then(Step.REPORT, partial(self._report, assignment, made))
        return 0.0

    def _give_up(self, assignment: Assignment, outcome: Outcome, *, detail: str) -> float:
        """Tells the server next that no delta will come."""
        self._books.detail = detail
        report = Report(outcome=outcome)
        self._then(Step.REPORT, partial(self._report, assignment, Done(report)))
        return 0.0

    def _report(self, assignment: Assignment, made: Done) -> float:
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
            return self._waits.within(answer.retry)
        self._books.shape += "+"
        self._then(Step.UPLOAD, partial(self._upload, assignment, made, answer))
        return self._circumstances.upload_s(assignment, len(made.body), answer)

    def _upload(self, assignment: Assignment, made: Done, instruction: UploadInstruction) -> float:
        if self._circumstances.falls_silent(assignment, Point.UPLOADING):
            with contextlib.suppress(PocketFedError):
                self._client.upload_part(instruction, made.body, share=0.5)
            return self._silent(assignment)
        if self._circumstances.breaks_off(assignment, Way.UP, tries=self._tries):
            self._client.upload_part(instruction, made.body, share=0.5)
        self._client.upload(instruction, made.body, sha256=made.report.sha256)
        if self._circumstances.falls_silent(assignment, Point.UPLOADED):
            return self._silent(assignment)
        self._counter.accepted(made, assignment.task)
        self._end(SessionOutcome.ACCEPTED, "^", num_examples=made.report.num_examples)
        return self._waits.within(assignment.retry)

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
        self._books.reason = error.code
        self._end(*ending_of(error), detail=str(error))
        if answer is Remedy.RETRY_WINDOW and assignment is not None:
            return self._waits.within(assignment.retry)
        if answer is Remedy.REFUSED:
            return policy.refused_wait_s(self._waits.next())
        return policy.no_answer_wait_s(self._waits.next())

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
