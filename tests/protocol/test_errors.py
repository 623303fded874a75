"""The error tree: codes are unique, and an error survives the wire."""

import msgspec
import pytest
from pocketfed.protocol import errors
from pocketfed.protocol.errors import PocketFedError
from pocketfed.protocol.problems import Problem, from_problem, to_problem


def _all(root: type[PocketFedError] = PocketFedError) -> list[type[PocketFedError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _all(child))]


def test_every_code_is_unique() -> None:
    codes = [kind.code for kind in _all()]
    assert len(codes) == len(set(codes))


def test_the_drawing_in_the_docstring_shows_every_error() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in _all() if kind.__name__ not in drawn] == []


@pytest.mark.parametrize("kind", [kind for kind in _all() if kind.status in range(400, 500)])
def test_an_error_survives_the_wire(kind: type[PocketFedError]) -> None:
    error = kind("what to do")
    raw = msgspec.json.encode(to_problem(error))
    back = from_problem(msgspec.json.decode(raw, type=Problem))
    assert (type(back), str(back)) == (kind, "what to do")


def test_the_wait_of_an_unavailable_server_survives_the_wire() -> None:
    back = from_problem(to_problem(errors.Unavailable("restarting", retry_after_s=7)))
    assert isinstance(back, errors.Unavailable)
    assert back.retry_after_s == 7


@pytest.mark.parametrize(
    ("status", "kind"), [(503, errors.Unavailable), (418, errors.ProtocolError)]
)
def test_an_unknown_code_becomes_the_nearest_error(status: int, kind: type[PocketFedError]) -> None:
    problem = Problem(code="teapot", title="", status=status, detail="short and stout")
    assert type(from_problem(problem)) is kind
