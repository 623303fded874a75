"""A server in this process is told what it would be told over httpx, and answers the same."""

import httpx
import msgspec
import pytest
from pocketfed.client import Session, Traffic
from pocketfed.client.device import DeviceClient
from pocketfed.protocol.errors import RoundClosed
from pocketfed.protocol.messages import CheckIn, Device
from pocketfed.protocol.problems import to_problem

ADDRESS = "http://server.invalid:8080/under"


class App:
    """Remembers what it is told; answers as it is told to."""

    def __init__(self, status="200 OK", fields=(), parts=(b"an ", b"answer")) -> None:
        self.status, self.fields, self.parts = status, list(fields), parts
        self.environs: list[dict[str, object]] = []
        self.closed = 0

    def __call__(self, environ, start):
        body = environ.pop("wsgi.input").read()
        self.environs.append({**environ, "body": body})
        start(self.status, self.fields)
        return self

    def __iter__(self):
        return iter(self.parts)

    def close(self) -> None:
        self.closed += 1


def both(app, do):
    """What comes of the same request over httpx and without it."""
    found = []
    over_httpx = Session(ADDRESS, transport=httpx.WSGITransport(app=app))
    for to in (over_httpx, Session(ADDRESS, app=app)):
        with to as session:
            traffic = Traffic()
            answer = do(session, traffic)
            found.append((answer, traffic))
    return found


REQUESTS = {
    "get": ("GET", "/v1/blobs/abc", {}),
    "post": ("POST", "/v1/x", {"body": CheckIn(client_version="1"), "token": "secret"}),
    "post nothing": ("POST", "/v1/x/commit", {"token": "secret"}),
    "put": (
        "PUT",
        "/v1/x",
        {"body": b"\x00\xff" * 9, "headers": {"Content-Digest": "sha-256=:x:"}},
    ),
    "delete": ("DELETE", "/v1/x", {"token": "secret"}),
    "query": ("GET", "/v1/x/funnel?window_s=5&other=a%20b", {}),
    "quoted": ("GET", "/v1/a%20b/c%2Fd/\u00e9", {}),
    "own content type": ("PUT", "/v1/x", {"body": b"x", "headers": {"Content-Type": "a/b"}}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_application_sees_the_same_request(name) -> None:
    app = App(fields=[("Content-Type", "text/plain")])
    method, path, options = REQUESTS[name]
    both(app, lambda session, traffic: session.exchange(method, path, traffic=traffic, **options))
    over_httpx, in_process = app.environs
    if not path.isascii():
        # PEP 3333 wants bytes as characters; httpx hands the characters over as they are.
        over_httpx["PATH_INFO"] = str(over_httpx["PATH_INFO"]).encode().decode("latin-1")
    assert in_process == over_httpx


def test_the_answer_and_its_bytes_are_the_same() -> None:
    app = App("201 CREATED", [("Location", "/x"), ("Content-Type", "text/plain")])
    (first, traffic), (second, other_traffic) = both(
        app, lambda session, traffic: session.exchange("POST", "/", body=b"abc", traffic=traffic)
    )
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.content == b"an answer"
    assert dict(second.headers) == dict(first.headers)
    assert other_traffic == traffic == Traffic(up=3, down=9)
    assert app.closed == 2


def test_a_problem_document_is_the_error_it_names() -> None:
    body = msgspec.json.encode(to_problem(RoundClosed("too late")))
    app = App("409 CONFLICT", [("Content-Type", "application/problem+json")], [body])
    with Session(ADDRESS, app=app) as session, pytest.raises(RoundClosed, match="too late"):
        session.exchange("GET", "/")


def test_what_the_application_raises_is_raised() -> None:
    def broken(_, start):
        try:
            raise KeyError("a bug")
        except KeyError as error:
            start("500 ERROR", [], (type(error), error, error.__traceback__))
        return [b""]

    with Session(ADDRESS, app=broken) as session, pytest.raises(KeyError, match="a bug"):
        session.exchange("GET", "/")


def test_another_host_is_reached_over_the_network_and_never_sees_the_token() -> None:
    seen = []

    def store(request):
        seen.append(request)
        return httpx.Response(200, content=b"bytes")

    app = App("307 TEMPORARY REDIRECT", [("Location", "http://store.invalid/x?signature=1")], [])
    with Session(ADDRESS, transport=httpx.MockTransport(store), app=app) as session:
        answer = session.exchange("GET", "/v1/blobs/x", token="secret")
        session.exchange("PUT", "http://store.invalid/y", token="secret", body=b"z")
    assert answer.content == b"bytes"
    assert [str(request.url) for request in seen] == [
        "http://store.invalid/x?signature=1",
        "http://store.invalid/y",
    ]
    assert all("Authorization" not in request.headers for request in seen)
    assert app.environs[0]["HTTP_AUTHORIZATION"] == "Bearer secret"


def test_known_bytes_are_taken_without_hashing_and_others_are_not() -> None:
    from pocketfed.protocol import wire
    from pocketfed.protocol.errors import DigestMismatch
    from pocketfed.protocol.messages import Resource

    resource = Resource(url="/x", sha256=wire.sha256(b"good"), bytes=4)
    with Session(ADDRESS, app=App(parts=[b"good"])) as session:
        device = DeviceClient(session, device=Device(device_id="d", token="t"))
        assert device.download(resource, known=b"good") == b"good"
        assert device.download(resource) == b"good"
    with Session(ADDRESS, app=App(parts=[b"evil"])) as session:
        device = DeviceClient(session)
        with pytest.raises(DigestMismatch):
            device.download(resource, known=b"good")
