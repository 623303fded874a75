"""Rounds through a network that delays, cuts, duplicates and trickles end at the very same bits."""

import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
from pocketfed.client import DeviceClient, Session
from pocketfed.protocol import wire
from pocketfed.protocol.errors import PocketFedError
from pocketfed.protocol.messages import Assignment, CheckIn, Enrolment, Outcome, Report
from pocketfed.protocol.weights import Weights, WeightSpec

SPEC = WeightSpec.of({"kernel": (60, 50)})
EXAMPLES = (10, 3, 77, 41)
ROUNDS = 2


@dataclass(frozen=True)
class Fault:
    """What happens to one connection; a cut is after so many bytes in its direction."""

    delay_s: float = 0.0
    cut_up_at: int | None = None
    cut_down_at: int | None = None
    is_half_closed: bool = False
    is_duplicated: bool = False
    trickle_bytes: int | None = None


def draw(rng: random.Random) -> Fault:
    """Two connections of three have a fault."""
    return rng.choice(
        [
            Fault(),
            Fault(),
            Fault(),
            Fault(delay_s=rng.uniform(0.01, 0.1)),
            Fault(cut_up_at=rng.randrange(13_000)),
            Fault(cut_down_at=rng.randrange(400)),
            Fault(cut_up_at=rng.randrange(13_000), is_half_closed=True),
            Fault(is_duplicated=True),
            Fault(trickle_bytes=rng.randrange(500, 3000)),
        ]
    )


class FaultProxy:
    """Passes connections on to a server, each with a fault that a seed decides."""

    def __init__(self, url: str, *, seed: int) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._server = (host, int(port))
        self._rng = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.faults: list[Fault] = []
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._start(self._accept)

    def close(self) -> None:
        """Ends every connection, so that no thread waits for bytes that will not come."""
        self._listener.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10.0)

    def _start(self, work, *arguments) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        self._listener.settimeout(0.1)
        while self._listener.fileno() >= 0:
            try:
                phone = self._listener.accept()[0]
            except TimeoutError:
                continue
            except OSError:
                return
            self.faults.append(draw(self._rng))
            self._start(self._serve, phone, self.faults[-1])

    def _serve(self, phone: socket.socket, fault: Fault) -> None:
        time.sleep(fault.delay_s)
        with phone, socket.create_connection(self._server) as server:
            self._connections += [phone, server]
            phone.settimeout(5.0)
            server.settimeout(5.0)
            sent: list[bytes] = []
            up = threading.Thread(target=self._pass_up, args=(phone, server, fault, sent))
            up.start()
            self._pass_down(server, phone, fault)
            with suppress(OSError):
                phone.shutdown(socket.SHUT_RDWR)
            up.join()
        if fault.is_duplicated:
            self._replay(b"".join(sent))

    def _pass_up(self, phone, server, fault, sent) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := phone.recv(fault.trickle_bytes or 65536):
                if fault.cut_up_at is not None and passed + len(chunk) > fault.cut_up_at:
                    server.sendall(chunk[: fault.cut_up_at - passed])
                    half = socket.SHUT_WR if fault.is_half_closed else socket.SHUT_RDWR
                    server.shutdown(half)
                    return
                if fault.trickle_bytes:
                    time.sleep(0.01)
                server.sendall(chunk)
                sent.append(chunk)
                passed += len(chunk)

    def _pass_down(self, server, phone, fault) -> None:
        passed = 0
        with suppress(OSError):
            while chunk := server.recv(65536):
                if fault.cut_down_at is not None and passed + len(chunk) > fault.cut_down_at:
                    phone.sendall(chunk[: fault.cut_down_at - passed])
                    return
                phone.sendall(chunk)
                passed += len(chunk)

    def _replay(self, sent: bytes) -> None:
        """A second copy of all that was sent reaches the server; nobody hears the answers."""
        with suppress(OSError), socket.create_connection(self._server, timeout=5.0) as server:
            self._connections.append(server)
            server.sendall(sent)
            server.shutdown(socket.SHUT_WR)
            while server.recv(65536):
                pass


@pytest.fixture
def through(live):
    """Puts a faulty network in front of the server."""
    proxies = []

    def start(seed: int) -> FaultProxy:
        proxies.append(FaultProxy(live.url, seed=seed))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.close()


