"""A task and a device agree on a codec; what it encodes is checked, kept and folded as decoded."""

import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest
from backports import zstd
from pocketfed.protocol import wire
from pocketfed.protocol.admin import CreateTask
from pocketfed.protocol.codecs import ENCODINGS, codec_named
from pocketfed.protocol.errors import (
    ImplausibleReport,
    InvalidEncoding,
    PayloadTooLarge,
    ReportConflict,
    SpecMismatch,
    UnknownCodec,
)
from pocketfed.protocol.messages import Capabilities, CheckIn, Rejection
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server import migrations
from pocketfed.server.store import Store, file_url
from sqlalchemy import create_engine

SOME = ["float16", "int8+zstd", "int4+zlib", "topk:0.25"]


def offering(*codecs):
    return CheckIn(client_version="1", capabilities=Capabilities(codecs=codecs))


def placed(server, codec):
    """A phone with a place in a task that takes nothing but this codec."""
    server.create_task(codecs=(codec,))
    phone = server.phone()
    phone.check_in(message=offering(*ENCODINGS))
    return phone


def wavy(server, scale=0.1):
    vector = np.sin(np.arange(server.spec.size)).astype(np.float32) * np.float32(scale)
    return Weights(server.spec, vector)


def refusal(phone, server, body, *, announced=None):
    """The problem document of an upload, after the report that announced it."""
    phone.announce(announced or body)
    answer = server.put_update(phone, body)
    return answer.status_code, answer.json()["code"]


def test_a_device_gets_the_tasks_first_codec_that_it_has(server) -> None:
    server.create_task(codecs=("int4+zstd", "int8+zlib", "float32"))
    phone = server.phone()
    phone.check_in(message=offering("float32", "int8", "int8+zlib"))
    assert phone.place.codec == "int8+zlib"


def test_a_device_that_says_nothing_gets_float32_by_default(server) -> None:
    server.create_task()
    phone = server.phone()
    phone.check_in()
    assert phone.place.codec == "float32"


def test_a_device_without_the_tasks_codec_is_not_capable(server) -> None:
    server.create_task(codecs=("int8", "float16"))
    answer = server.phone().check_in()
    assert isinstance(answer, Rejection)
    assert answer.reason == "not_capable"


def test_a_device_that_has_topk_takes_any_fraction(server) -> None:
    server.create_task(codecs=("topk:0.125+zstd",))
    phone = server.phone()
    phone.check_in(message=offering("topk+zstd"))
    assert phone.place.codec == "topk:0.125+zstd"


def test_an_assignment_keeps_its_codec_when_it_is_handed_out_again(server) -> None:
    server.create_task(codecs=("int8", "float16"))
    phone = server.phone()
    first = phone.check_in(message=offering("float16"))
    server.restart()
    phone.client._session = server.session()
    again = phone.check_in(message=offering("int8", "float16"))
    assert (again.assignment_id, again.codec) == (first.assignment_id, "float16")


@pytest.mark.parametrize("codec", SOME)
def test_a_round_in_each_codec_adds_what_the_codec_decodes(server, codec) -> None:
    server.create_task(codecs=(codec,), goal=1, over_selection=1.0)
    phone = server.phone()
    phone.check_in(message=offering(*ENCODINGS))
    delta = wavy(server)
    phone.deliver(delta)
    body = codec_named(codec).encode(delta, None)
    arrived = codec_named(codec).decode(body, server.spec)
    np.testing.assert_allclose(server.weights(), 1.0 + arrived, rtol=0, atol=1e-7)


def test_one_round_folds_several_codecs_to_the_bit(server) -> None:
    server.create_task(codecs=("int8+zstd", "float16"), goal=2, over_selection=1.0)
    total = np.zeros(server.spec.size)
    for codec, scale, weight in (("int8+zstd", 0.1, 3), ("float16", 0.2, 5)):
        phone, delta = server.phone(), wavy(server, scale)
        phone.check_in(message=offering(codec))
        phone.deliver(delta, num_examples=weight)
        decoded = codec_named(codec).decode(codec_named(codec).encode(delta, None), server.spec)
        total += np.rint(decoded.astype(np.float64) * 2.0**36) * weight
    wanted = (1.0 + total / 2.0**36 / 8).astype(np.float32)
    assert server.weights().tobytes() == wanted.tobytes()


def test_the_row_of_an_update_says_how_it_is_encoded(server) -> None:
    phone = placed(server, "int4+zlib")
    phone.deliver(wavy(server))
    assert [row["codec"] for row in server.rows("updates")] == ["int4+zlib"]


