"""A disk that fills up or fails: only what is kept is acknowledged, and later all goes on."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import PocketFedError, Unavailable
from pocketfed.protocol.messages import Assignment, RejectionReason
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server.blobs import FolderBlobs

SPEC = WeightSpec.of({"kernel": (256, 256)})
DISK_BYTES = 4 * 1024**2


def delta(value: float) -> Weights:
    return Weights(SPEC, np.full(SPEC.size, value, np.float32))


class SmallDisk:
    """A file system of four megabytes, and ballast to fill it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ballast = path / "ballast"

    def fill(self, *, leaving: int) -> None:
        free = shutil.disk_usage(self.path).free
        with self.ballast.open("ab") as file:
            file.write(b"\0" * max(0, free - leaving))

    def clear(self) -> None:
        self.ballast.unlink()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(path)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this kernel lets us mount no tmpfs: it needs root")
    yield SmallDisk(path)
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def server(disk, rehearsal_in):
    server = rehearsal_in(disk.path)
    server.create_task(checkpoint=delta(1.0))
    yield server
    server.stop()


def waiting(server) -> list[str]:
    return [name for name in server.blobs() if name.startswith("incoming-")]


def test_a_disk_that_fills_up_in_the_middle_of_uploads_loses_nothing(server, disk) -> None:
    first, second = server.phone(), server.phone()
    for phone in (first, second):
        phone.check_in()
    first.deliver(delta(0.5), num_examples=10)
    body = wire.encode(delta(1.0))
    instruction = second.announce(body, num_examples=30)
    disk.fill(leaving=len(body) // 2)
    before = (server.rows("updates"), server.rows("history"), server.blobs())
    for _ in range(2):
        with pytest.raises(Unavailable, match="disk is full"):
            second.client.upload(instruction, body)
    assert (server.rows("updates"), server.rows("history"), server.blobs()) == before
    disk.clear()
    assert second.client.upload(instruction, body).sha256 == wire.sha256(body)
    assert np.array_equal(server.weights(spec=SPEC), np.full(SPEC.size, 1.875, np.float32))


def test_a_disk_that_is_full_at_the_commit_commits_the_same_bits_later(
    server, disk, monkeypatch
) -> None:
    server.phone().serve(delta(0.5), num_examples=10)
    last = server.phone()
    last.check_in()
    body = wire.encode(delta(1.0))
    instruction = last.announce(body, num_examples=30)
    publish = FolderBlobs.publish

    def fill_after(blobs, staged):
        publish(blobs, staged)
        disk.fill(leaving=len(body) // 2)

    with monkeypatch.context() as patched:
        patched.setattr(FolderBlobs, "publish", fill_after)
        with pytest.raises(Unavailable):
            last.client.upload(instruction, body)
    assert waiting(server) == []
    assert len(server.rows("checkpoints")) == 1
    disk.clear()
    assert last.client.upload(instruction, body).sha256 == wire.sha256(body)
    assert np.array_equal(server.weights(spec=SPEC), np.full(SPEC.size, 1.875, np.float32))
    assert [row["attempt"] for row in server.rows("rounds")] == [1, 1]


def test_a_disk_without_any_room_answers_and_recovers(server, disk) -> None:
    phone = server.phone()
    phone.check_in()
    body = wire.encode(delta(0.5))
    instruction = phone.announce(body)
    disk.fill(leaving=0)
    with pytest.raises(Unavailable):
        phone.client.upload(instruction, body)
    server.server.coordinator._sweeper.sweep(server.clock())
    disk.clear()
    assert phone.client.upload(instruction, body).bytes == len(body)


def test_below_the_mark_no_place_is_given_and_a_given_one_is_honoured(disk, rehearsal_in) -> None:
    mark = 1024**2
    server = rehearsal_in(disk.path, min_free_bytes=mark)
    try:
        server.create_task(checkpoint=delta(1.0))
        holder, newcomer = server.phone(), server.phone()
        holder.check_in()
        assert server.http.get("/readyz").text == "ok\n"
        disk.fill(leaving=mark - 64 * 1024)
        turned_away = newcomer.check_in()
        assert turned_away.reason is RejectionReason.STORAGE_LOW
        assert (turned_away.retry.min_s, turned_away.retry.max_s) == (1800.0, 5400.0)
        ready = server.http.get("/readyz")
        assert (ready.status_code, ready.text[:12]) == (200, "storage low:")
        assert holder.check_in().assignment_id == holder.place.assignment_id
        assert holder.deliver(delta(0.5)).bytes == wire.encoded_bytes(SPEC)
        disk.clear()
        assert isinstance(newcomer.check_in(), Assignment)
    finally:
        server.stop()


def test_a_mark_of_zero_is_none(rehearse) -> None:
    server = rehearse(min_free_bytes=0)
    server.create_task()
    assert isinstance(server.phone().check_in(), Assignment)


def test_a_mark_above_all_room_turns_everybody_away(rehearse) -> None:
    server = rehearse(min_free_bytes=2**62)
    server.create_task()
    assert server.phone().check_in().reason is RejectionReason.STORAGE_LOW


FAILING_UPLOAD = """
import io, json, os, sys
from pathlib import Path
from pocketfed.protocol.errors import Unavailable
from pocketfed.server.blobs import FolderBlobs

folder = Path(sys.argv[1])
blobs = FolderBlobs(folder)
os.write(2, b"begin\\n")
seen = []
for _ in range(2):
    try:
        with blobs.stage(io.BytesIO(b"x" * 300_000).read, length=300_000) as staged:
            blobs.publish(staged)
        seen.append("published")
    except Unavailable as error:
        seen.append(str(error))
print(json.dumps({"seen": seen, "left": sorted(path.name for path in folder.iterdir())}))
"""


def under_strace(tmp_path, unless_present, *injections: str):
    """Two uploads in a process whose system calls fail as told; returns what it saw, its calls."""
    if shutil.which("strace") is None:
        unless_present("strace is not installed")
    calls = tmp_path / "calls"
    command = ["strace", "-f", "-y", "-o", str(calls), "-e", "trace=openat,write,fsync,close"]
    for injection in injections:
        command += ["-e", f"inject={injection}"]
    command += [sys.executable, "-c", FAILING_UPLOAD, str(tmp_path / "blobs")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    if "ptrace" in ended.stderr:
        pytest.skip("this kernel lets strace trace nothing")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout), calls.read_text().splitlines()


def test_after_a_failed_flush_the_descriptor_is_closed_and_never_used_again(
    tmp_path, unless_present
) -> None:
    result, calls = under_strace(tmp_path, unless_present, "fsync:error=EIO:when=1")
    assert result["seen"] == ["the server's disk failed; try again later", "published"]
    assert result["left"] == [wire.sha256(b"x" * 300_000)]
    failed = next(number for number, call in enumerate(calls) if "(INJECTED)" in call)
    temporary = calls[failed].partition("<")[2].partition(">")[0]
    assert "incoming-" in temporary
    after = [call for call in calls[failed + 1 :] if f"<{temporary}>" in call]
    assert [call.split()[1].partition("(")[0] for call in after] == ["close"]


def test_a_failed_flush_of_the_folder_acknowledges_nothing(tmp_path, unless_present) -> None:
    result, _ = under_strace(tmp_path, unless_present, "fsync:error=EIO:when=2")
    assert result["seen"] == ["the server's disk failed; try again later", "published"]


def test_a_disk_that_takes_a_part_at_a_time_gets_all_of_a_body(tmp_path, monkeypatch) -> None:
    write = os.write
    monkeypatch.setattr(
        "pocketfed.server.blobs.disk.os.write", lambda handle, chunk: write(handle, chunk[:70_000])
    )
    blobs, body = FolderBlobs(tmp_path / "blobs"), wire.encode(delta(0.5))
    with blobs.stage(io.BytesIO(body).read, length=len(body)) as staged:
        blobs.publish(staged)
    assert blobs.read(wire.sha256(body)) == body


@pytest.mark.parametrize("number", [5, 28, 122])
def test_an_error_of_a_write_is_503_and_the_body_may_come_again(
    rehearse, monkeypatch, number
) -> None:
    server = rehearse()
    server.create_task()
    phone = server.phone()
    phone.check_in()
    body = server.body(0.5)
    phone.announce(body)

    def fail(handle: int, chunk: bytes) -> int:
        raise OSError(number, os.strerror(number))

    before = server.everything()
    with monkeypatch.context() as patched:
        patched.setattr("pocketfed.server.blobs.disk.os.write", fail)
        answer = server.put_update(phone, body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert server.everything() == before
    assert server.put_update(phone, body).status_code == 201


def test_a_blob_that_cannot_be_read_is_no_lost_update(rehearse, monkeypatch) -> None:
    """A disk that fails for a while does not cost a round its updates."""
    server = rehearse()
    server.create_task(goal=1)
    phone = server.phone()
    phone.check_in()
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if len(path.name) == 64:
            raise OSError(5, "Input/output error")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", fail)
        with pytest.raises(PocketFedError):
            phone.deliver(server.delta(0.5))
    server.server.coordinator.tick(server.clock())
    assert np.array_equal(server.weights(), np.full(16, 1.5, np.float32))
    assert [row["phase"] for row in server.rows("rounds")] == ["committed", "selecting"]
