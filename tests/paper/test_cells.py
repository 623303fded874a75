"""Cells say what the paper says, and simulate it."""

import pytest
from pocketfed.device_sim.baselines import FullBatchTrainers
from pocketfed.device_sim.data.sharing import Iid, Natural
from pocketfed.device_sim.training.trainers import LiteRTTrainer
from pocketfed.paper.cells import Cell
from pocketfed.paper.exhibits import SMALL_TARGET, TABLE_1, TABLE_2, TABLES, cell_named


def test_every_cell_has_a_name_of_its_own() -> None:
    for cells in TABLES.values():
        assert len({cell.name for cell in cells}) == len(cells)


def test_every_entry_of_the_tables_is_a_cell() -> None:
    assert len(TABLE_1) == 16
    assert len(TABLE_2) == 18


@pytest.mark.parametrize(
    ("name", "updates"),
    [
        ("cnn-iid-C0.1-E1-Binf", 1),
        ("cnn-iid-C0.1-E5-Binf", 5),
        ("cnn-iid-C0.1-E1-B50", 12),
        ("cnn-non-iid-C0.1-E20-B50", 240),
        ("cnn-non-iid-C0.1-E20-B10", 1200),
    ],
)
def test_the_updates_per_round_are_those_of_table_2(name: str, updates: float) -> None:
    assert cell_named(name).updates == updates


@pytest.mark.parametrize(
    ("name", "updates"),
    [
        ("shakespeare-iid-C0.1-E5-Binf", 5),
        ("shakespeare-non-iid-C0.1-E1-B10", 3.516),
        ("shakespeare-small-non-iid-C0.1-E5-B10", 13.888),
    ],
)
def test_the_updates_of_clients_of_different_sizes_are_those_of_the_mean_one(
    name: str, updates: float
) -> None:
    assert cell_named(name).updates == pytest.approx(updates, abs=0.001)


def test_the_small_plays_are_never_taken_for_the_papers() -> None:
    assert len(TABLES["shakespeare"]) == len(TABLES["shakespeare_small"]) == 12
    for cell in TABLES["shakespeare_small"]:
        assert cell.name.startswith("shakespeare-small-")
        assert cell.paper_rounds is None
        assert cell.target == SMALL_TARGET < 0.54
    for cell in TABLES["shakespeare"]:
        assert cell.target == 0.54
        assert cell.paper_rounds is not None


def test_small_cells_of_few_updates_have_more_rounds() -> None:
    rounds = {
        name: cell_named(f"shakespeare-small-non-iid-C0.1-{name}").most_rounds
        for name in ("E1-Binf", "E5-Binf", "E1-B10", "E5-B10")
    }
    assert rounds == {"E1-Binf": 1000, "E5-Binf": 400, "E1-B10": 1000, "E5-B10": 400}


def test_roles_are_shared_out_by_nature_and_dealt_evenly_in_the_iid_version() -> None:
    by_role, dealt = (
        cell_named(f"shakespeare-small-{name}-C0.1-E5-B10").scenario(1.0, rounds=1, seed=0)
        for name in ("non-iid", "iid")
    )
    assert (by_role.partition, dealt.partition) == (Natural(), Iid())
    assert by_role.phones == dealt.phones == 40
    assert by_role.settings.goal == 4


def test_a_batch_without_end_is_one_step_on_all_that_a_client_has() -> None:
    cell = cell_named("shakespeare-non-iid-C0.1-E5-Binf")
    assert cell.wrapped(LiteRTTrainer) == FullBatchTrainers(LiteRTTrainer)
    assert cell.batch_size == 50
    batched = cell_named("shakespeare-non-iid-C0.1-E5-B10")
    assert batched.wrapped(LiteRTTrainer) is LiteRTTrainer


@pytest.mark.parametrize(("fraction", "goal"), [(0.0, 1), (0.1, 10), (0.2, 20), (1.0, 100)])
def test_a_round_has_as_many_clients_as_the_fraction_says_and_one_at_least(
    fraction: float, goal: int
) -> None:
    (cell,) = (
        cell
        for cell in TABLE_1
        if (cell.partition, cell.batch, cell.fraction) == ("iid", 10, fraction)
    )
    assert cell.scenario(0.1, rounds=3, seed=0).settings.goal == goal


def test_a_round_takes_no_more_clients_than_it_folds() -> None:
    scenario = cell_named("2nn-iid-C0.1-E1-B10").scenario(0.1, rounds=3, seed=0)
    assert scenario.settings.over_selection == 1.0
    assert scenario.phones == 100


def test_without_batches_all_examples_are_one() -> None:
    scenario = cell_named("2nn-iid-C0.1-E1-Binf").scenario(0.5, rounds=3, seed=0)
    assert (scenario.plan.batch_size, scenario.plan.epochs) == (600, 1)


def test_the_codec_is_part_of_the_name() -> None:
    names = {cell.name for cell in TABLES["int8"]}
    assert "cnn-iid-C0.1-E5-B10-int8" in names
    assert cell_named("cnn-iid-C0.1-E5-B10-int8").scenario(
        0.1, rounds=1, seed=0
    ).settings.codecs == ("int8",)
    assert isinstance(cell_named("2nn-iid-C0.1-E1-B10"), Cell)
