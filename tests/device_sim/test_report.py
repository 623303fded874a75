"""The report: what the files say, and that the page needs nothing but itself."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from pocketfed.device_sim.live_table import LiveTable
from pocketfed.device_sim.monitor import RoundRow
from pocketfed.device_sim.report import RunFacts, summarise_run, to_csv, write_report
from pocketfed.protocol.errors import DataError
from rich.console import Console

FACTS = RunFacts(
    title="A <run> & more",
    phones=100,
    seed=7,
    seconds=12.5,
    bytes_up=3_000_000,
    bytes_down=5_000_000,
    target=0.9,
    details=(("Model", "tiny <b>"),),
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


def test_the_summary_says_how_it_ended_and_when_the_target_was_met(folder):
    assert json.loads((folder / "summary.json").read_bytes()) == {
        "accuracy": 0.92,
        "best_accuracy": 0.93,
        "rounds": 4,
        "seconds": 12.5,
        "bytes_up": 3_000_000,
        "bytes_down": 5_000_000,
        "phones": 100,
        "seed": 7,
        "target": 0.9,
        "rounds_to_target": 2,
        "seconds_to_target": 4.0,
    }


def test_a_target_that_was_missed_is_said():
    summary = summarise_run(rows(0.1, 0.2), FACTS)
    assert (summary.rounds_to_target, summary.seconds_to_target) == (None, None)


def test_without_a_target_none_is_reached():
    assert summarise_run(ROWS, replace(FACTS, target=None)).rounds_to_target is None


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(DataError, match="no checkpoint was evaluated"):
        write_report(tmp_path / "none", rows=[], facts=FACTS)
    assert not (tmp_path / "none").exists()


def test_the_page_needs_nothing_but_itself(folder):
    page = (folder / "index.html").read_text()
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"base64,[^\"]*", "", page))
    links = re.findall(r"(?:src|srcset|href)=\"([^\"]*)\"", page)
    assert len(links) == 2
    assert all(link.startswith("data:image/png;base64,iVBOR") for link in links)


def test_the_page_shows_every_round_and_escapes_what_it_is_told(folder):
    page = (folder / "index.html").read_text()
    assert page.count("<tr>") == 1 + len(ROWS)
    assert "91.00%" in page
    assert "A &lt;run&gt; &amp; more" in page
    assert "tiny &lt;b&gt;" in page
    assert "90.0% reached in round 2, after 4.0 s" in page


def test_the_page_says_when_the_target_was_missed(tmp_path):
    page = write_report(tmp_path, rows=rows(0.1, 0.2), facts=FACTS).read_text()
    assert "the target of 90.0% was not reached" in page


def test_the_picture_is_a_png_of_some_size(folder):
    png = (folder / "accuracy.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    assert width >= 1000
    assert height >= 800


def test_a_report_of_one_round_without_target_can_be_drawn(tmp_path):
    facts = replace(FACTS, target=None)
    assert write_report(tmp_path, rows=rows(0.1), facts=facts).is_file()


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
