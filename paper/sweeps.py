"""Sweeps: cells at rates that are stated, where an exhibit is about the whole curve.

``large_e`` is figures 3 and 8 of arXiv 1602.05629, the training loss when clients take many passes
between two averages; all cells of a panel begin at the same checkpoint. ``rates_2nn`` runs one cell
at the rates that the search has no need of, ``first_weights`` the same one from other weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from . import setups
from .cells import TRAIN, Cell
from .exhibits import cell_named

EPOCHS = (1, 5, 10, 50)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Cells, each at every place of the grid that is given, for ``most_rounds`` of the cell."""

    title: str
    cells: tuple[Cell, ...]
    places: tuple[float, ...]


def _panel(setup: setups.Setup, partition: str, *, place: float, rounds: int) -> Sweep:
    cells = tuple(
        Cell(
            setup=setup,
            partition=partition,
            fraction=0.1,
            epochs=epochs,
            batch=10,
            target=None,
            paper_rounds=None,
            most_rounds=rounds,
            measures=TRAIN,
        )
        for epochs in EPOCHS
    )
    return Sweep(title=f"{setup.name}, {partition}", cells=cells, places=(place,))


# Place 0.5 of the grid is 1.47, the paper's rate for Shakespeare; it does not say those of MNIST.
LARGE_E: Mapping[str, Sweep] = {
    "large_e_shakespeare": _panel(setups.SHAKESPEARE_SMALL, "non-iid", place=0.5, rounds=200),
    "large_e_2nn_iid": _panel(setups.TWO_NN, "iid", place=-3, rounds=100),
    "large_e_2nn_non_iid": _panel(setups.TWO_NN, "non-iid", place=-4, rounds=100),
    "large_e_cnn_iid": _panel(setups.CNN, "iid", place=-3, rounds=40),
    "large_e_cnn_non_iid": _panel(setups.CNN, "non-iid", place=-4, rounds=40),
}

# 0.0215 to 0.464, until the target or for four times the paper's rounds and more.
RATES_2NN = Sweep(
    title="The 2NN at every rate",
    cells=(replace(cell_named("2nn-iid-C0.1-E1-B10"), most_rounds=400),),
    places=(-5, -4, -3, -2, -1),
)

# Other first weights, at 0.0464, 0.1 and 0.215.
FIRST_WEIGHTS: Mapping[str, Sweep] = {
    weights: Sweep(
        title=f"The 2NN from {weights} weights",
        cells=(replace(RATES_2NN.cells[0], setup=setup),),
        places=(-4, -3, -2),
    )
    for weights, setup in setups.TWO_NN_WEIGHTS.items()
}

SWEEPS: Mapping[str, tuple[Sweep, ...]] = {
    "large_e": tuple(LARGE_E.values()),
    "rates_2nn": (RATES_2NN,),
    "first_weights": tuple(FIRST_WEIGHTS.values()),
}
