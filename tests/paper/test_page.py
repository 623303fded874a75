"""docs/paper.md is what the files of results say."""

from dataclasses import replace
from pathlib import Path

from pocketfed.paper.exhibits import EXHIBITS, cell_named
from pocketfed.paper.page import best_run, rewritten
from pocketfed.paper.running import Point, Run, line_of

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "paper" / "results"
RUN = Run(
    cell="2nn-iid-C0.1-E1-B10",
    learning_rate=0.1,
    seed=0,
    target=0.97,
    rounds=60,
    points=(Point(round=0, accuracy=0.1, loss=2.3), Point(round=50, accuracy=0.98, loss=0.1)),
    bytes_up=8e6,
    bytes_down=8e6,
    cpu_s=80.0,
    checkpoint="0" * 64,
    version="1",
    measured_on="2026-11-23",
)


def test_the_page_shows_the_results_that_are_kept() -> None:
    page = (ROOT / "docs" / "paper.md").read_text("utf-8")
    assert rewritten(page, RESULTS) == page


def test_every_kept_run_is_one_of_a_cell() -> None:
    names = {cell.name for cells in EXHIBITS.values() for cell in cells}
    kept = {path.name for path in RESULTS.iterdir() if path.is_dir()} - {"figure_1"}
    assert kept <= names


def test_a_cell_is_set_beside_the_paper(tmp_path: Path) -> None:
    folder = tmp_path / RUN.cell
    folder.mkdir()
    (folder / "0.1.json").write_bytes(RUN.to_json())
    page = rewritten("a <!-- results: begin --><!-- results: end --> b", tmp_path)
    (line,) = (line for line in page.splitlines() if f"`{RUN.cell}` " in line)
    assert "| 87 | 49.4 | 0.57 | 395 | 0.1 | 1 | 80 |" in line
    assert page.startswith("a ")
    assert page.endswith(" b")
    assert "| not run |" in page


def test_a_run_that_diverged_is_said_to_have(tmp_path: Path) -> None:
    folder = tmp_path / RUN.cell
    folder.mkdir()
    run = Run.of({**_fields(RUN), "points": (), "bytes_up": 0.0, "checkpoint": ""})
    (folder / "10.json").write_bytes(run.to_json())
    page = rewritten("<!-- results: begin --><!-- results: end -->", tmp_path)
    assert f"| `{RUN.cell}` | 60 | 87 | diverged |" in page
    assert "diverged" in line_of(run)


def test_of_several_rates_the_soonest_counts(tmp_path: Path) -> None:
    folder = tmp_path / RUN.cell
    folder.mkdir()
    late = Point(round=60, accuracy=0.975, loss=0.1)
    worse = Run.of({**_fields(RUN), "learning_rate": 0.2, "points": (RUN.points[0], late)})
    for run in (RUN, worse):
        (folder / f"{run.learning_rate:g}.json").write_bytes(run.to_json())
    assert best_run(replace(cell_named(RUN.cell)), tmp_path) == RUN


def _fields(run: Run) -> dict[str, object]:
    return {name: getattr(run, name) for name in run.__struct_fields__}
