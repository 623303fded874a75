"""The scaled server over real sockets: gunicorn's workers on PostgreSQL, and a coordinator."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import httpx
import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.messages import Assignment
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"kernel": (50, 40)})
START = Weights(SPEC, np.ones(SPEC.size, np.float32))
BODY = wire.encode(Weights(SPEC, np.full(SPEC.size, 0.5, np.float32)))
STALLED = 256


@pytest.mark.slow
def test_a_round_goes_from_workers_to_a_coordinator_to_a_checkpoint(workers, coordinate) -> None:
    coordinate(workers.data, workers.database)
    workers.create_task(START, goal=8, over_selection=1.5)
    phones = [workers.phone() for _ in range(20)]
    together = Barrier(len(phones))

    def check_in(phone) -> bool:
        together.wait(20.0)
        return isinstance(phone.check_in(), Assignment)

    def deliver(phone) -> None:
        phone.deliver(Weights(SPEC, np.full(SPEC.size, 0.5, np.float32)))

    with ThreadPoolExecutor(len(phones)) as pool:
        placed = [
            phone
            for phone, is_placed in zip(phones, pool.map(check_in, phones), strict=True)
            if is_placed
        ]
        assert len(placed) == 12
        list(pool.map(deliver, placed[:8]))
    expected = wire.encode(Weights(SPEC, np.full(SPEC.size, 1.5, np.float32)))
    assert workers.wait_for_version(1).sha256 == wire.sha256(expected)
    assert len(workers.rows("contributions")) == 8


@pytest.mark.slow
def test_a_body_cut_by_the_network_changes_nothing_under_gunicorn(workers) -> None:
    workers.create_task(START)
    phone = workers.phone()
    phone.check_in()
    instruction = phone.announce(BODY)
    before = (workers.rows("assignments"), workers.rows("history"), workers.blobs())
    with workers.half_upload(phone, BODY) as connection:
        connection.shutdown(1)
        answer = connection.recv(4096)
        assert b"400" in answer.split(b"\r\n")[0]
        while b"}" not in answer:
            answer += connection.recv(4096)
    assert b"truncated_body" in answer
    assert (workers.rows("assignments"), workers.rows("history"), workers.blobs()) == before
    assert workers.rows("updates") == []
    assert phone.client.upload(instruction, BODY).sha256 == wire.sha256(BODY)


@pytest.mark.slow
def test_256_stalled_uploads_do_not_keep_a_check_in_waiting(workers) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    workers.create_task(START, goal=20)
    phone = workers.phone()
    phone.check_in()
    phone.announce(BODY)
    stalled = [workers.half_upload(phone, BODY) for _ in range(STALLED)]
    time.sleep(1.0)
    waits_s = []
    for _ in range(5):
        quick = workers.phone()
        began = time.monotonic()
        assert isinstance(quick.check_in(), Assignment)
        waits_s.append(time.monotonic() - began)
        assert quick.deliver(START).bytes == len(BODY)
    assert sorted(waits_s)[2] < 1.0
    for connection in stalled:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_a_worker_answers_others_while_one_request_waits_for_the_database(workers) -> None:
    """psycopg gives way to other greenlets only where it sees gevent's patches."""
    workers.create_task(START)
    phones = [workers.phone() for _ in range(4)]
    locked = "BEGIN; SELECT * FROM tasks FOR UPDATE"
    with workers.connect() as connection:
        connection.execute(locked)
        with ThreadPoolExecutor(len(phones)) as pool:
            waiting = [pool.submit(phone.check_in) for phone in phones]
            time.sleep(0.5)
            for _ in range(10):
                assert httpx.get(f"{workers.url}/readyz").status_code == 200
            assert not any(one.done() for one in waiting)
            connection.execute("ROLLBACK")
            assert [isinstance(one.result(), Assignment) for one in waiting].count(True) == 3


@pytest.mark.slow
def test_it_ends_in_time_and_finishes_what_it_has_begun(workers) -> None:
    workers.create_task(START)
    phone = workers.phone()
    phone.check_in()
    phone.announce(BODY)
    with workers.half_upload(phone, BODY) as connection:
        time.sleep(0.5)
        workers.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(BODY[len(BODY) // 2 :])
        assert b"201" in connection.recv(4096).split(b"\r\n")[0]
    began = time.monotonic()
    assert workers.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 30.0
    assert not (workers.data / "server.json").exists()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_nothing_acknowledged_is_lost(workers) -> None:
    workers.create_task(START)
    receipt = workers.phone().serve(START)
    for pid in children(workers.process.pid):
        os.kill(pid, signal.SIGKILL)
    give_up_at = time.monotonic() + 20.0
    while time.monotonic() < give_up_at:
        try:
            if httpx.get(f"{workers.url}/readyz", timeout=2.0).status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.1)
    assert [row["sha256"] for row in workers.rows("updates")] == [receipt.sha256]
    workers.hang_up()
    assert workers.phone().serve(START).bytes == len(BODY)
    assert json.loads((workers.data / "server.json").read_text())["url"] == workers.url


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_gunicorn_runs_the_application_from_the_environment(tmp_path, postgresql) -> None:
    address = f"unix:{tmp_path / 'socket'}"
    environment = {
        **os.environ,
        "POCKETFED_DATA_DIR": str(tmp_path / "data"),
        "POCKETFED_DATABASE": postgresql,
        "POCKETFED_COORDINATOR": "none",
    }
    flags = ["--worker-class=gevent", "--no-control-socket", f"--bind={address}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *flags, "pocketfed.server.wsgi:app()"], env=environment
    )
    try:
        assert ready_over(tmp_path / "socket") == 200
    finally:
        process.terminate()
        assert process.wait(30.0) == 0


def ready_over(path):
    give_up_at = time.monotonic() + 20.0
    while not path.exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    transport = httpx.HTTPTransport(uds=str(path), retries=3)
    with httpx.Client(transport=transport, timeout=20.0) as http:
        return http.get("http://server/readyz").status_code


@pytest.mark.slow
def test_a_server_without_its_database_says_so_and_ends(tmp_path) -> None:
    command = [
        *(sys.executable, "-m", "pocketfed.cli", "serve", "--port=0", "--workers=1"),
        *("--coordinator=none", f"--data_dir={tmp_path / 'data'}"),
        f"--database=postgresql+psycopg://nobody@/nothing?host={tmp_path}",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60.0)
    assert ended.returncode != 0
    assert "the server's database failed" in ended.stderr