def test_a_framed_update_is_counted_with_the_bytes_it_took(server) -> None:
    phone = placed(server, "int8+zstd")
    receipt = phone.deliver(wavy(server))
    body = codec_named("int8+zstd").encode(wavy(server), None)
    assert receipt.bytes == len(body) == server.rounds()[0].bytes_up


@pytest.mark.parametrize("codec", ["int8", "topk:0.25"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_report_of_another_length_is_implausible(server, codec, change) -> None:
    phone = placed(server, codec)
    length = codec_named(codec).max_bytes(server.spec) + change
    with pytest.raises(ImplausibleReport, match=f"in {codec}"):
        phone.announce(b"", bytes=length)


@pytest.mark.parametrize("length", [0, 10**6])
def test_a_framed_report_is_bounded(server, length) -> None:
    phone = placed(server, "int8+zlib")
    with pytest.raises(ImplausibleReport, match=r"at most .* in int8\+zlib"):
        phone.announce(b"", bytes=length)


def test_a_framed_upload_is_as_long_as_its_report(server) -> None:
    phone = placed(server, "int8+zlib")
    body = codec_named("int8+zlib").encode(wavy(server), None)
    phone.announce(body)
    digest = wire.content_digest(wire.sha256(body))
    answer = server.put_update(phone, body + b"\0", Content_Digest=digest)
    assert (answer.status_code, answer.json()["code"]) == (409, ReportConflict.code)


def test_a_framed_upload_beyond_the_bound_is_too_large(server) -> None:
    phone = placed(server, "int8+zlib")
    body = codec_named("int8+zlib").encode(wavy(server), None)
    longest = bytes(codec_named("int8+zlib").max_bytes(server.spec) + 1)
    assert refusal(phone, server, longest, announced=body) == (413, PayloadTooLarge.code)


def test_a_bomb_is_refused_and_nothing_of_it_is_kept(server) -> None:
    phone = placed(server, "int8+zstd")
    bomb = zstd.compress(bytes(4 * 1024**2))
    before = server.blobs()
    assert refusal(phone, server, bomb) == (413, PayloadTooLarge.code)
    assert (server.blobs(), server.rows("updates")) == (before, [])


def test_a_float32_body_is_no_int8_body(server) -> None:
    phone = placed(server, "int8+zstd")
    body = zstd.compress(wire.encode(wavy(server))[: codec_named("int8").max_bytes(server.spec)])
    assert refusal(phone, server, body)[0] == 422


def test_a_broken_frame_is_refused(server) -> None:
    phone = placed(server, "int8+zlib")
    assert refusal(phone, server, b"no frame at all") == (422, InvalidEncoding.code)


def test_a_decoded_element_beyond_the_sum_is_implausible(server) -> None:
    phone = placed(server, "int8")
    body = codec_named("int8").encode(wavy(server, 100.0), None)
    assert refusal(phone, server, body) == (422, ImplausibleReport.code)


def test_an_unknown_codec_is_refused_when_the_task_is_created(server) -> None:
    summary = server.create_task()
    message = msgspec.to_builtins(
        CreateTask(
            name="other",
            population="phones",
            settings=summary.settings,
            spec=server.spec.entries,
            model_sha256="0" * 64,
            manifest_sha256="0" * 64,
            checkpoint_sha256="0" * 64,
        )
    )
    message["settings"]["codecs"] = ["float32", "int8+brotli"]
    answer = server.http.post(
        "/v1/admin/tasks",
        json=message,
        headers={"Authorization": f"Bearer {server.server.admin_token}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (422, UnknownCodec.code)


def test_a_codec_that_cannot_carry_the_names_is_refused(server) -> None:
    spec = WeightSpec.of({"__scales__": (2,)})
    with pytest.raises(SpecMismatch, match="__scales__"):
        server.create_task(checkpoint=spec.zeros(), codecs=("float32", "int8"))


def test_the_places_of_an_older_folder_are_float32(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    engine = create_engine(file_url(path))
    with engine.begin() as connection:
        migrations.upgrade(connection, "0001")
    engine.dispose()
    with sqlite3.connect(path) as old:
        old.execute(
            "INSERT INTO assignments (id, round_id, device_id, state, assigned_at, ends_at)"
            " VALUES ('a', 1, 'd', 'assigned', 0, 1)"
        )
    old.close()
    store = Store.open(file_url(path), connections=1)
    with store.read() as view:
        held = view.assignment("a")
    store.close()
    assert held is not None
    assert held.codec == "float32"
