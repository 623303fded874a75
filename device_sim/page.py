"""The page of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from string import Template

from .monitor import RoundRow

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root { --ground: #fff; --ink: #1f2933; --soft: #5b6773; --line: #d9dee4; --accent: #0b63ce; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #161b22; --ink: #d6dde5; --soft: #93a0ad; --line: #30373f; --accent: #62a8ff; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 3rem;
  background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.35rem; line-height: 1.25; }
h2 { margin: 2rem 0 .5rem; font-size: 1rem; }
.headline { margin: .25rem 0 1.25rem; color: var(--accent); font-size: 1.1rem; }
img { display: block; width: 100%; height: auto; }
dl {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr));
  gap: .75rem 1.25rem; margin: 0;
}
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .85rem; }
th, td {
  padding: .3rem .5rem; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child { padding-left: 0; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="headline">$headline</p>
<picture>
<source media="(prefers-color-scheme: dark)" srcset="$dark">
<img src="$light" alt="Accuracy and traffic against rounds">
</picture>
<h2>The run</h2>
<dl>
$details
</dl>
<h2>Rounds</h2>
<div class="scroll">
<table>
<thead><tr>$columns</tr></thead>
<tbody>
$rows
</tbody>
</table>
</div>
</body>
</html>
""")

_COLUMNS = (
    "round",
    "accuracy",
    "by phones",
    "loss",
    "train loss",
    "accepted",
    "late",
    "dropped",
    "MB up",
    "MB down",
    "seconds",
)


def render_page(
    *,
    title: str,
    headline: str,
    details: Iterable[tuple[str, str]],
    rows: Sequence[RoundRow],
    plots: tuple[bytes, bytes],
) -> str:
    """The whole page; ``plots`` are the PNG for a light and for a dark background."""
    light, dark = plots
    return _PAGE.substitute(
        title=escape(title),
        headline=escape(headline),
        light=_embedded(light),
        dark=_embedded(dark),
        details="\n".join(
            f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
            for label, value in details
        ),
        columns="".join(f"<th>{name}</th>" for name in _COLUMNS),
        rows="\n".join(f"<tr>{_cells(row)}</tr>" for row in rows),
    )


def _cells(row: RoundRow) -> str:
    attempt = f" ({row.attempt})" if row.attempt > 1 else ""
    values = (
        f"{row.round}{attempt}",
        f"{row.accuracy:.2%}",
        "–" if row.phones_accuracy is None else f"{row.phones_accuracy:.2%}",
        f"{row.loss:.4f}",
        "–" if row.train_loss is None else f"{row.train_loss:.4f}",
        f"{row.accepted}",
        f"{row.late}",
        f"{row.dropped}",
        f"{row.bytes_up / 1e6:.1f}",
        f"{row.bytes_down / 1e6:.1f}",
        f"{row.seconds:.1f}",
    )
    return "".join(f"<td>{value}</td>" for value in values)


def _embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
