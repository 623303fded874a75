"""Traces: phones come and go as a file says, and a mistake in it is named by its line."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pocketfed.device_sim.conditions import Conditions
from pocketfed.device_sim.conditions.needs import EVERYTHING, held_until, next_instant
from pocketfed.device_sim.conditions.traces import WEEK_S, TracedPresence, read_trace
from pocketfed.protocol.errors import DataError

FILE = """device,start_s,end_s,tier,batch_ms,down_kb_s,up_kb_s
pixel, 100, 200, high, 180, 5000, 2500
nexus, 0, 50, low,,,
pixel, 300.5, 400,,,,
nexus, 604000, 604800, low,,,
"""


@pytest.fixture
def trace(tmp_path):
    def read(text, **options):
        path = tmp_path / "phones.csv"
        path.write_text(text)
        return read_trace(path, **options)

    return read


def test_a_phone_is_eligible_exactly_in_its_rows(trace):
    pixel = trace(FILE).of_phone(seed=0, device=0)
    found = {now_s: not pixel.at(now_s).lacking for now_s in (0, 99, 100, 199, 200, 300.5, 400)}
    assert found == {
        0: False,
        99: False,
        100: True,
        199: True,
        200: False,
        300.5: True,
        400: False,
    }


def test_a_trace_that_repeats_begins_again_every_week(trace):
    pixel = trace(FILE).of_phone(seed=0, device=0)
    assert next_instant(pixel, 500.0) == WEEK_S + 100
    assert next_instant(pixel, 52 * WEEK_S + 250.0) == 52 * WEEK_S + 300.5


def test_a_stretch_goes_on_across_the_end_of_the_week(trace):
    nexus = trace(FILE).of_phone(seed=0, device=1)
    ends = held_until(nexus, 604_500.0, needs=EVERYTHING, horizon_s=2 * WEEK_S)
    assert ends == WEEK_S + 50


def test_a_trace_that_ends_leaves_its_phones_away_for_good(trace):
    pixel = trace(FILE, repeats_weekly=False).of_phone(seed=0, device=0)
    assert next_instant(pixel, 399.0) == 399.0
    assert next_instant(pixel, 400.0) == math.inf


def test_what_a_file_knows_of_a_phone_stands_in_place_of_what_would_be_drawn(trace):
    conditions = Conditions(availability=trace(FILE))
    pixel, nexus = (conditions.of_phone(seed=0, device=device) for device in range(2))
    assert pixel.speed.tier == "high"
    assert pixel.compute_s(10) == pytest.approx(1.8)
    assert pixel.download_s(10**6) == pytest.approx(0.2)
    assert pixel.upload_s(10**6) == pytest.approx(0.4)
    drawn = Conditions().of_phone(seed=0, device=1)
    assert (nexus.speed.tier, nexus.compute_s(10)) == ("low", drawn.compute_s(10))
    assert nexus.network == drawn.network


def test_phones_beyond_those_of_the_file_live_like_one_of_them(trace):
    traced = trace(FILE)
    assert [traced.phone(seed=0, device=device) for device in range(2)] == list(traced.phones)
    others = {traced.phone(seed=0, device=device) for device in range(2, 40)}
    assert others == set(traced.phones)


@settings(max_examples=60)
@given(
    edges=st.lists(st.integers(0, 604_800), min_size=2, max_size=12, unique=True),
    now_s=st.floats(0.0, 100 * WEEK_S),
    repeats=st.booleans(),
)
def test_every_instant_lies_in_its_stretch(edges, now_s, repeats):
    ordered = sorted(float(edge) for edge in edges[: len(edges) // 2 * 2])
    intervals = tuple(zip(ordered[::2], ordered[1::2], strict=True))
    stretch = TracedPresence(intervals, WEEK_S if repeats else None).at(now_s)
    assert stretch.begins_s <= now_s < stretch.ends_s
    within = now_s % WEEK_S if repeats else now_s
    if all(abs(within - edge) > 1e-3 for edge in (*ordered, 0.0, WEEK_S)):
        assert (not stretch.lacking) == any(begin <= within < end for begin, end in intervals)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("device,start_s\n", "line 1: no column 'end_s'"),
        ("device,start_s,end_s,colour\n", "line 1: got the column 'colour'"),
        ("device,start_s,end_s,start_s\n", "line 1: got the column 'start_s'"),
        ("device,start_s,end_s\n", "has no phone"),
        ("", "line 1: no column 'device'"),
        ("device,start_s,end_s\na,0,1\na,noon,2\n", "line 3: start_s is 'noon', expected a number"),
        ("device,start_s,end_s\na,0,nan\n", "line 2: end_s is 'nan'"),
        ("device,start_s,end_s\na,5,5\n", "line 2: start_s 5, end_s 5"),
        ("device,start_s,end_s\na,-1,5\n", "line 2: start_s -1"),
        ("device,start_s,end_s\n,1,5\n", "line 2: device is empty"),
        ("device,start_s,end_s\na,1\n", "line 2: got 2 cells, expected 3"),
        ("device,start_s,end_s\na,1,604801\n", "line 2: end_s is 604801"),
        ("device,start_s,end_s\na,1,9\nb,5,6\na,8,12\n", "line 4: phone a .*line 2 has it until 9"),
        ("device,start_s,end_s,tier\na,1,2,low\n\na,3,4,mid\n", "line 4: tier of phone a is mid"),
        ("device,start_s,end_s,up_kb_s\na,1,2,0\n", "line 2: up_kb_s is 0, expected more than 0"),
    ],
)
def test_a_mistake_is_named_by_its_line(trace, text, message):
    with pytest.raises(DataError, match=message):
        trace(text)
