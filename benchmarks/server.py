"""What one server carries on this machine, the load generator included.

Both profiles are measured: embedded (waitress, SQLite) and, where there is a PostgreSQL, scaled
(gunicorn, a coordinator). Uploads are durable (written, flushed to the disk, named, and in the
database) before they are answered, and each has another body. The floor is what the same bytes cost
without HTTP and without a database: SHA-256, a file, fsync, a name; one thread, in this process,
before the server is asked. CPU is what the server's processes took, PostgreSQL's included: unlike a
rate it hardly depends on what else the machine does.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from absl import app, flags
from load import PAPER_CNN, Bodies, Line, Load, Upload, timed
from pocketfed.protocol.messages import Assignment, Device
from pocketfed.protocol.weights import WeightSpec
from profiles import Running, embedded, scaled
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "fewer requests: ends within a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")
SOAK = flags.DEFINE_bool("soak", True, "also send 10,000 uploads (66 GB) and watch the memory")

SPEC = WeightSpec.of(PAPER_CNN)
CONNECTIONS = 8
STALLED = 256

_T = TypeVar("_T")


def main(_: list[str]) -> None:
    bodies = Bodies(SPEC)
    with tempfile.TemporaryDirectory() as folder:
        results = [floor(bodies, Path(folder), 20 if QUICK.value else 100)]
        floor_per_s = results[0].value
        with embedded(Path(folder) / "embedded") as server:
            results += measure(server, bodies, floor_per_s=floor_per_s)
        if SOAK.value and not QUICK.value:
            # A hundred devices that come again and again, as no phone should.
            with embedded(Path(folder) / "soak", "--check_ins_per_h=0") as server:
                results += soak(server, bodies)
        with scaled(Path(folder) / "scaled") as cluster:
            if cluster is not None:
                results += measure(cluster, bodies, floor_per_s=floor_per_s)
    show(results, JSON.value)


def measure(server: Running, bodies: Bodies, *, floor_per_s: float) -> list[Result]:
    """Each step of a device, and check-ins while many uploads stand still."""
    uploads, check_ins = (60, 320) if QUICK.value else (400, 3000)
    load, name = server.load, server.name
    load.create_task(name, SPEC, goal=check_ins + STALLED + uploads, rounds=None)
    load.create_task(f"{name}-full", SPEC, goal=1, rounds=None)
    devices = load.enrol(check_ins + STALLED, threads=CONNECTIONS)
    load.spread(lambda line, one: place(load, line, one, f"{name}-full"), devices[:1], threads=1)
    places: list[tuple[Device, Assignment]] = []
    announced: list[Upload] = []

    def check_in(line: Line, device: Device) -> None:
        places.append((device, place(load, line, device, name)))

    def reject(line: Line, device: Device) -> None:
        if load.check_in(line, device, f"{name}-full") is not None:
            raise RuntimeError("a full round gave a place")

    def report(line: Line, held: tuple[Device, Assignment]) -> None:
        announced.append(load.announce(line, *held, bodies))

    def upload(line: Line, one: Upload) -> None:
        load.upload(line, one, bodies)

    results = rate(server, "check-ins", check_in, devices[:check_ins])
    results += rate(server, "check-ins to a full round", reject, devices[1:check_ins])
    results += rate(server, "reports", report, places[: uploads + STALLED])
    sent = rate(server, "durable uploads of 6.65 MB", upload, announced[:uploads])
    ratio = Result(f"{name}: uploads / floor", sent[0].value / floor_per_s, "x", uploads)
    slow = announced[uploads:]
    with load.stalled(slow, bodies):
        server.rest()
        waits = load.spread(
            lambda line, device: timed(lambda: check_in(line, device)),
            devices[check_ins:],
            threads=1,
        )
    title = f"{name}: slowest check-in, {len(slow)} stalled uploads"
    return [*results, *sent, ratio, Result(title, max(waits), "s", len(waits))]


def rate(
    server: Running, kind: str, act: Callable[[Line, _T], None], over: Sequence[_T]
) -> list[Result]:
    """Requests of one kind per second, and what each costs the server."""
    before_s = server.cpu_s()
    seconds = timed(lambda: server.load.spread(act, over, threads=CONNECTIONS))
    cpu_ms = (server.cpu_s() - before_s) * 1e3 / len(over)
    title = f"{server.name}: {kind}"
    return [
        Result(title, len(over) / seconds, "1/s", len(over)),
        Result(f"{title}, CPU each", cpu_ms, "ms", len(over)),
    ]


def place(load: Load, line: Line, device: Device, population: str) -> Assignment:
    given = load.check_in(line, device, population)
    if given is None:
        raise RuntimeError("a device was turned away")
    return given


def soak(server: Running, bodies: Bodies) -> list[Result]:
    """The server's memory while rounds of a hundred updates come and go."""
    rounds, goal, load = 100, 100, server.load
    load.create_task("soak", SPEC, goal=goal, rounds=rounds)
    devices = load.enrol(goal, threads=CONNECTIONS)
    peaks_mib = []

    def serve(line: Line, device: Device) -> None:
        while (given := load.check_in(line, device, "soak")) is None:
            time.sleep(0.2)  # the last round is being folded
        load.upload(line, load.announce(line, device, given, bodies), bodies)
        peaks_mib.append(server.resident_mib())

    for _ in range(rounds):
        load.spread(serve, devices, threads=CONNECTIONS)
    return [Result("embedded: peak RSS through uploads", max(peaks_mib), "MiB", len(peaks_mib))]


def floor(bodies: Bodies, folder: Path, count: int) -> Result:
    """What must happen to every body, by itself."""

    def keep(number: int) -> None:
        tail, _ = bodies.tail(number)
        body = bodies.common + tail
        path = folder / f"floor-{number}"
        with path.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        path.replace(folder / hashlib.sha256(body).hexdigest())

    seconds = timed(lambda: [keep(number) for number in range(count)])
    for path in folder.iterdir():
        path.unlink()
    return Result("floor: SHA-256, write, fsync, rename", count / seconds, "1/s", count)


if __name__ == "__main__":
    app.run(main)
