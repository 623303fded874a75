"""A run looks at its task when there may be something to see, and seldom otherwise."""

from types import SimpleNamespace
from typing import Any

from pocketfed.cli.simulating.watching import LOOK_EVERY_S, Lookout
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.protocol.admin import TaskStatus
from pocketfed.protocol.plan import RoundKind

GOAL = 2


def ended(shape: str, *, kind: RoundKind = RoundKind.TRAIN) -> SessionRecord:
    return SessionRecord(
        device=0,
        round=1,
        attempt=1,
        outcome=SessionOutcome.ACCEPTED,
        shape=shape,
        num_examples=0,
        bytes_up=0,
        bytes_down=0,
        kind=kind,
    )


class Server:
    """Has one task, and counts how often it is asked for it."""

    def __init__(self) -> None:
        self.version, self.status, self.asked = 0, TaskStatus.RUNNING, 0

    def tasks(self) -> Any:
        self.asked += 1
        checkpoint = SimpleNamespace(version=self.version)
        task = SimpleNamespace(name="t", status=self.status, checkpoint=checkpoint)
        return SimpleNamespace(tasks=(SimpleNamespace(name="other"), task))


def lookout(server: Server) -> Lookout:
    made = Lookout(server.tasks, task="t", goal=GOAL)
    assert made.has_news(0.0)
    return made


def test_nothing_is_asked_before_enough_updates_may_have_come() -> None:
    server = Server()
    watching = lookout(server)
    watching.note(ended("-v[]+^"))
    watching.note(ended("-v[!"))
    assert not watching.has_news(1.0)
    assert server.asked == 1


def test_the_update_that_ends_a_round_brings_news_at_once() -> None:
    server = Server()
    watching = lookout(server)
    watching.note(ended("-v[]+^"))
    watching.note(ended("-v[]+!"))
    assert not watching.has_news(1.0)
    server.version = 1
    assert watching.has_news(1.5)
    assert not watching.has_news(2.0)
    assert server.asked == 3


def test_a_deadline_is_noticed_within_a_while() -> None:
    server = Server()
    watching = lookout(server)
    server.status = TaskStatus.FINISHED
    assert not watching.has_news(LOOK_EVERY_S - 1.0)
    assert watching.has_news(LOOK_EVERY_S)


def test_what_a_phone_measured_is_news() -> None:
    server = Server()
    watching = lookout(server)
    watching.note(ended("-v()^", kind=RoundKind.EVALUATE))
    assert watching.has_news(1.0)
    assert not watching.has_news(2.0)
