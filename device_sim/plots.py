"""The picture of a run: accuracy and traffic against rounds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .monitor import RoundRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Palette:
    """Colours that suit one background."""

    ground: str
    ink: str
    grid: str
    accuracy: str
    target: str
    up: str
    down: str


LIGHT = Palette(
    ground="#ffffff",
    ink="#1f2933",
    grid="#d9dee4",
    accuracy="#0b63ce",
    target="#b4460f",
    up="#0f8a6d",
    down="#7a4fc4",
)
DARK = Palette(
    ground="#161b22",
    ink="#d6dde5",
    grid="#30373f",
    accuracy="#62a8ff",
    target="#f2935c",
    up="#4fd1a8",
    down="#b99bf2",
)


def draw(rows: Sequence[RoundRow], *, palette: Palette, target: float | None) -> bytes:
    """A PNG of two panels: accuracy with its target, and bytes sent and received so far."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 6.4), dpi=144, facecolor=palette.ground)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    FigureCanvasAgg(figure)
    _accuracy(_panel(figure, 1, palette), rows, palette=palette, target=target)
    _traffic(_panel(figure, 2, palette), rows, palette=palette)
    png = io.BytesIO()
    figure.savefig(png, format="png", facecolor=palette.ground, metadata={"Software": None})
    return png.getvalue()


def _panel(figure: Figure, place: int, palette: Palette) -> Axes:
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_subplot(2, 1, place, facecolor=palette.ground)
    axes.grid(color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.ink, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.grid)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    return axes


def _accuracy(
    axes: Axes, rows: Sequence[RoundRow], *, palette: Palette, target: float | None
) -> None:
    rounds = [row.round for row in rows]
    percent = [100 * row.accuracy for row in rows]
    axes.plot(rounds, percent, color=palette.accuracy, linewidth=2, solid_capstyle="round")
    _by_phones(axes, rows, palette=palette)
    axes.plot(rounds[-1:], percent[-1:], "o", color=palette.accuracy, markersize=5)
    if target is not None:
        axes.axhline(100 * target, color=palette.target, linewidth=1.2, linestyle=(0, (5, 3)))
        axes.annotate(
            f"target {target:.1%}",
            (0.0, 100 * target),
            xycoords=("axes fraction", "data"),
            xytext=(4, -4),
            textcoords="offset points",
            color=palette.target,
            fontsize=9,
            va="top",
        )
    axes.set_ylim(0, 102)
    _title(axes, f"Test accuracy, %  (last: {percent[-1]:.2f})", palette)


def _by_phones(axes: Axes, rows: Sequence[RoundRow], *, palette: Palette) -> None:
    """A ring for each checkpoint that phones have measured; no legend where there is none."""
    measured = [
        (row.round, 100 * row.phones_accuracy) for row in rows if row.phones_accuracy is not None
    ]
    if not measured:
        return
    axes.plot(
        *zip(*measured, strict=True),
        "o",
        color=palette.up,
        markersize=5,
        fillstyle="none",
        label="measured by phones",
    )
    axes.legend(frameon=False, labelcolor=palette.ink, loc="lower right")


def _traffic(axes: Axes, rows: Sequence[RoundRow], *, palette: Palette) -> None:
    rounds = [row.round for row in rows]
    for label, colour, counts in (
        ("sent by phones", palette.up, [row.bytes_up for row in rows]),
        ("received by phones", palette.down, [row.bytes_down for row in rows]),
    ):
        axes.plot(rounds, np.cumsum(counts) / 1e6, color=colour, linewidth=2, label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("round", color=palette.ink)
    axes.legend(frameon=False, labelcolor=palette.ink, loc="upper left")
    _title(axes, "Bytes so far, MB", palette)


def _title(axes: Axes, text: str, palette: Palette) -> None:
    axes.set_title(text, loc="left", color=palette.ink, fontsize=11, fontweight="bold")
