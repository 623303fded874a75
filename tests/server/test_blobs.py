"""Every blob store keeps the same promises, be it a folder or S3."""

import io
import os
import pickle
import time
from pathlib import Path

import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import ConfigError, DigestMismatch, TruncatedBody, Unavailable
from pocketfed.server.blobs import open_blobs

BODY = b"some weights " * 50_000
NAME = wire.sha256(BODY)


class Place:
    """A blob store, and a look at what really lies there."""

    def __init__(self, folder: Path, bucket=None) -> None:
        location = "" if bucket is None else bucket.location
        self.bucket = bucket
        self.blobs = open_blobs(location, folder=folder, presigns=True)
        self.arrivals = folder / ("blobs" if bucket is None else "incoming")

    def put(self, body: bytes) -> str:
        with self.blobs.stage(io.BytesIO(body).read, length=len(body)) as staged:
            self.blobs.prepare(staged)
            self.blobs.publish(staged)
            return staged.sha256

    def damage(self, name: str) -> None:
        if self.bucket is None:
            (self.arrivals / name).write_bytes(b"damaged")
        else:
            self.bucket.put("blobs", name, b"damaged")

    def waiting(self) -> list[str]:
        return [path.name for path in self.arrivals.glob("incoming-*")]


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path) -> Place:
    bucket = None if request.param == "folder" else request.getfixturevalue("bucket")
    return Place(tmp_path, bucket)


def test_published_bytes_are_read_by_their_digest(place) -> None:
    assert place.put(BODY) == NAME
    assert place.blobs.read(NAME) == BODY
    assert place.waiting() == []


def test_the_digest_is_that_of_what_arrived(place) -> None:
    with place.blobs.stage(io.BytesIO(BODY).read, length=len(BODY)) as staged:
        assert (staged.sha256, staged.bytes, staged.read()) == (NAME, len(BODY), BODY)
        with pytest.raises(DigestMismatch, match="announced was"):
            staged.require("0" * 64)


def test_what_is_not_published_is_gone(place) -> None:
    with place.blobs.stage(io.BytesIO(BODY).read, length=len(BODY)):
        assert len(place.waiting()) == 1
    assert place.waiting() == []
    assert list(place.blobs.names(older_than_s=0.0)) == []


def test_a_body_that_ends_early_leaves_nothing(place) -> None:
    body = io.BytesIO(BODY[:-1])
    with (
        pytest.raises(TruncatedBody, match="send the whole body again"),
        place.blobs.stage(body.read, length=len(BODY)),
    ):
        pass
    assert place.waiting() == []


def test_no_more_is_read_than_was_announced(place) -> None:
    body = io.BytesIO(BODY + b"the next request")
    with place.blobs.stage(body.read, length=len(BODY)) as staged:
        assert staged.sha256 == NAME
    assert body.read() == b"the next request"


def test_the_same_bytes_again_are_harmless_and_heal_a_damaged_blob(place) -> None:
    place.put(BODY)
    place.damage(NAME)
    assert place.put(BODY) == NAME
    assert place.blobs.read(NAME) == BODY


def test_an_empty_body_is_a_body(place) -> None:
    assert place.blobs.read(place.put(b"")) == b""


def test_bytes_that_are_not_there_are_not_found(place) -> None:
    with pytest.raises(FileNotFoundError):
        place.blobs.read(NAME)
    with pytest.raises(FileNotFoundError):
        place.blobs.open(NAME)


def test_an_opened_blob_is_read_from_anywhere(place) -> None:
    place.put(BODY)
    with place.blobs.open(NAME) as file:
        assert file.seek(0, os.SEEK_END) == len(BODY)
        file.seek(5)
        assert file.read(7) == BODY[5:12]
        assert file.read() == BODY[12:]
        file.seek(0)
        assert file.read() == BODY


def test_a_pickled_reader_reads_the_same_bytes(place) -> None:
    place.put(BODY)
    reader = pickle.loads(pickle.dumps(place.blobs.reader()))
    assert reader.read(NAME) == BODY
    with pytest.raises(FileNotFoundError):
        reader.read("0" * 64)


def test_removed_bytes_are_gone_and_removing_again_is_harmless(place) -> None:
    other = place.put(b"other")
    place.put(BODY)
    place.blobs.remove(NAME, other)
    place.blobs.remove(NAME)
    place.blobs.remove()
    with pytest.raises(FileNotFoundError):
        place.blobs.read(NAME)
    assert list(place.blobs.names(older_than_s=0.0)) == []


