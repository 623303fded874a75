"""What one server carries on this machine, the load generator included.

Uploads are durable (written, flushed to the disk, named, and in the database) before they are
answered, and each has another body. The floor is what the same bytes cost without HTTP and without
a database: SHA-256, a file, fsync, a name; one thread, in this process, before the server is asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from absl import app, flags
from load import PAPER_CNN, Bodies, Line, Load, timed
from pocketfed.protocol.messages import Assignment, Device
from pocketfed.protocol.weights import WeightSpec
from results import Result, show

QUICK = flags.DEFINE_bool("quick", False, "fewer requests: ends within a minute")
JSON = flags.DEFINE_string("json", None, "file for the results, a list of records")
SOAK = flags.DEFINE_bool("soak", True, "also send 10,000 uploads (66 GB) and watch the memory")

SPEC = WeightSpec.of(PAPER_CNN)
CONNECTIONS = 8
STALLED = 256


def main(_: list[str]) -> None:
    bodies = Bodies(SPEC)
    with tempfile.TemporaryDirectory() as folder:
        results = [floor(bodies, Path(folder), 20 if QUICK.value else 100)]
        with embedded(Path(folder) / "data") as (load, process_id):
            results += measure("embedded", load, bodies, floor_per_s=results[0].value)
            if SOAK.value and not QUICK.value:
                results += soak(load, bodies, process_id)
    show(results, JSON.value)


def measure(profile: str, load: Load, bodies: Bodies, *, floor_per_s: float) -> list[Result]:
    """Check-ins, uploads, and check-ins while many uploads stand still."""
    uploads, check_ins = (100, 500) if QUICK.value else (400, 3000)
    load.create_task(profile, SPEC, goal=check_ins + STALLED + uploads, rounds=None)
    devices = load.enrol(check_ins + STALLED, threads=CONNECTIONS)
    places: list[tuple[Device, Assignment]] = []

    def check_in(line: Line, device: Device) -> None:
        place = load.check_in(line, device, profile)
        if place is None:
            raise RuntimeError("a device was turned away")
        places.append((device, place))

    check_in_s = timed(lambda: load.spread(check_in, devices[:check_ins], threads=CONNECTIONS))
    announced = load.spread(
        lambda line, pair: load.announce(line, *pair, bodies),
        places[: uploads + STALLED],
        threads=CONNECTIONS,
    )
    upload_s = timed(
        lambda: load.spread(
            lambda line, upload: load.upload(line, upload, bodies),
            announced[:uploads],
            threads=CONNECTIONS,
        )
    )
    slow = announced[uploads:]
    with load.stalled(slow, bodies):
        waits = load.spread(
            lambda line, device: timed(lambda: check_in(line, device)),
            devices[check_ins:],
            threads=1,
        )
    rate = uploads / upload_s
    return [
        Result(f"{profile}: check-ins", check_ins / check_in_s, "1/s", check_ins),
        Result(f"{profile}: durable uploads of 6.65 MB", rate, "1/s", uploads),
        Result(f"{profile}: uploads / floor", rate / floor_per_s, "x", uploads),
        Result(
            f"{profile}: slowest check-in, {len(slow)} stalled uploads",
            max(waits),
            "s",
            len(waits),
        ),
    ]


def soak(load: Load, bodies: Bodies, process_id: int) -> list[Result]:
    """The server's memory while rounds of a hundred updates come and go."""
    rounds, goal = 100, 100
    load.create_task("soak", SPEC, goal=goal, rounds=rounds)
    devices = load.enrol(goal, threads=CONNECTIONS)
    peaks_mib = []

    def serve(line: Line, device: Device) -> None:
        while (place := load.check_in(line, device, "soak")) is None:
            time.sleep(0.2)  # the last round is being folded
        load.upload(line, load.announce(line, device, place, bodies), bodies)
        peaks_mib.append(resident_mib(process_id))

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


@contextmanager
def embedded(data: Path) -> Iterator[tuple[Load, int]]:
    """The server as an operator starts it."""
    command = [sys.executable, "-m", "pocketfed.cli", "serve", "--port=0", f"--data_dir={data}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            yield listening(data, process), process.pid
        finally:
            process.terminate()


def listening(data: Path, process: subprocess.Popen[bytes]) -> Load:
    address = data / "server.json"
    give_up_at = time.monotonic() + 30.0
    while not address.exists():
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise RuntimeError("the server did not start")
        time.sleep(0.05)
    url = urlsplit(json.loads(address.read_text())["url"])
    token = (data / "admin.token").read_text().strip()
    return Load(url.hostname or "", url.port or 0, token)


def resident_mib(process_id: int) -> float:
    """The memory of a process now, in MiB (Linux)."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    app.run(main)
