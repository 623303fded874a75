"""What there is to run is what `make paper-full` runs and the page shows."""

import re
from pathlib import Path

import pytest
from pocketfed.paper.exhibits import BASELINES, CENTRED, EXHIBITS, SGD
from pocketfed.paper.exhibits import TWO_NN as TWO_NN_CELLS
from pocketfed.paper.rates import learning_rate
from pocketfed.paper.showing.page import SHOWN
from pocketfed.paper.sweeps import FIRST_WEIGHTS, LARGE_E, RATES_2NN, SWEEPS

ROOT = Path(__file__).parents[2]
# A part of table 1.
TWO_NN = "two_nn"


def test_make_runs_every_exhibit() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8").split("paper-full:")[1].split("\n\n")[0]
    named = set(re.findall(r"--exhibit=(\w+)", recipe))
    assert named == {"figure_1", *EXHIBITS, *SWEEPS} - {TWO_NN}


def test_every_table_has_a_title_on_the_page() -> None:
    assert set(SHOWN) == set(EXHIBITS) - {TWO_NN, "baselines"}


@pytest.mark.parametrize("sweep", LARGE_E.values(), ids=LARGE_E)
def test_the_cells_of_a_panel_differ_in_e_alone(sweep) -> None:
    assert [cell.epochs for cell in sweep.cells] == [1, 5, 10, 50]
    assert len({cell.most_rounds for cell in sweep.cells}) == len(sweep.places) == 1
    for cell in sweep.cells:
        assert (cell.batch, cell.fraction, cell.target, cell.measures) == (10, 0.1, None, "train")
        scenario = cell.scenario(0.1, rounds=3, seed=0)
        assert (scenario.target, scenario.plan.epochs) == (None, cell.epochs)


def test_large_e_on_shakespeare_has_the_papers_rate() -> None:
    (place,) = LARGE_E["large_e_shakespeare"].places
    assert learning_rate(place) == pytest.approx(1.47, abs=0.005)


def test_the_2nn_is_run_at_every_rate_from_a_fiftieth_to_a_half() -> None:
    rates = [learning_rate(place) for place in RATES_2NN.places]
    assert rates == pytest.approx([0.0215, 0.0464, 0.1, 0.2154, 0.4642], rel=0.01)
    (cell,) = RATES_2NN.cells
    assert (cell.name, cell.paper_rounds) == ("2nn-iid-C0.1-E1-B10", 87)
    assert cell.most_rounds > 4 * 87


def test_other_first_weights_are_of_the_same_cell() -> None:
    (cell,) = RATES_2NN.cells
    for weights, sweep in FIRST_WEIGHTS.items():
        (other,) = sweep.cells
        assert other.name == cell.name.replace("2nn", f"2nn-{weights}")
        assert (
            other.scenario(0.1, rounds=3, seed=0).plan == cell.scenario(0.1, rounds=3, seed=0).plan
        )
        assert set(sweep.places) < set(RATES_2NN.places)


def test_centred_pixels_are_those_of_the_first_table() -> None:
    assert [cell.paper_rounds for cell in CENTRED] == [cell.paper_rounds for cell in TWO_NN_CELLS]
    assert {cell.setup.name for cell in CENTRED} == {"2nn-centred"}


def test_baselines_are_compared_where_the_model_and_the_target_are_the_same() -> None:
    assert len(BASELINES) == 4
    for one in BASELINES:
        assert one.pooled in SGD
        assert one.pooled.setup == one.fedsgd.setup == one.fedavg.setup
        assert one.pooled.target == one.fedsgd.target == one.fedavg.target
        assert (one.fedsgd.epochs, one.fedsgd.batch, one.fedavg.batch) == (1, None, 10)
        assert one.fedsgd.partition == one.fedavg.partition
