"""The report: what the files say, and that the page needs nothing but itself."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from pocketfed.device_sim.following.census import Standing
from pocketfed.device_sim.following.live_table import LiveTable
from pocketfed.device_sim.following.monitor import RoundRow
from pocketfed.device_sim.following.tallies import Tallies
from pocketfed.device_sim.phones.sessions import SessionOutcome, SessionRecord
from pocketfed.device_sim.report import RunFacts, summarise_run, to_csv, write_report
from pocketfed.device_sim.report.baselines import BaselinePoint, baseline_of
from pocketfed.protocol.errors import DataError
from rich.console import Console


def session(outcome, *, round_=1, device=0, reason="", shape="-v[]+^"):
    return SessionRecord(
        device=device,
        round=round_,
        attempt=1,
        outcome=outcome,
        shape=shape,
        num_examples=5,
        bytes_up=1_000,
        bytes_down=3_000,
        tier="low",
        reason=reason,
        bytes_model=1_500,
        bytes_checkpoint=1_000,
        bytes_update=900,
    )


def tallies():
    """Two accepted updates of one phone, one that came too late, one without a place."""
    found = Tallies()
    found.add(session(SessionOutcome.ACCEPTED))
    found.add(session(SessionOutcome.ACCEPTED, round_=2))
    found.add(session(SessionOutcome.LATE, device=3, reason="round_closed", shape="-v[]#"))
    found.add(session(SessionOutcome.TURNED_AWAY, round_=0, device=1, reason="round_full"))
    return found


FACTS = RunFacts(
    title="A <run> & more",
    phones=100,
    seed=7,
    seconds=7200.0,
    tallies=tallies(),
    target=0.9,
    details=(("Model", "tiny <b>"),),
    scenario="seed: 7 # <b>",
)


def rows(*accuracies):
    return [
        RoundRow(
            round=number,
            attempt=1,
            accuracy=accuracy,
            loss=1.0 - accuracy,
            train_loss=None if number == 0 else 0.5,
            accepted=10,
            late=1,
            dropped=2,
            num_examples=600,
            bytes_up=1_000_000,
            bytes_down=2_000_000,
            seconds=2.0 * number,
            checkpoint=f"{number:064x}",
            newcomers=3,
            standing=Standing(
                check_ins=30 * number,
                turned_away={"round_full": 15 * number} if number else {},
                accepted=10 * number,
                distinct=7 * number,
                bytes_up=1_100_000 * number,
                bytes_down=2_200_000 * number,
            ),
        )
        for number, accuracy in enumerate(accuracies)
    ]


ROWS = rows(0.1, 0.5, 0.91, 0.93, 0.92)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "deep" / "er"
    assert write_report(folder, rows=ROWS, facts=FACTS) == folder / "index.html"
    return folder


def test_the_csv_has_a_line_per_round_with_the_exact_values():
    read = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [float(line["accuracy"]) for line in read] == [row.accuracy for row in ROWS]
    assert read[0]["train_loss"] == ""
    assert read[1]["train_loss"] == "0.5"
    assert read[4]["bytes_down"] == "2000000"


def test_the_csv_on_disk_is_the_one_that_was_made(folder):
    assert (folder / "rounds.csv").read_bytes() == to_csv(ROWS).encode()


def test_the_csv_says_what_was_between_two_checkpoints():
    read = list(csv.DictReader(io.StringIO(to_csv(ROWS))))
    assert [line["check_ins"] for line in read] == ["0", "30", "30", "30", "30"]
    assert [line["rejected_round_full"] for line in read][:3] == ["0", "15", "15"]
    assert [line["check_ins_per_report"] for line in read][1:3] == ["3.0", "3.0"]
    assert {line["rejected_no_task"] for line in read} == {"0"}
    assert [line["distinct_phones"] for line in read] == ["0", "7", "14", "21", "28"]
    assert read[3]["bytes_up_so_far"] == "3300000"
    assert float(read[4]["hours"]) == 8.0 / 3600.0


def test_the_summary_says_how_it_ended_and_what_it_cost(folder):
    read = json.loads((folder / "summary.json").read_bytes())
    target = read.pop("to_target")
    assert read == {
        "accuracy": 0.92,
        "best_accuracy": 0.93,
        "rounds": 4,
        "seconds": 7200.0,
        "hours": 2.0,
        "checkpoint": f"{4:064x}",
        "bytes_up": 4_000,
        "bytes_down": 12_000,
        "bytes_model": 6_000,
        "bytes_checkpoint": 4_000,
        "bytes_update": 3_600,
        "check_ins": 4,
        "accepted": 2,
        "check_ins_per_report": 2.0,
        "rejections": {"round_full": 1},
        "shapes": {"-v[]#": 1, "-v[]+^": 2},
        "tiers": {
            "low": {
                "given": 3,
                "accepted": 2,
                "closed_first": 1,
                "timed_out": 0,
                "silent": 0,
                "interrupted": 0,
                "failed": 0,
            }
        },
        "distinct_phones": 1,
        "phones": 100,
        "seed": 7,
        "target": 0.9,
        "baselines": [],
    }
    # From 0.5 to 0.91 between rounds 1 and 2.
    share = 0.4 / 0.41
    assert target["rounds"] == pytest.approx(1 + share)
    assert target["seconds"] == pytest.approx(2.0 * (1 + share))
    assert target["bytes_up"] == pytest.approx(1_100_000 * (1 + share))
    assert target["bytes_down"] == pytest.approx(2_200_000 * (1 + share))


def test_a_target_that_was_missed_is_said():
    assert summarise_run(rows(0.1, 0.2), FACTS).to_target is None


def test_without_a_target_none_is_reached():
    assert summarise_run(ROWS, replace(FACTS, target=None)).to_target is None


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(DataError, match="no checkpoint was evaluated"):
        write_report(tmp_path / "none", rows=[], facts=FACTS)
    assert not (tmp_path / "none").exists()


def test_the_page_needs_nothing_but_itself(folder):
    page = (folder / "index.html").read_text()
    assert not re.search(r"(https?:)?//[a-z]|url\(|@import|<script", _without_pictures(page))
    links = re.findall(r"(?:src|srcset|href)=\"([^\"]*)\"", page)
    assert len(links) == page.count("<img") >= 7
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in links)


def test_the_page_shows_every_round_and_escapes_what_it_is_told(folder):
    page = (folder / "index.html").read_text()
    rounds = page[page.index(">Rounds</h2>") :]
    assert rounds.count("<tr>") == 1 + len(ROWS)
    assert "91.00%" in rounds
    assert "A &lt;run&gt; &amp; more" in page
    assert "tiny &lt;b&gt;" in page
    assert "seed: 7 # &lt;b&gt;" in page
    assert "90.0% reached in round 2, after 4.0 s" in page


def test_the_page_says_when_the_target_was_missed(tmp_path):
    page = write_report(tmp_path, rows=rows(0.1, 0.2), facts=FACTS).read_text()
    assert "the target of 90.0% was not reached" in page


def test_the_picture_is_a_png_of_some_size(folder):
    png = (folder / "accuracy.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert width >= 800
    assert height >= 500


def test_a_report_of_one_round_without_target_can_be_drawn(tmp_path):
    facts = replace(FACTS, target=None)
    assert write_report(tmp_path, rows=rows(0.1), facts=facts).is_file()


def table_after(page, heading):
    """The cells of the table under a heading, line by line."""
    table = page[page.index(f">{heading}</h2>") :].split("</table>")[0]
    return [re.findall(r"<t[dh][^>]*>([^<]*)<", line) for line in table.split("<tr>")[1:]]


def _without_pictures(page):
    return re.sub(r"base64,[^\"]*", "", page)


def test_the_page_says_in_numbers_who_came_too_late(folder):
    head, low = table_after((folder / "index.html").read_text(), "What became of places")
    told = dict(zip(head, low, strict=True))
    assert (told["tier"], told["places"], told["accepted"]) == ("low", "3", "2")
    assert (told["round closed first"], told["own time-out"]) == ("1", "0")
    assert told["too late"] == "33.3%"


def test_the_page_counts_sessions_by_their_shape(folder):
    _, first, second = table_after((folder / "index.html").read_text(), "Sessions")
    assert first == ["-v[]+^", "2", "66.7%"]
    assert second == ["-v[]#", "1", "33.3%"]


def test_the_page_says_why_check_ins_got_no_place(folder):
    _, line = table_after((folder / "index.html").read_text(), "Check-ins without a place")
    assert line == ["round full", "1", "25.0%"]


def test_columns_that_nothing_fills_are_left_out(folder):
    head, *_ = table_after((folder / "index.html").read_text(), "Rounds")
    assert "accepted" in head
    assert "staleness" not in head
    assert "by phones" not in head


def points(*accuracies, **fields):
    return [
        BaselinePoint(round=number, accuracy=accuracy, loss=1.0, examples=60 * number, **fields)
        for number, accuracy in enumerate(accuracies)
    ]


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    told = {"note": "E = 1, B = ∞", "learning_rate": 0.1, "target": 0.5}
    fedsgd = baseline_of(points(0.1, 0.3, 0.7), kind="fedsgd", name="FedSGD", **told)
    folder = tmp_path_factory.mktemp("beside")
    write_report(folder, rows=ROWS, facts=replace(FACTS, baselines=(fedsgd,)))
    return folder


def test_baselines_stand_beside_the_run(beside):
    _, run, fedsgd = table_after((beside / "index.html").read_text(), "Baselines")
    assert run[:2] == ["this run", "92.00%"]
    assert fedsgd[:2] == ["FedSGD", "70.00%"]
    assert "1.5" in fedsgd
    told = json.loads((beside / "summary.json").read_bytes())["baselines"]
    assert told[0]["to_target"]["rounds"] == pytest.approx(1.5)


def test_the_curves_of_baselines_are_a_file_too(beside, folder):
    read = list(csv.DictReader((beside / "baselines.csv").read_text().splitlines()))
    assert [line["examples"] for line in read] == ["0", "60", "120"]
    assert {line["baseline"] for line in read} == {"fedsgd"}
    assert not (folder / "baselines.csv").exists()


def test_the_live_table_prints_a_line_per_round_under_its_header():
    shown = io.StringIO()
    console = Console(file=shown, width=100, force_terminal=False)
    with LiveTable(rounds=4, target=0.9, console=console) as table:
        for row in ROWS:
            table.add(row)
    lines = [line for line in shown.getvalue().splitlines() if line.strip()]
    assert lines[0].split()[:2] == ["round", "accuracy"]
    assert [line.split()[1] for line in lines[1:6]] == [
        "10.00%",
        "50.00%",
        "91.00%",
        "93.00%",
        "92.00%",
    ]
