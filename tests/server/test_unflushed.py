"""A server whose data need not outlive a power cut waits for no disk, and answers as any other."""

import os
from pathlib import Path

import pytest
from pocketfed.protocol import wire
from pocketfed.server import create_app
from pocketfed.server.app import EXTENSION
from pocketfed.server.blobs import FolderBlobs
from pocketfed.server.config import Config
from pocketfed.server.store import Store, file_url
from sqlalchemy import text


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The descriptors that were flushed."""
    found: list[int] = []
    monkeypatch.setattr(os, "fsync", found.append)
    return found


def publish(blobs: FolderBlobs, body: bytes) -> str:
    rest = memoryview(body)
    with blobs.stage(lambda size: bytes(rest[:size]), length=len(body)) as staged:
        blobs.publish(staged)
        return staged.sha256


@pytest.mark.parametrize(("is_flushed", "times"), [(True, 2), (False, 0)])
def test_a_blob_waits_for_the_disk_only_where_it_must_last(
    tmp_path: Path, flushed: list[int], is_flushed: bool, times: int
) -> None:
    blobs = FolderBlobs(tmp_path / "blobs", is_flushed=is_flushed)
    assert blobs.read(publish(blobs, b"body")) == b"body"
    assert len(flushed) == times


@pytest.mark.parametrize(("is_flushed", "level"), [(True, 2), (False, 0)])
def test_a_commit_waits_for_the_disk_only_where_it_must_last(
    tmp_path: Path, is_flushed: bool, level: int
) -> None:
    url = file_url(tmp_path / "database.sqlite3")
    store = Store.open(url, connections=1, is_flushed=is_flushed)
    with store.write() as tx:
        assert tx._connection.scalar(text("PRAGMA synchronous")) == level
    store.close()


def test_a_server_that_flushes_nothing_keeps_what_it_was_given(
    tmp_path: Path, flushed: list[int]
) -> None:
    config = Config(data_dir=tmp_path, admin_token="operator", coordinator="inline")
    name = wire.sha256(b"body")
    for expected in (201, 200):
        app = create_app(config, is_flushed=False)
        answer = app.test_client().put(
            f"/v1/admin/blobs/{name}", data=b"body", headers={"Authorization": "Bearer operator"}
        )
        assert answer.status_code == expected
        app.extensions[EXTENSION].close()
    assert flushed == []
