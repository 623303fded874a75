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


def remembering(answers: list[httpx.Response], seen: list[httpx.Request]) -> Session:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers[len(seen) - 1]

    return Session("http://server.invalid", transport=httpx.MockTransport(handle))


def test_a_redirected_download_takes_no_token_along() -> None:
    seen: list[httpx.Request] = []
    elsewhere = httpx.Response(307, headers={"Location": "http://store.invalid/x?signature=1"})
    to = remembering([elsewhere, httpx.Response(200, content=b"bytes")], seen)
    answer = to.exchange("GET", "/v1/blobs/x", token="secret", headers={"Range": "bytes=1-"})
    assert answer.content == b"bytes"
    assert seen[0].headers["Authorization"] == "Bearer secret"
    assert str(seen[1].url) == "http://store.invalid/x?signature=1"
    assert "Authorization" not in seen[1].headers
    assert seen[1].headers["Range"] == "bytes=1-"


@pytest.mark.parametrize("url", ["http://store.invalid/x", "//store.invalid/x"])
def test_an_absolute_address_gets_no_token(url: str) -> None:
    seen: list[httpx.Request] = []
    remembering([httpx.Response(200)], seen).exchange("PUT", url, token="secret", body=b"x")
    assert "Authorization" not in seen[0].headers


def test_only_downloads_are_redirected() -> None:
    seen: list[httpx.Request] = []
    elsewhere = httpx.Response(307, headers={"Location": "http://store.invalid/x"})
    with pytest.raises(ProtocolError):
        remembering([elsewhere], seen).exchange("PUT", "/x", token="secret", body=b"x")


@pytest.mark.parametrize("status", [408, 429])
def test_a_store_that_asks_to_wait_is_unavailable(status: int) -> None:
    with pytest.raises(Unavailable):
        session(httpx.Response(status, text="<Error/>")).exchange("PUT", "http://store/x")
