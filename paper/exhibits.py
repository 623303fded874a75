"""The tables of arXiv 1602.05629 (section 3) as cells, with the paper's rounds to the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import setups
from .cells import Cell
from .pooled import Pooled

TWO_NN_TARGET, CNN_TARGET, SHAKESPEARE_TARGET = 0.97, 0.99, 0.54
# Ours, for 40 roles: the target, and the rounds of clients that take many updates in each, or few.
SMALL_TARGET = 0.30
SMALL_ROUNDS, SMALL_ROUNDS_OF_FEW, FEW = 400, 1000, 5.0
# A search that finds nothing ends at so many times the paper's rounds.
PATIENCE = 2.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Three ways to train one model on one data set."""

    pooled: Pooled
    fedsgd: Cell
    fedavg: Cell


def _cell_of(cells: Sequence[Cell], partition: str, epochs: int, batch: int | None) -> Cell:
    sought = partition, epochs, batch
    (found,) = (one for one in cells if (one.partition, one.epochs, one.batch) == sought)
    return found


def _two_nn(partition: str, fraction: float, batch: int | None, rounds: int) -> Cell:
    return Cell(
        setup=setups.TWO_NN,
        partition=partition,
        fraction=fraction,
        epochs=1,
        batch=batch,
        target=TWO_NN_TARGET,
        paper_rounds=rounds,
        most_rounds=round(PATIENCE * rounds),
        start=-1 if batch is None else -3,
        measure_every=5 if rounds > 300 else 1,
    )


def _cnn(partition: str, epochs: int, batch: int | None, rounds: int) -> Cell:
    return Cell(
        setup=setups.CNN,
        partition=partition,
        fraction=0.1,
        epochs=epochs,
        batch=batch,
        target=CNN_TARGET,
        paper_rounds=rounds,
        most_rounds=round(PATIENCE * rounds),
        start={None: -2, 10: -3, 50: -2}[batch],
        measure_every=5 if rounds > 150 else 1,
    )


def _shakespeare(partition: str, epochs: int, batch: int | None, rounds: int) -> Cell:
    return Cell(
        setup=setups.SHAKESPEARE_BY_ROLE,
        partition=partition,
        fraction=0.1,
        epochs=epochs,
        batch=batch,
        target=SHAKESPEARE_TARGET,
        paper_rounds=rounds,
        most_rounds=round(PATIENCE * rounds),
        start={None: 2, 10: 0, 50: 1}[batch],
        measure_every=5 if rounds > 150 else 1,
    )


def _has_few_updates(cell: Cell) -> bool:
    return replace(cell, setup=setups.SHAKESPEARE_SMALL).updates < FEW


# Table 1, the 2NN at E=1: (partition, B): rounds at C = 0.0, 0.1, 0.2, 0.5, 1.0.
_FRACTIONS = (0.0, 0.1, 0.2, 0.5, 1.0)
_TABLE_1 = {
    ("iid", None): (1455, 1474, 1658, None, None),
    ("iid", 10): (316, 87, 77, 75, 70),
    ("non-iid", None): (4278, 1796, 1528, None, None),
    ("non-iid", 10): (3275, 664, 619, 443, 380),
}
# Table 2, the CNN at C=0.1: (E, B): rounds IID, non-IID; E=1 without batches is FedSGD.
_TABLE_2 = {
    (1, None): (626, 483),
    (5, None): (179, 1000),
    (1, 50): (65, 600),
    (20, None): (234, 672),
    (1, 10): (34, 350),
    (5, 50): (29, 334),
    (20, 50): (32, 426),
    (5, 10): (20, 229),
    (20, 10): (18, 173),
}
# Table 2, the LSTM at C=0.1: (E, B): rounds IID, by role.
_SHAKESPEARE = {
    (1, None): (2488, 3906),
    (1, 50): (1635, 549),
    (5, None): (613, 597),
    (1, 10): (460, 164),
    (5, 50): (401, 152),
    (5, 10): (192, 41),
}

TABLE_1 = tuple(
    _two_nn(partition, fraction, batch, rounds)
    for (partition, batch), row in _TABLE_1.items()
    for fraction, rounds in zip(_FRACTIONS, row, strict=True)
    if rounds is not None
)
TABLE_2 = tuple(
    _cnn(partition, epochs, batch, rounds)
    for column, partition in enumerate(("iid", "non-iid"))
    for (epochs, batch), row in _TABLE_2.items()
    for rounds in row[column : column + 1]
)
SHAKESPEARE = tuple(
    _shakespeare(partition, epochs, batch, rounds)
    for column, partition in enumerate(("iid", "non-iid"))
    for (epochs, batch), row in _SHAKESPEARE.items()
    for rounds in row[column : column + 1]
)
SMALL = tuple(
    replace(
        cell,
        setup=setups.SHAKESPEARE_SMALL,
        target=SMALL_TARGET,
        paper_rounds=None,
        most_rounds=SMALL_ROUNDS_OF_FEW if _has_few_updates(cell) else SMALL_ROUNDS,
        measure_every=10 if _has_few_updates(cell) else 4,
    )
    for cell in SHAKESPEARE
)
# The cells people ask for first: one C, both partitions.
TWO_NN = tuple(cell for cell in TABLE_1 if cell.fraction == 0.1)
# The same cells with deltas of one byte a weight; the paper has no such column.
INT8 = tuple(replace(cell, codec="int8", paper_rounds=None) for cell in (*TWO_NN, *TABLE_2))
# And with pixels from -1 to 1, of which the paper says nothing; rates are lower then.
CENTRED = tuple(replace(cell, setup=setups.TWO_NN_CENTRED, start=cell.start - 1) for cell in TWO_NN)

# Updates of B=100, 20 passes over all examples at most; and what stands beside them.
SGD = (
    Pooled(setup=setups.TWO_NN, target=TWO_NN_TARGET, most_rounds=12_000),
    Pooled(setup=setups.CNN, target=CNN_TARGET, most_rounds=12_000),
)
BASELINES: tuple[Comparison, ...] = tuple(
    Comparison(
        pooled=pooled,
        fedsgd=_cell_of(cells, partition, 1, None),
        fedavg=_cell_of(cells, partition, epochs, 10),
    )
    for pooled, cells, epochs in ((SGD[0], TWO_NN, 1), (SGD[1], TABLE_2, 5))
    for partition in ("iid", "non-iid")
)

TABLES: dict[str, tuple[Cell, ...]] = {
    "two_nn": TWO_NN,
    "table_1": TABLE_1,
    "table_2": TABLE_2,
    "centred": CENTRED,
    "int8": INT8,
    "shakespeare": SHAKESPEARE,
    "shakespeare_small": SMALL,
}
_COMPARED = tuple(cell for row in BASELINES for cell in (row.fedsgd, row.fedavg))
EXHIBITS: dict[str, tuple[Cell | Pooled, ...]] = {**TABLES, "baselines": (*SGD, *_COMPARED)}


def cell_named(name: str) -> Cell:
    """The cell of a table by its name; raises KeyError."""
    return {cell.name: cell for cells in TABLES.values() for cell in cells}[name]


# What a few minutes allow.
FAST = tuple(cell for cell in TABLE_1 if cell.batch == 10 and cell.fraction == 0.1)[:1]
