"""What befalls a phone in a session follows from the session alone."""

from __future__ import annotations

from pocketfed.device_sim.conditions import Conditions, Place
from pocketfed.device_sim.conditions.silence import ANYWHERE, Point
from pocketfed.device_sim.phones.circumstances import Circumstances
from pocketfed.protocol.messages import Assignment, Resource
from pocketfed.protocol.plan import Plan, RetryWindow, RoundKind

CONDITIONS = Conditions(drop_out=0.7, silence=ANYWHERE).of_phone(seed=0, device=3)
PLACES = [
    Place(round_, attempt, kind)
    for round_ in range(1, 41)
    for attempt in (1, 2)
    for kind in RoundKind
]


def assignment_of(place: Place) -> Assignment:
    nothing = Resource(url="/nothing", sha256="0" * 64, bytes=0)
    return Assignment(
        assignment_id="0" * 32,
        task="digits",
        kind=place.kind,
        round=place.round,
        attempt=place.attempt,
        checkpoint=nothing,
        model=nothing,
        manifest=nothing,
        plan=Plan(),
        compute_within_s=60.0,
        upload_within_s=60.0,
        retry=RetryWindow(min_s=1.0, max_s=2.0),
    )


def silences(circumstances: Circumstances, place: Place) -> list[Point]:
    """The points at which the phone says that it falls silent, each asked by itself."""
    assignment = assignment_of(place)
    return [point for point in Point if circumstances.falls_silent(assignment, point)]


def test_every_session_has_a_silence_of_its_own() -> None:
    circumstances = Circumstances(CONDITIONS, lambda: 0.0)
    for place in PLACES:
        point = CONDITIONS.silent_at(place)
        assert silences(circumstances, place) == ([] if point is None else [point])
    drawn = [CONDITIONS.silent_at(place) for place in PLACES]
    assert set(drawn) == {None, *Point}


def test_going_back_to_a_session_finds_its_silence_again() -> None:
    circumstances = Circumstances(CONDITIONS, lambda: 0.0)
    first, second = [[silences(circumstances, place) for place in PLACES] for _ in range(2)]
    assert first == second


def test_any_of_the_points_that_are_asked_for_will_do() -> None:
    circumstances = Circumstances(CONDITIONS, lambda: 0.0)
    for place in PLACES:
        is_silent = CONDITIONS.silent_at(place) is not None
        assert circumstances.falls_silent(assignment_of(place), *Point) == is_silent
