"""Several tasks at once: their rounds fill in step, and none is left waiting."""

from collections import Counter

from pocketfed.protocol.messages import Assignment, Capabilities, CheckIn, RejectionReason
from pocketfed.protocol.plan import EvaluationSettings
from pocketfed.protocol.weights import WeightSpec


def given(server, devices):
    """The task of the place each of so many new devices is given."""
    answers = [server.phone().check_in() for _ in range(devices)]
    return [one.task if isinstance(one, Assignment) else one.reason for one in answers]


def test_tasks_of_one_size_take_turns_and_the_oldest_begins(server) -> None:
    for name in ("old", "new"):
        server.create_task(name, goal=2, over_selection=1.0)
    expected = ["old", "new", "old", "new", RejectionReason.ROUND_FULL]
    assert given(server, 5) == expected


def test_a_full_task_leaves_its_turns_to_the_others(server) -> None:
    server.create_task("large", goal=9, over_selection=1.0)
    server.create_task("small", goal=3, over_selection=1.0)
    assert given(server, 6) == ["large", "small"] * 3
    assert given(server, 6) == ["large"] * 6


def test_while_tasks_have_places_none_is_more_than_a_turn_ahead(server) -> None:
    names = ("a", "b", "c")
    for name in names:
        server.create_task(name, goal=7, over_selection=1.0)
    taken = Counter()
    for _ in range(21):
        taken.update(given(server, 1))
        assert max(taken[name] for name in names) - min(taken[name] for name in names) <= 1
    assert taken == dict.fromkeys(names, 7)


def test_a_task_that_comes_later_does_not_catch_up_for_what_it_missed(server) -> None:
    server.create_task("old", goal=20)
    given(server, 6)
    server.create_task("new", goal=20)
    assert given(server, 4) == ["new", "old", "new", "old"]


def test_turns_survive_a_restart(server) -> None:
    for name in ("old", "new"):
        server.create_task(name, goal=5)
    assert given(server, 1) == ["old"]
    server.restart()
    assert given(server, 1) == ["new"]


def test_a_quick_task_does_not_starve_a_slow_one(server) -> None:
    """The quick one ends a round with every report; the slow one's devices take their time."""
    server.create_task("slow", goal=4, over_selection=1.0)
    server.create_task("quick", goal=1, over_selection=5.0)
    seen = Counter()
    waiting = []
    for _ in range(12):
        phone = server.phone()
        place = phone.check_in()
        seen[place.task] += 1
        if place.task == "quick":
            phone.deliver(server.delta(0.5))
        else:
            waiting.append(phone)
    assert seen == {"slow": 4, "quick": 8}
    assert [phone.place.task for phone in waiting] == ["slow"] * 4
    for phone in waiting:
        phone.deliver(server.delta(0.5))
    committed = {task.name: task.committed for task in server.admin.tasks().tasks}
    assert committed == {"slow": 1, "quick": 8}


def test_a_device_that_has_served_one_task_is_offered_the_other(server) -> None:
    for name in ("old", "new"):
        server.create_task(name)
    phone = server.phone()
    first = phone.serve(server.delta(0.5))
    assert phone.check_in().task == "new"
    assert first.assignment_id != phone.place.assignment_id


def test_a_device_that_cannot_hold_one_model_is_offered_the_other(server) -> None:
    wide = WeightSpec.of({"kernel": (100, 10)})
    server.create_task("wide", checkpoint=server.delta(1.0, wide))
    server.create_task("narrow")
    message = CheckIn(client_version="1", capabilities=Capabilities(max_bytes=4000))
    assert server.phone().check_in(message=message).task == "narrow"


def test_evaluation_comes_before_the_training_of_every_task(server) -> None:
    judging = CheckIn(client_version="1", capabilities=Capabilities(kinds=("train", "evaluate")))
    server.create_task("idle", goal=5)
    server.create_task("busy", goal=1, over_selection=1.0, evaluation=EvaluationSettings())
    given(server, 1)
    phone = server.phone()
    assert phone.check_in().task == "busy"
    phone.deliver(server.delta(0.5))
    places = [server.phone().check_in(message=judging) for _ in range(2)]
    assert [(one.task, one.kind) for one in places] == [("busy", "evaluate"), ("idle", "train")]
