"""One exchange: answers, problems, silence, and the bytes of both directions."""

import httpx
import msgspec
import pytest
from pocketfed.client import Session, Traffic
from pocketfed.protocol.errors import (
    NoAnswer,
    PocketFedError,
    ProtocolError,
    RoundClosed,
    Unavailable,
)
from pocketfed.protocol.messages import CheckIn
from pocketfed.protocol.problems import to_problem


def session(answer: httpx.Response | Exception) -> Session:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Session("http://server.invalid", transport=httpx.MockTransport(handle))


def problem(error: PocketFedError) -> httpx.Response:
    return httpx.Response(
        error.status,
        content=msgspec.json.encode(to_problem(error)),
        headers={"Content-Type": "application/problem+json"},
    )


def test_a_problem_document_is_raised_as_the_error_it_names() -> None:
    with pytest.raises(RoundClosed, match="check in again"):
        session(problem(RoundClosed("check in again"))).exchange("GET", "/")


@pytest.mark.parametrize(
    "silence", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("cut")]
)
def test_silence_is_no_answer_and_may_be_retried(silence: Exception) -> None:
    with pytest.raises(NoAnswer, match="is the server running") as raised:
        session(silence).exchange("GET", "/")
    assert raised.value.retryable


@pytest.mark.parametrize(("status", "kind"), [(502, Unavailable), (418, ProtocolError)])
def test_an_answer_that_is_no_problem_document_is_sorted_by_its_status(
    status: int, kind: type[PocketFedError]
) -> None:
    with pytest.raises(kind) as raised:
        session(httpx.Response(status, text="<html>")).exchange("GET", "/")
    assert type(raised.value) is kind


def test_a_problem_document_that_cannot_be_read_does_not_hide_the_status() -> None:
    answer = httpx.Response(503, content=b"{", headers={"Content-Type": "application/problem+json"})
    with pytest.raises(Unavailable):
        session(answer).exchange("GET", "/")


def test_bodies_of_both_directions_are_counted_also_when_refused() -> None:
    traffic = Traffic()
    message = CheckIn(client_version="1")
    refusal = problem(RoundClosed("late"))
    with pytest.raises(RoundClosed):
        session(refusal).exchange("POST", "/", body=message, traffic=traffic)
    assert traffic.up == len(message.to_json())
    assert traffic.down == len(refusal.content)