def test_names_are_listed_by_their_age(place) -> None:
    place.put(BODY)
    assert list(place.blobs.names(older_than_s=0.0)) == [NAME]
    assert list(place.blobs.names(older_than_s=60.0)) == []


def test_old_arrivals_are_dropped_and_blobs_are_not(place) -> None:
    place.put(BODY)
    old, young = place.arrivals / "incoming-old", place.arrivals / "incoming-young"
    for path in (old, young):
        path.write_bytes(b"half a body")
    then = time.time() - 100.0
    os.utime(old, (then, then))
    place.blobs.drop_arrivals(older_than_s=60.0)
    assert place.waiting() == ["incoming-young"]
    assert place.blobs.read(NAME) == BODY


def test_a_body_that_is_swept_before_it_is_published_is_sent_again(place) -> None:
    def publish(staged) -> None:
        place.blobs.prepare(staged)
        place.blobs.publish(staged)

    with place.blobs.stage(io.BytesIO(BODY).read, length=len(BODY)) as staged:
        place.blobs.drop_arrivals(older_than_s=0.0)
        with pytest.raises(Unavailable, match="send it again"):
            publish(staged)
    assert list(place.blobs.names(older_than_s=0.0)) == []


def test_what_was_prepared_and_swept_is_published_all_the_same(place) -> None:
    with place.blobs.stage(io.BytesIO(BODY).read, length=len(BODY)) as staged:
        place.blobs.prepare(staged)
        place.blobs.remove(staged.sha256)
        place.blobs.publish(staged)
    assert place.blobs.read(NAME) == BODY


def test_a_store_that_answers_is_ready(place) -> None:
    place.blobs.require_ready()


def test_old_staging_keys_are_dropped(bucket, tmp_path) -> None:
    place = Place(tmp_path, bucket)
    bucket.put("staging", "abandoned", b"half")
    place.blobs.drop_arrivals(older_than_s=60.0)
    assert bucket.names("staging") == {"abandoned"}
    place.blobs.drop_arrivals(older_than_s=0.0)
    assert bucket.names("staging") == set()


def test_more_keys_than_one_answer_lists_are_all_swept(bucket, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pocketfed.server.blobs.s3._AT_ONCE", 2)
    place = Place(tmp_path, bucket)
    for number in range(5):
        bucket.put("staging", str(number), b"")
    place.blobs.drop_arrivals(older_than_s=0.0)
    assert bucket.names("staging") == set()


def test_a_bucket_that_is_not_there_is_unavailable_everywhere(bucket, tmp_path) -> None:
    bucket.client.delete_bucket(Bucket=bucket.name)
    blobs = Place(tmp_path, bucket).blobs
    with blobs.stage(io.BytesIO(BODY).read, length=len(BODY)) as staged:
        for action in (
            lambda: blobs.prepare(staged),
            lambda: blobs.publish(staged),
            lambda: blobs.remove(NAME),
            lambda: list(blobs.names(older_than_s=0.0)),
            blobs.require_ready,
        ):
            with pytest.raises(Unavailable, match="object store failed"):
                action()


def test_a_store_that_does_not_answer_is_unavailable(bucket, tmp_path, monkeypatch) -> None:
    from pocketfed.server.blobs import s3_place

    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setattr(s3_place, "_client", s3_place._client.__wrapped__)
    blobs = Place(tmp_path, bucket).blobs
    with pytest.raises(Unavailable, match="EndpointConnectionError"):
        blobs.read(NAME)


@pytest.mark.parametrize("location", ["s3://", "gs://bucket/x", "/var/blobs", "s3:bucket"])
def test_a_location_that_is_none_is_refused(location, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"blobs=.*expected s3://bucket/prefix"):
        open_blobs(location, folder=tmp_path, presigns=True)


def test_a_prefix_may_be_missing(bucket, tmp_path) -> None:
    blobs = open_blobs(f"s3://{bucket.name}", folder=tmp_path, presigns=False)
    with blobs.stage(io.BytesIO(BODY).read, length=len(BODY)) as staged:
        blobs.prepare(staged)
        blobs.publish(staged)
    assert list(blobs.names(older_than_s=0.0)) == [NAME]
    assert blobs.direct is None
    assert blobs.link(NAME) is None
