"""The skeletons of the digits: the ways to write each, as strokes through a few points.

Points are (x, y) in a box of side 1, y downwards. A stroke of two points is straight, a longer one
is a Catmull-Rom spline through all of them; where a pen turns sharply, one stroke ends and the next
begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Stroke = tuple[tuple[float, float], ...]
Form = tuple[Stroke, ...]

POINTS = 112
# Of a box of height 1, how wide a digit is.
WIDTH = 0.62
_FINE = 40

# fmt: off
FORMS: tuple[tuple[Form, ...], ...] = (
    (  # 0: round; narrow and begun inside; begun at the right, not quite closed
        (((.52, 0), (.2, .1), (.03, .5), (.2, .92), (.5, 1), (.82, .9), (.97, .5), (.8, .1),
          (.52, 0)),),
        (((.62, .12), (.4, 0), (.18, .25), (.14, .6), (.3, .94), (.55, 1), (.78, .8), (.84, .4),
          (.66, .06), (.45, .02)),),
        (((.86, .2), (.55, .02), (.18, .2), (.04, .6), (.24, .96), (.62, .96), (.92, .66),
          (.9, .3), (.7, .1)),),
    ),
    (  # 1: a line; with a flag; with a flag and a foot
        (((.52, 0), (.5, 1)),),
        (((.2, .3), (.58, 0)), ((.58, 0), (.54, 1))),
        (((.24, .22), (.52, 0)), ((.52, 0), (.52, 1)), ((.2, 1), (.86, .99))),
    ),
    (  # 2: with a corner; with a loop; round at the bottom
        (((.08, .24), (.3, .02), (.66, .03), (.84, .28), (.66, .55), (.36, .8), (.06, .99)),
         ((.06, .99), (.96, .96))),
        (((.12, .2), (.4, 0), (.78, .1), (.8, .38), (.52, .7), (.2, .95), (.04, .86), (.2, .74),
          (.5, .88), (.76, .98), (.98, .86)),),
        (((.14, .12), (.5, 0), (.84, .18), (.74, .46), (.34, .74), (.1, .94), (.4, .98),
          (.94, .98)),),
    ),
    (  # 3: round; with a flat top; with a loop in the waist
        (((.1, .14), (.42, 0), (.8, .12), (.74, .36), (.36, .47)),
         ((.36, .47), (.78, .56), (.88, .8), (.52, 1), (.06, .88))),
        (((.1, .02), (.86, .02)), ((.86, .02), (.42, .4)),
         ((.42, .4), (.82, .52), (.9, .8), (.56, 1), (.08, .92))),
        (((.12, .1), (.5, 0), (.8, .16), (.6, .4), (.36, .5), (.3, .44), (.5, .44), (.82, .6),
          (.8, .88), (.46, 1), (.06, .86)),),
    ),
    (  # 4: open; closed; in one bow and a line
        (((.24, .02), (.08, .56)), ((.08, .56), (.94, .54)), ((.7, .16), (.66, 1))),
        (((.68, 0), (.04, .66)), ((.04, .66), (.98, .66)), ((.68, 0), (.66, 1))),
        (((.16, .02), (.08, .32), (.24, .52), (.58, .5), (.84, .36)), ((.88, 0), (.72, 1))),
    ),
    (  # 5: three strokes; as an S; with its roof put on last
        (((.88, .02), (.26, .02)), ((.26, .02), (.18, .44)),
         ((.18, .44), (.5, .36), (.86, .52), (.84, .86), (.48, 1), (.06, .9))),
        (((.86, .06), (.52, 0), (.24, .12), (.24, .36), (.54, .46), (.84, .64), (.78, .92),
          (.44, 1), (.1, .9)),),
        (((.3, .04), (.22, .44)),
         ((.22, .44), (.6, .42), (.86, .66), (.7, .94), (.3, 1), (.06, .88)),
         ((.3, .05), (.96, 0))),
    ),
    (  # 6: round; upright; with a small eye
        (((.78, .02), (.36, .24), (.08, .64), (.24, .95), (.6, 1), (.88, .8), (.74, .56),
          (.4, .52), (.1, .72)),),
        (((.5, 0), (.2, .36), (.1, .72), (.28, .98), (.64, .98), (.82, .76), (.62, .56), (.3, .62),
          (.12, .8)),),
        (((.86, .1), (.52, .06), (.2, .36), (.08, .74), (.34, 1), (.7, .94), (.76, .72),
          (.46, .66), (.2, .86)),),
    ),
    (  # 7: two lines; with a bar; with a serif and a bow
        (((.06, .04), (.92, .02)), ((.92, .02), (.38, 1))),
        (((.06, .04), (.94, .04)), ((.94, .04), (.42, 1)), ((.28, .5), (.88, .48))),
        (((.06, .2), (.1, .03)), ((.1, .03), (.92, .05)), ((.92, .05), (.62, .46), (.48, 1))),
    ),
    (  # 8: one line that crosses itself; two rings; begun in the middle
        (((.8, .14), (.48, 0), (.2, .18), (.44, .44), (.82, .7), (.72, .96), (.38, 1), (.12, .8),
          (.36, .54), (.72, .32), (.8, .14)),),
        (((.5, .46), (.2, .26), (.46, 0), (.8, .2), (.5, .46)),
         ((.5, .46), (.1, .74), (.46, 1), (.9, .76), (.5, .46))),
        (((.48, .48), (.8, .26), (.6, .02), (.26, .1), (.28, .38), (.7, .6), (.86, .84), (.5, 1),
          (.14, .86), (.3, .56), (.52, .46)),),
    ),
    (  # 9: a ring and a line; with a round tail; in one line
        (((.84, .16), (.5, 0), (.12, .2), (.22, .48), (.6, .46), (.84, .16)),
         ((.84, .16), (.76, 1))),
        (((.82, .22), (.48, .02), (.14, .24), (.3, .5), (.66, .44), (.82, .2)),
         ((.82, .2), (.88, .58), (.68, .92), (.3, 1), (.1, .88))),
        (((.8, .1), (.4, .02), (.14, .26), (.4, .46), (.74, .3), (.84, .1), (.78, .5), (.56, 1)),),
    ),
)
# fmt: on


@dataclass(frozen=True)
class Skeletons:
    """All forms, walked in equal steps: form f is ``points[f]``, [POINTS, 2], about the middle.

    A point of form f stands for ``steps[f]`` of the way, in heights of the box. The forms of digit
    d are ``first[d]`` to ``first[d + 1]``.
    """

    points: Floats
    steps: Floats
    first: npt.NDArray[np.int64]


@cache
def skeletons() -> Skeletons:
    """The forms of all digits, made once."""
    walked = [_walk(form) for forms in FORMS for form in forms]
    return Skeletons(
        points=np.stack([points for points, _ in walked]),
        steps=np.array([length / POINTS for _, length in walked]),
        first=np.cumsum([0, *(len(forms) for forms in FORMS)]),
    )


def _walk(form: Form) -> tuple[Floats, float]:
    """POINTS points along the strokes of a form, and how long the way is."""
    pieces = [_segments(stroke) for stroke in form]
    begins, ends = (np.concatenate(side) for side in zip(*pieces, strict=True))
    lengths = np.hypot(*(ends - begins).T)
    way = np.concatenate([[0.0], np.cumsum(lengths)])
    at = (np.arange(POINTS) + 0.5) * way[-1] / POINTS
    piece = np.searchsorted(way, at, side="right") - 1
    share = ((at - way[piece]) / lengths[piece])[:, None]
    return begins[piece] + share * (ends - begins)[piece], float(way[-1])


def _segments(stroke: Stroke) -> tuple[Floats, Floats]:
    """Begins and ends of the short straight pieces of one stroke."""
    points = (np.array(stroke, np.float64) - 0.5) * (WIDTH, 1.0)
    if len(points) > 2:
        points = _spline(points)
    return points[:-1], points[1:]


def _spline(knots: Floats) -> Floats:
    """The uniform Catmull-Rom spline through ``knots``; the first and last count twice."""
    around = np.concatenate([knots[:1], knots, knots[-1:]])
    a, b, c, d = (around[i : len(around) - 3 + i, None] for i in range(4))
    t = (np.arange(_FINE) / _FINE)[None, :, None]
    curve = b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))) / 2
    return np.concatenate([curve.reshape(-1, 2), knots[-1:]])
