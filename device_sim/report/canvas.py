"""The canvas of a picture: its colours, one set of axes, and the PNG that comes of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_IN, DOTS_PER_IN = (5.2, 3.4), 160
# Fixed, so that pictures stand in line; finding margins would take half of the time.
_MARGINS = {"left": 0.115, "right": 0.955, "bottom": 0.15, "top": 0.9}
Place = Literal["best", "upper left", "upper right", "lower right"]


@dataclass(frozen=True)
class Palette:
    """The colours of a picture; ``series`` are told apart by their dashes too."""

    ground: str
    ink: str
    grid: str
    run: str
    target: str
    soft: str
    series: tuple[str, ...]


PALETTE = Palette(
    ground="#ffffff",
    ink="#1f2933",
    grid="#d9dee4",
    run="#0b63ce",
    target="#b4460f",
    soft="#7b8794",
    series=("#0f8a6d", "#7a4fc4", "#c2741b"),
)


@dataclass(frozen=True)
class Picture:
    """One picture: its title, its words for those who cannot see it, and how it is drawn."""

    title: str
    alt: str
    draw: Callable[[Axes, Palette], None]

    def png(self) -> bytes:
        """The picture on a light background; equal runs give equal bytes."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        palette = PALETTE
        figure = Figure(figsize=SIZE_IN, dpi=DOTS_PER_IN, facecolor=palette.ground)
        figure.subplots_adjust(**_MARGINS)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor=palette.ground)
        _plain(axes, palette)
        self.draw(axes, palette)
        axes.set_title(self.title, loc="left", color=palette.ink, fontsize=12, fontweight="bold")
        png = io.BytesIO()
        figure.savefig(
            png,
            format="png",
            facecolor=palette.ground,
            metadata={"Software": None},
            pil_kwargs={"compress_level": 4},
        )
        return png.getvalue()


def whole_numbers(axes: Axes) -> None:
    """Ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))


def short_numbers(axes: Axes) -> None:
    """Thousands as k and millions as M up the side."""
    from matplotlib.ticker import EngFormatter

    axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def named(axes: Axes, palette: Palette, *, across: str, place: Place = "best") -> None:
    """Says what runs across, and shows a legend where lines have names."""
    axes.set_xlabel(across, color=palette.ink, fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            frameon=True,
            framealpha=0.85,
            facecolor=palette.ground,
            edgecolor="none",
            labelcolor=palette.ink,
            fontsize=9,
            loc=place,
        )


def _plain(axes: Axes, palette: Palette) -> None:
    axes.grid(color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.ink, length=0, labelsize=10)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.grid)
