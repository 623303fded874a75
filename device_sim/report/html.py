"""Pieces of the page: lists, tables and pictures as HTML, with all text escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from .canvas import Picture

NONE = "–"


@dataclass(frozen=True)
class Cell:
    """A cell of a table; ``share`` draws a bar behind it, from 0 to 1."""

    text: str
    kind: str = ""
    share: float | None = None

    def __str__(self) -> str:
        classes = " ".join(filter(None, (self.kind, "" if self.share is None else "share")))
        named = f' class="{classes}"' if classes else ""
        drawn = "" if self.share is None else f' style="--share: {100 * self.share:.1f}%"'
        return f"<td{named}{drawn}>{escape(self.text)}</td>"


def section(heading: str, *pieces: str) -> str:
    """A heading and what is below it; nothing where there is nothing."""
    below = "\n".join(piece for piece in pieces if piece)
    return f"<h2>{escape(heading)}</h2>\n{below}" if below else ""


def paragraph(text: str, *, is_note: bool = False) -> str:
    kind = ' class="note"' if is_note else ""
    return f"<p{kind}>{escape(text)}</p>"


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, is_long: bool = False
) -> str:
    """A table that scrolls by itself where it is too wide, and if it is long within itself."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    kind = "scroll long" if is_long else "scroll"
    return (
        f'<div class="{kind}" tabindex="0">\n<table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def listing(entries: Iterable[tuple[str, str]]) -> str:
    """Labels with their values; long ones take a line of their own."""
    return "<dl>\n" + "\n".join(_entry(label, value) for label, value in entries) + "\n</dl>"


def pictures(drawn: Iterable[Picture]) -> str:
    """Pictures side by side where there is room; the frame turns them dark where asked to."""
    return '<div class="pictures">\n' + "\n".join(map(_picture, drawn)) + "\n</div>"


def folded(label: str, text: str) -> str:
    """Text as it is, shown when asked for."""
    return (
        f"<details><summary>{escape(label)}</summary>\n<pre>{escape(text)}</pre>\n</details>"
        if text
        else ""
    )


def _entry(label: str, value: str) -> str:
    wide = ' class="wide"' if len(value) > 40 else ""
    return f"<div{wide}><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"


def _cell(value: str | Cell) -> str:
    return str(value if isinstance(value, Cell) else Cell(value))


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(picture.alt)}">'