def patiently(step, give_up_at: float):
    """Repeats a step as a phone does, without its waits, while trying again may help."""
    while True:
        try:
            return step()
        except PocketFedError as error:
            if not error.retryable or time.monotonic() > give_up_at:
                raise


class PatientPhone:
    """A phone that opens a connection per request and sends again what got no answer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._device = None
        self.give_up_at = time.monotonic() + 60.0

    def ask(self, step):
        def once():
            with Session(self._url, timeout_s=10.0) as session:
                return step(DeviceClient(session, device=self._device))

        return patiently(once, self.give_up_at)

    def serve(self, delta: Weights, *, num_examples: int) -> None:
        self._device = self._device or self.ask(lambda to: to.enrol(Enrolment(client_version="1")))
        body = wire.encode(delta)
        report = Report(
            outcome=Outcome.COMPLETED,
            num_examples=num_examples,
            bytes=len(body),
            sha256=wire.sha256(body),
        )
        place = self.ask(lambda to: to.check_in("phones", CheckIn(client_version="1")))
        assert isinstance(place, Assignment), place
        self.ask(lambda to: to.download(place.checkpoint))
        instruction = self.ask(lambda to: to.report(place.assignment_id, report))
        self.ask(lambda to: to.upload(instruction, body))


def work():
    rng = np.random.default_rng(17)
    start = Weights(SPEC, rng.normal(0.0, 1.0, SPEC.size).astype(np.float32))
    deltas = [
        [Weights(SPEC, rng.normal(0.0, 0.1, SPEC.size).astype(np.float32)) for _ in EXAMPLES]
        for _ in range(ROUNDS)
    ]
    return start, deltas


def undisturbed(server) -> str:
    start, deltas = work()
    server.create_task(checkpoint=start, goal=len(EXAMPLES), over_selection=1.0, rounds=ROUNDS)
    for round_ in deltas:
        for delta, n_k in zip(round_, EXAMPLES, strict=True):
            server.phone().serve(delta, num_examples=n_k)
    return str(server.admin.history("task").task.checkpoint.sha256)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_acknowledged_update_counts_once_and_no_bit_differs(
    live, server, through, seed
) -> None:
    start, deltas = work()
    live.create_task(start, goal=len(EXAMPLES), over_selection=1.0, rounds=ROUNDS)
    network = through(seed)
    phones = [PatientPhone(network.url) for _ in EXAMPLES]
    for number, round_ in enumerate(deltas, 1):
        with ThreadPoolExecutor(len(phones)) as pool:
            jobs = [
                pool.submit(phone.serve, delta, num_examples=n_k)
                for phone, delta, n_k in zip(phones, round_, EXAMPLES, strict=True)
            ]
            for job in jobs:
                job.result()
        live.wait_for_version(number)
    assert sum(fault != Fault() for fault in network.faults) >= 10
    folded = [row["assignment_id"] for row in live.rows("contributions")]
    assert len(folded) == len(set(folded)) == ROUNDS * len(EXAMPLES)
    assert {row["assignment_id"] for row in live.rows("updates")} == set(folded)
    assert [row["attempt"] for row in live.rows("rounds")] == [1] * ROUNDS
    assert live.wait_for_version(ROUNDS).sha256 == undisturbed(server)


@pytest.mark.parametrize("cut_at", [0, 150, 700, 12_000])
def test_an_upload_cut_anywhere_changes_nothing(live, through, monkeypatch, cut_at) -> None:
    start, deltas = work()
    live.create_task(start, goal=2)
    phone = live.phone()
    phone.check_in()
    body = wire.encode(deltas[0][0])
    instruction = phone.announce(body)
    monkeypatch.setitem(draw.__globals__, "draw", lambda _: Fault(cut_up_at=cut_at))
    before = (live.rows("updates"), live.rows("history"), live.blobs())
    with Session(through(0).url, timeout_s=5.0) as session, pytest.raises(PocketFedError):
        DeviceClient(session, device=phone.client.device).upload(instruction, body)
    assert (live.rows("updates"), live.rows("history"), live.blobs()) == before
    assert phone.client.upload(instruction, body).sha256 == wire.sha256(body)
