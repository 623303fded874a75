"""The real server in a process of its own: sockets, threads, signals."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from pocketfed.protocol import wire
from pocketfed.protocol.errors import ConfigError
from pocketfed.protocol.messages import Assignment
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server import Config, create_app

SPEC = WeightSpec.of({"kernel": (50, 40)})
START = Weights(SPEC, np.ones(SPEC.size, np.float32))


def test_it_says_where_it_is_and_ends_when_it_is_asked_to(live) -> None:
    assert live.line == f"pocketfed server at {live.url}\n"
    assert live.end(signal.SIGTERM) == 0
    assert not (live.data / "server.json").exists()
    assert (live.data / "admin.token").exists()


def test_its_folder_is_its_own_until_it_is_killed(live) -> None:
    with pytest.raises(ConfigError, match="another server"):
        create_app(Config(data_dir=live.data))
    live.kill()
    app = create_app(Config(data_dir=live.data))
    app.extensions["pocketfed"].close()


def test_a_second_server_on_the_folder_says_why_it_does_not_start(live) -> None:
    command = [
        sys.executable,
        "-m",
        "pocketfed.cli",
        "serve",
        "--port=0",
        f"--data_dir={live.data}",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20.0)
    assert ended.returncode != 0
    assert "another server runs on this folder" in ended.stderr


def test_sixteen_devices_at_once_get_exactly_the_places_there_are(live) -> None:
    live.create_task(START, goal=5, over_selection=2.0)
    phones = [live.phone() for _ in range(16)]
    together = Barrier(len(phones))

    def check_in(phone) -> bool:
        together.wait(10.0)
        return isinstance(phone.check_in(), Assignment)

    with ThreadPoolExecutor(len(phones)) as pool:
        answers = list(pool.map(check_in, phones))
    assert sum(answers) == 10
    assert len(live.rows("assignments")) == 10
    (current,) = live.rows("rounds")
    assert (current["assigned"], current["phase"]) == (10, "reporting")


def test_a_body_cut_by_the_network_changes_nothing(live) -> None:
    live.create_task(START)
    phone = live.phone()
    phone.check_in()
    body = wire.encode(Weights(SPEC, np.full(SPEC.size, 0.5, np.float32)))
    instruction = phone.announce(body)
    before = (live.rows("assignments"), live.rows("history"), live.blobs())
    with live.half_upload(phone, body) as connection:
        connection.shutdown(1)
        assert b"201" not in connection.recv(4096)
    assert (live.rows("assignments"), live.rows("history"), live.blobs()) == before
    assert live.rows("updates") == []
    assert phone.client.upload(instruction, body).sha256 == wire.sha256(body)


def test_stalled_uploads_do_not_keep_others_waiting(live) -> None:
    live.create_task(START, goal=20)
    body = wire.encode(Weights(SPEC, np.full(SPEC.size, 0.5, np.float32)))
    stalled = []
    for _ in range(12):
        phone = live.phone()
        phone.check_in()
        phone.announce(body)
        stalled.append(live.half_upload(phone, body))
    quick = live.phone()
    quick.check_in()
    assert quick.deliver(START).bytes == len(body)
    for connection in stalled:
        connection.close()


def test_the_goal_commits_without_waiting_for_a_tick(live) -> None:
    live.create_task(START, goal=1)
    phone = live.phone()
    phone.check_in()
    phone.deliver(START)
    checkpoint = live.wait_for_version(1)
    expected = wire.encode(Weights(SPEC, np.full(SPEC.size, 2.0, np.float32)))
    assert checkpoint.sha256 == wire.sha256(expected)
