"""Whatever phones, operator and clock do in whatever order, what the tables say stays true."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pocketfed.protocol.errors import NotFound, RoundError
from pocketfed.protocol.messages import Capabilities, CheckIn, Outcome, Report
from pocketfed.protocol.plan import EvaluationSettings
from pocketfed.server import Config
from pocketfed.server.operating.audit import audit

PHONES = st.integers(0, 5)
HELD = ("assigned", "reported", "uploaded", "measured")
FINAL = ("committed", "abandoned")
ROUND_GRAPH = {
    "selecting": {"reporting", "abandoned"},
    "reporting": {"aggregating", "abandoned"},
    "aggregating": {"committed", "abandoned"},
}
ASSIGNMENT_GRAPH = {
    "assigned": {"reported", "measured", "failed", "expired", "aborted", "late"},
    "reported": {"uploaded", "expired", "aborted", "late"},
    "uploaded": {"folded"},
    "measured": {"folded"},
}


BOTH = CheckIn(client_version="1", capabilities=Capabilities(kinds=("train", "evaluate")))


def measured(loss: float, num_examples: int) -> Report:
    return Report(outcome=Outcome.COMPLETED, num_examples=num_examples, metrics={"loss": loss})


class Fleet(RuleBasedStateMachine):
    """Six phones that do as they please with rounds of two reports and three places."""

    start: Callable[[Path], Any]  # the test sets it
    task: ClassVar[dict[str, Any]] = {"evaluation": EvaluationSettings()}

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.server = type(self).start(self.folder)
        self.server.create_task(**self.task)
        self.phones = [self.server.phone() for _ in range(6)]
        self.acknowledged = set()
        self.was_set_back = False

    def teardown(self) -> None:
        self.server.stop()
        kept = {"data_dir": self.server.data, "database": self.server.database}
        findings = audit(Config(**kept, keep_updates_s=0.0))
        # What came after a deadline is known by the server's clock alone.
        proven = [one for one in findings if one.invariant.letter != "i" or not self.was_set_back]
        assert [line for one in proven for line in one.violations] == []
        shutil.rmtree(self.folder)

    @rule(phone=PHONES)
    def check_in(self, phone) -> None:
        self.phones[phone].check_in(message=BOTH)

    @rule(phone=PHONES, is_sent=st.booleans(), examples=st.integers(1, 100))
    def report(self, phone, is_sent, examples) -> None:
        one = self.phones[phone]
        if one.assignment is None:
            return
        if one.place.kind == "evaluate":
            with suppress(RoundError):
                one.client.report(one.place.assignment_id, measured(phone / 8, examples))
            return
        body = self.server.body(phone / 8)
        with suppress(RoundError):
            instruction = one.announce(body, num_examples=examples)
            if is_sent:
                one.client.upload(instruction, body)
                self.acknowledged.add(one.place.assignment_id)

    @rule(phone=PHONES, is_silent=st.booleans())
    def give_up(self, phone, is_silent) -> None:
        one = self.phones[phone]
        if one.assignment is None:
            return
        if is_silent:
            one.client.abort(one.place.assignment_id)
            return
        with suppress(RoundError):
            one.client.report(one.place.assignment_id, Report(outcome=Outcome.INTERRUPTED))

    @rule(verb=st.sampled_from(["pause", "resume", "resume"]))
    def turn(self, verb) -> None:
        getattr(self.server.admin, verb)("task")

    @rule(version=st.integers(0, 2))
    def roll_back(self, version) -> None:
        with suppress(NotFound):
            self.server.admin.roll_back("task", version=version)

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0, 60.0, 100.0, 300.0]))
    def wait(self, seconds) -> None:
        self.server.clock.wait(seconds)

    @rule(seconds=st.sampled_from([-3600.0, -60.0, 3600.0]))
    def jump(self, seconds) -> None:
        """The server's clock is set, back as well."""
        self.was_set_back |= seconds < 0.0
        self.server.clock.wait(seconds)

    @rule()
    def restart(self) -> None:
        self.server.restart()
        for phone in self.phones:
            phone.client = type(phone.client)(self.server.session(), device=phone.client.device)

    @invariant()
    def every_open_round_counts_its_places(self) -> None:
        states = {}
        for row in self.server.rows("assignments"):
            states.setdefault(row["round_id"], []).append(row["state"])
        for row in self.server.rows("rounds"):
            held = [state for state in states.get(row["id"], []) if state in HELD]
            assert row["assigned"] <= row["capacity"]
            if row["phase"] not in FINAL:
                assert row["assigned"] == len(held)
                assert row["accepted"] == held.count("uploaded") + held.count("measured")

    @invariant()
    def every_transition_is_on_its_graph(self) -> None:
        before = {}
        for row in self.server.rows("history"):
            graph = {"round": ROUND_GRAPH, "assignment": ASSIGNMENT_GRAPH}.get(row["entity"])
            key = (row["entity"], row["entity_id"])
            if graph is not None and key in before:
                assert row["state"] in graph[before[key][1]]
            assert row["seq"] == before.get(key, (0,))[0] + 1
            before[key] = (row["seq"], row["state"])

    @invariant()
    def every_acknowledged_update_counts_once_or_went_with_its_round(self) -> None:
        updates = {row["assignment_id"]: row for row in self.server.rows("updates")}
        assert set(updates) == self.acknowledged
        folded = [row["assignment_id"] for row in self.server.rows("contributions")]
        assert len(folded) == len(set(folded))
        phases = {row["id"]: row["phase"] for row in self.server.rows("rounds")}
        for assignment_id, row in updates.items():
            assert (assignment_id in folded) == (phases[row["round_id"]] == "committed")

    @invariant()
    def every_committed_round_and_every_roll_back_made_the_next_version(self) -> None:
        checkpoints = self.server.rows("checkpoints")
        committed = [
            row["base_version"] + 1
            for row in self.server.rows("rounds")
            if (row["phase"], row["kind"]) == ("committed", "train")
        ]
        back = [row["version"] for row in checkpoints if row["rolled_back_from"] is not None]
        versions = [row["version"] for row in checkpoints]
        assert versions == list(range(len(versions)))
        assert versions[1:] == sorted(committed + back)

    @invariant()
    def a_rolled_back_version_has_the_weights_of_its_parent(self) -> None:
        names = {row["version"]: row["sha256"] for row in self.server.rows("checkpoints")}
        for row in self.server.rows("checkpoints"):
            if row["rolled_back_from"] is not None:
                assert row["sha256"] == names[row["parent"]]

    @invariant()
    def every_evaluation_is_of_one_committed_round(self) -> None:
        committed = [
            row["number"]
            for row in self.server.rows("rounds")
            if (row["phase"], row["kind"]) == ("committed", "evaluate")
        ]
        assert sorted(row["version"] for row in self.server.rows("evaluations")) == committed

    @invariant()
    def only_what_is_needed_is_on_disk(self) -> None:
        phases = {row["id"]: row["phase"] for row in self.server.rows("rounds")}
        needed = {
            row["sha256"]
            for table in ("deposits", "checkpoints")
            for row in self.server.rows(table)
        }
        needed |= {
            row["sha256"]
            for row in self.server.rows("updates")
            if phases[row["round_id"]] not in FINAL
        }
        assert self.server.blobs() == needed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_tables_stay_true(kind, rehearsal_in, request) -> None:
    if kind == "postgresql":
        cluster = request.getfixturevalue("cluster")
        Fleet.start = staticmethod(lambda folder: rehearsal_in(folder, database=cluster.create()))
    else:
        Fleet.start = staticmethod(rehearsal_in)
    run_state_machine_as_test(
        Fleet,
        settings=settings(
            max_examples=8,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            print_blob=True,
        ),
    )
