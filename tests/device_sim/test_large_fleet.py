"""Large fleets: a phone costs something while it is in a session, and next to nothing asleep."""

import gc
from collections import Counter

import httpx
import pytest
from pocketfed.client import Session
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.fleet import FleetSettings, VirtualClock, VirtualFleet
from pocketfed.device_sim.ownership import Listed
from pocketfed.device_sim.phones.phone import Phone
from pocketfed.device_sim.workers import Done, Job
from pocketfed.protocol.messages import Assignment, Device, Rejection, RejectionReason
from pocketfed.protocol.plan import Plan, RetryWindow

MILLION = 1_000_000
KINDS = (Phone, Done, Job, Assignment, Device)


def alive() -> Counter:
    """How many objects of a session there are."""
    gc.collect()
    # msgspec keeps records without containers from the collector; phones and jobs hold the others.
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, KINDS))


class Everybody:
    """A million phones that own the same examples."""

    phones = MILLION

    def __init__(self, examples) -> None:
        self._examples = examples

    def of(self, device):
        return self._examples

    def num_examples(self, device):
        return len(self._examples)


class Doorman:
    """A server that enrols everybody and has no place for anybody."""

    def __init__(self) -> None:
        window = RetryWindow(min_s=0.0, max_s=0.5)
        full = Rejection(reason=RejectionReason.ROUND_FULL, detail="full", retry=window)
        self._full = full.to_json()
        self.enrolled = 0
        self.tokens: list[str] = []

    def __call__(self, environ, start):
        if environ["PATH_INFO"] == "/v1/devices":
            self.enrolled += 1
            start("201 CREATED", [("Content-Type", "application/json")])
            name = f"{self.enrolled:032x}"
            return [Device(device_id=name, token=2 * name).to_json()]
        self.tokens.append(environ["HTTP_AUTHORIZATION"])
        start("200 OK", [("Content-Type", "application/json")])
        return [self._full]


@pytest.fixture
def a_million(make_examples):
    doorman = Doorman()
    with Session("http://server", app=doorman) as session:
        fleet = VirtualFleet(
            FleetSettings(population="people", arrive_within_s=1000.0),
            owned=Everybody(make_examples(3)),
            session=session,
            clock=VirtualClock(),
        )
        yield fleet, doorman


def test_of_a_million_phones_only_those_in_a_session_exist(a_million) -> None:
    fleet, _ = a_million
    others = alive()["Phone"]
    fleet.run(until=lambda: fleet.tallies.ended == 1500)
    assert alive()["Phone"] == others
    assert fleet.awake == 0


def test_a_phone_that_slept_is_still_the_same_device(a_million) -> None:
    fleet, doorman = a_million
    fleet.run(until=lambda: fleet.tallies.ended == 1500)
    # The window is short, so that many came several times, and each enrolled once.
    assert len(doorman.tokens) == 1500
    assert len(set(doorman.tokens)) == doorman.enrolled < 1500


def test_sessions_leave_no_objects_behind(artifact, make_examples, make_bench) -> None:
    server = make_bench(plan=Plan(batch_size=10)).server
    server.codec = "topk:0.1"
    session = Session("http://server", transport=httpx.MockTransport(server))
    fleet = VirtualFleet(
        FleetSettings(population="people", conditions=Conditions(drop_out=0.1)),
        owned=Listed([make_examples(7, seed=device) for device in range(20)]),
        session=session,
        clock=VirtualClock(),
    )
    counts = []
    for ended in (100, 400):
        server.requests.clear()
        fleet.run(until=lambda ended=ended: fleet.tallies.ended >= ended)
        assert fleet.awake == 0
        counts.append(alive())
    assert counts[0] == counts[1]
