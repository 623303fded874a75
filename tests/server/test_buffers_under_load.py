"""A buffered task under many phones at once: two workers and two coordinators on PostgreSQL."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pocketfed.protocol.errors import RoundError, Unavailable
from pocketfed.protocol.messages import Assignment
from pocketfed.protocol.plan import Buffering, RetryWindow
from pocketfed.protocol.weights import Weights, WeightSpec
from pocketfed.server import Config
from pocketfed.server.operating.audit import audit

SPEC = WeightSpec.of({"kernel": (50, 40)})
START = Weights(SPEC, np.ones(SPEC.size, np.float32))
PHONES, VERSIONS, CONCURRENCY = 8, 12, 5


def serve(workers, number: int, *, until: float) -> list[int]:
    """One phone that comes again and again; returns the status of each upload."""
    rng = np.random.default_rng(number)
    phone, seen = workers.phone(), []
    delta = Weights(SPEC, rng.normal(0.0, 0.1, SPEC.size).astype(np.float32))
    while time.monotonic() < until and workers.admin.history("task").task.status == "running":
        if not isinstance(phone.check_in(), Assignment):
            time.sleep(0.02)
            continue
        time.sleep(0.02 * number)  # the later ones are slow
        try:
            phone.deliver(delta, num_examples=1 + number)
            seen.append(201)
        except (RoundError, Unavailable) as error:  # comes back and delivers the same again
            seen.append(error.status)
    return seen


@pytest.mark.slow
def test_phones_of_unequal_speed_fill_buffers_together(workers, coordinate) -> None:
    coordinators = [coordinate(workers.data, workers.database) for _ in range(2)]
    workers.create_task(
        START,
        goal=2,
        rounds=VERSIONS,
        retry=RetryWindow(min_s=0.0, max_s=0.1),
        buffer=Buffering(concurrency=CONCURRENCY, max_staleness=4),
    )
    until = time.monotonic() + 60.0
    with ThreadPoolExecutor(PHONES) as pool:
        runs = [pool.submit(serve, workers, number, until=until) for number in range(PHONES)]
        statuses = [status for run in runs for status in run.result()]
    assert workers.admin.history("task").task.status == "finished"
    assert set(statuses) <= {201, 409, 503}
    assert len(workers.rows("updates")) == statuses.count(201) == 2 * VERSIONS
    assert sum(row["staleness"] for row in workers.rows("contributions")) > 0
    assert workers.end(signal.SIGTERM) == 0
    for one in coordinators:
        one.end(signal.SIGTERM)
    findings = audit(
        Config(data_dir=workers.data, database=workers.database, keep_updates_s=3600.0)
    )
    assert [line for one in findings for line in one.violations] == []
