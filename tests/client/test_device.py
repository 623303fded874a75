"""An upload goes where its instruction says, with the headers that belong there."""

import httpx
import pytest
from pocketfed.client import DeviceClient, Session
from pocketfed.protocol import wire
from pocketfed.protocol.errors import ProtocolError, Unavailable
from pocketfed.protocol.messages import Device, Receipt, UploadInstruction

BODY = b"a delta"
RECEIPT = Receipt(assignment_id="1", sha256=wire.sha256(BODY), bytes=len(BODY))
SIGNED = {"Content-Type": "signed/type", "x-amz-checksum-sha256": "abc="}
# What httpx itself says of every request.
PLAIN = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length"}


class Wire:
    """Remembers what a device sends, and answers every commit and upload with a receipt."""

    def __init__(self, store_status: int = 200) -> None:
        self.seen: list[httpx.Request] = []
        self.store_status = store_status
        transport = httpx.MockTransport(self.answer)
        session = Session("http://server.invalid", transport=transport)
        self.client = DeviceClient(session, device=Device(device_id="d", token="secret"))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if request.url.host == "store.invalid":
            return httpx.Response(self.store_status, text="<Error/>")
        return httpx.Response(201, content=RECEIPT.to_json())

    def headers(self, number: int) -> dict[str, str]:
        sent = self.seen[number].headers
        return {name: value for name, value in sent.items() if name not in PLAIN}


def elsewhere() -> UploadInstruction:
    return UploadInstruction(
        url="http://store.invalid/staging/1?signature=1",
        headers=SIGNED,
        upload_within_s=9.0,
        commit_url="/v1/assignments/1/commit",
    )


def here(**headers: str) -> UploadInstruction:
    url = "/v1/assignments/1/update"
    return UploadInstruction(url=url, headers=headers, upload_within_s=9.0)


def test_another_host_gets_exactly_the_headers_of_the_instruction() -> None:
    wire_ = Wire()
    assert wire_.client.upload(elsewhere(), BODY) == RECEIPT
    put, commit = wire_.seen
    assert (put.method, str(put.url), put.content) == ("PUT", elsewhere().url, BODY)
    assert wire_.headers(0) == {name.lower(): value for name, value in SIGNED.items()}
    assert (commit.method, commit.url.path) == ("POST", "/v1/assignments/1/commit")
    assert commit.headers["Authorization"] == "Bearer secret"


def test_what_the_store_refuses_is_not_committed() -> None:
    for status, error in ((403, ProtocolError), (503, Unavailable)):
        wire_ = Wire(store_status=status)
        with pytest.raises(error):
            wire_.client.upload(elsewhere(), BODY)
        assert len(wire_.seen) == 1


def test_the_server_itself_gets_digest_type_and_token() -> None:
    wire_ = Wire()
    wire_.client.upload(here(), BODY)
    assert wire_.headers(0) == {
        "authorization": "Bearer secret",
        "content-type": wire.MEDIA_TYPE,
        "content-digest": wire.content_digest(wire.sha256(BODY)),
    }


def test_a_permission_in_the_instruction_stands_in_for_the_token() -> None:
    wire_ = Wire()
    wire_.client.upload(here(Authorization="Upload permitted"), BODY)
    assert wire_.seen[0].headers["Authorization"] == "Upload permitted"
