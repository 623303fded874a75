"""A picture of a few lines: equal lines give equal bytes, and words for who cannot see it."""

import pytest
from pocketfed.device_sim.report.canvas import PALETTE, Picture
from pocketfed.device_sim.report.lines import Line, lines_picture

LINES = [Line("E=1", [0, 1, 2], [2.3, 0.5, 0.25]), Line("E=5", [0, 1], [2.3, 0.1])]


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def picture(**scales: bool) -> Picture:
    return lines_picture("Loss", LINES, across="round", **scales)


def test_equal_lines_give_equal_bytes() -> None:
    assert picture().png() == picture().png()


def test_the_words_say_where_each_line_ends() -> None:
    assert picture().alt == "Loss against round; at the end E=1: 0.25, E=5: 0.1"


def test_lines_differ_in_colour_dashes_and_marks(axes) -> None:
    picture().draw(axes, PALETTE)
    looks = [(one.get_color(), one.get_linestyle(), one.get_marker()) for one in axes.get_lines()]
    assert all(len(set(each)) == 2 for each in zip(*looks, strict=True))


def test_ticks_of_a_logarithmic_scale_are_at_the_points(axes) -> None:
    line = Line("ours", [0.0464, 0.1], [50.0, 40.0])
    lines_picture("Rounds", [line], across="rate", has_log_across=True).draw(axes, PALETTE)
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.0464", "0.1"]


def test_ticks_of_many_points_and_of_what_goes_up_are_round_numbers(axes) -> None:
    line = Line("ours", list(range(1, 200)), [0.4 / place for place in range(1, 200)])
    scales = {"has_log_across": True, "has_log_up": True}
    lines_picture("Error", [line], across="round", **scales).draw(axes, PALETTE)
    axes.figure.canvas.draw()
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    assert [tick for tick in axes.get_xticks() if left < tick < right] == [1, 10, 100]
    seen = [tick for tick in axes.get_yticks() if low < tick < high]
    assert seen == pytest.approx([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
    assert not len(axes.get_yticks(minor=True))
