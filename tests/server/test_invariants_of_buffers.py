"""Whatever happens to a buffered task in whatever order, what the tables say stays true."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from pocketfed.protocol.plan import Buffering, EvaluationSettings


def _neighbour(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Fleet: Any = _neighbour("test_invariants").Fleet
CONCURRENCY, MAX_STALENESS = 3, 2


class BufferedFleet(Fleet):
    """The same phones, of which three hold a place at a time, and buffers of two."""

    task = {
        "evaluation": EvaluationSettings(),
        "buffer": Buffering(concurrency=CONCURRENCY, max_staleness=MAX_STALENESS),
    }

    @invariant()
    def no_more_places_are_held_than_may_be(self) -> None:
        for row in self.server.rows("rounds"):
            if row["kind"] == "train" and row["phase"] in ("selecting", "reporting"):
                assert row["assigned"] - row["accepted"] <= CONCURRENCY

    @invariant()
    def an_update_is_as_stale_as_the_tables_say_and_not_too_stale(self) -> None:
        bases = {row["id"]: row["base_version"] for row in self.server.rows("rounds")}
        trained = {row["id"]: row["base_version"] for row in self.server.rows("assignments")}
        for row in self.server.rows("updates"):
            assert row["staleness"] == bases[row["round_id"]] - trained[row["assignment_id"]]
            assert 0 <= row["staleness"] <= MAX_STALENESS

    @invariant()
    def a_buffer_is_abandoned_by_the_operator_alone(self) -> None:
        rounds = [row for row in self.server.rows("rounds") if row["kind"] == "train"]
        assert {row["reason"] for row in rounds} <= {None, "rolled_back"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tables_of_a_buffered_task_stay_true(kind, rehearsal_in, request) -> None:
    if kind == "postgresql":
        cluster = request.getfixturevalue("cluster")
        start = lambda folder: rehearsal_in(folder, database=cluster.create())  # noqa: E731
    else:
        start = rehearsal_in
    BufferedFleet.start = staticmethod(start)
    run_state_machine_as_test(
        BufferedFleet,
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            print_blob=True,
        ),
    )
