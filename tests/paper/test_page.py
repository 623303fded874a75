"""docs/paper.md is what the files of results say."""

import re
from dataclasses import replace
from pathlib import Path

from pocketfed.paper.exhibits import BASELINES, EXHIBITS, cell_named
from pocketfed.paper.runs import Point, Run, line_of
from pocketfed.paper.showing.page import rewritten, write
from pocketfed.paper.showing.pictures import pictures
from pocketfed.paper.showing.tables import best_run
from pocketfed.paper.sweeps import FIRST_WEIGHTS, LARGE_E, SWEEPS

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


def test_the_readme_says_what_was_measured() -> None:
    told = " ".join((ROOT / "README.md").read_text("utf-8").split())
    cells = [cell_named(f"cnn-iid-C0.1-E{epochs}-B10") for epochs in (1, 5)]
    first, second = (best.rounds_to_target for cell in cells if (best := best_run(cell, RESULTS)))
    one, two = (cell.paper_rounds for cell in cells)
    assert f"after {first:.1f} rounds at E=1 and {second:.1f} at E=5" in told
    assert f"the paper's after {one} and {two} " in told


def test_every_picture_of_the_page_lies_beside_it() -> None:
    page = (ROOT / "docs" / "paper.md").read_text("utf-8")
    named = set(re.findall(r"\]\((paper/\w+\.png)\)", page))
    assert named == {f"paper/{name}.png" for name in pictures(RESULTS)}
    for name in named:
        assert (ROOT / "docs" / name).read_bytes().startswith(b"\x89PNG")


def test_every_kept_run_is_one_of_a_cell() -> None:
    names = {cell.name for cells in EXHIBITS.values() for cell in cells}
    names |= {cell.name for each in SWEEPS.values() for sweep in each for cell in sweep.cells}
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
    assert "Not run: `2nn-iid-C0-E1-Binf` (paper 1455), " in page
    assert f"`{RUN.cell}` (paper" not in page


def test_pairs_of_cells_are_held_to_the_papers_order(tmp_path: Path) -> None:
    _keep(RUN, tmp_path)
    _keep(_arriving("2nn-iid-C0.1-E1-Binf", after=400), tmp_path)
    assert "In the paper's order: 1 of 1 pairs of these cells.\n" in _page(tmp_path)
    _keep(_arriving("2nn-iid-C1-E1-B10", after=90), tmp_path)
    turned = "but not that `2nn-iid-C1-E1-B10` is before `2nn-iid-C0.1-E1-B10`."
    assert f"In the paper's order: 2 of 3 pairs of these cells; {turned}\n" in _page(tmp_path)


def test_encoded_deltas_stand_beside_those_with_float32(tmp_path: Path) -> None:
    _keep(RUN, tmp_path)
    encoded = _arriving(f"{RUN.cell}-int8", after=100)
    _keep(Run.of({**_fields(encoded), "bytes_up": 2e6}), tmp_path)
    page = _page(tmp_path)
    assert f"| `{RUN.cell}-int8` | 60 | 49.4 | 98.9 | 395 | 198 | 2.0 x |" in page
    assert "Not run: `2nn-iid-C0.1-E1-Binf-int8`, " in page


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


def test_large_e_is_shown_by_the_loss_as_rounds_go(tmp_path: Path) -> None:
    sweep = LARGE_E["large_e_2nn_iid"]
    losses = {0: 2.3, 25: 0.5, 50: 0.2, 100: 0.3}
    points = tuple(Point(round=at, accuracy=0.5, loss=loss) for at, loss in losses.items())
    name = sweep.cells[1].name
    run = Run.of({**_fields(RUN), "cell": name, "target": None, "points": points})
    _keep(run, tmp_path)
    page = _page(tmp_path)
    assert "| 5 | 300 | 0.5000 | 0.2000 | 0.3000 | 0.2000 | 80 | 2026-11-23 |" in page
    assert "![Training loss, 2nn, iid against round; at the end E=5: 0.3]" in page
    assert set(pictures(tmp_path)) == {"large_e_2nn_iid"}


def test_every_rate_of_the_2nn_is_set_beside_the_papers_best(tmp_path: Path) -> None:
    _keep(RUN, tmp_path)
    late = (RUN.points[0], Point(round=400, accuracy=0.96, loss=0.2))
    slow = Run.of({**_fields(RUN), "learning_rate": 0.02154, "points": late})
    _keep(slow, tmp_path)
    page = _page(tmp_path)
    assert "| 0.0215 | 96.00% in 400 |  | 80 |" in page
    assert "| 0.0464 | not run |" in page
    assert "| 0.1 | 49.4 | 0.57 | 80 |" in page


def test_sgd_fedsgd_and_fedavg_stand_in_one_row(tmp_path: Path) -> None:
    row = BASELINES[0]
    for cell, rounds in ((row.pooled, 4000), (row.fedsgd, 1000), (row.fedavg, 50)):
        at = (RUN.points[0], Point(round=rounds, accuracy=0.97, loss=0.1))
        _keep(Run.of({**_fields(RUN), "cell": cell.name, "points": at}), tmp_path)
    assert "| 2nn | iid | 4000.0 | 1000.0 | 50.0 | 20.0 | 16.9 |" in _page(tmp_path)


def test_first_weights_stand_under_each_other_at_equal_rates(tmp_path: Path) -> None:
    _keep(RUN, tmp_path)
    cell = FIRST_WEIGHTS["fan-in"].cells[0]
    _keep(Run.of({**_fields(RUN), "cell": cell.name, "learning_rate": 0.04642}), tmp_path)
    page = _page(tmp_path)
    assert "| Glorot-uniform, the zoo's | not run | 49.4 | not run |" in page
    assert "| uniform within 1 / sqrt(inputs), biases too | 49.4 | not run | not run |" in page


def test_learning_curves_end_where_the_best_rates_do(tmp_path: Path) -> None:
    _keep(RUN, tmp_path)
    alt = "at the end iid, E=1, B=10: 0.02, target, 3%: 0.03"
    assert f"![Test error, 2NN against round; {alt}](paper/table_1.png)" in _page(tmp_path)
    assert "table_2" not in pictures(tmp_path)


def test_the_first_figure_shows_both_panels() -> None:
    picture = pictures(RESULTS)["figure_1"]
    assert re.search(r"different start: [\d.]+, shared start: [\d.]+$", picture.alt)


def test_a_page_is_written_with_its_pictures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- results: begin --><!-- results: end -->")
    write(page, RESULTS)
    assert "(paper/rates_2nn.png)" in page.read_text("utf-8")
    assert (tmp_path / "paper" / "rates_2nn.png").read_bytes().startswith(b"\x89PNG")


def _arriving(cell: str, *, after: int) -> Run:
    """A run at the target about so many rounds after its beginning."""
    points = (RUN.points[0], Point(round=after, accuracy=0.98, loss=0.1))
    return Run.of({**_fields(RUN), "cell": cell, "points": points})


def _keep(run: Run, results: Path) -> None:
    folder = results / run.cell
    folder.mkdir(exist_ok=True)
    (folder / f"{run.learning_rate:.4g}.json").write_bytes(run.to_json())


def _page(results: Path) -> str:
    return rewritten("<!-- results: begin --><!-- results: end -->", results)


def _fields(run: Run) -> dict[str, object]:
    return {name: getattr(run, name) for name in run.__struct_fields__}
