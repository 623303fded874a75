"""The frame of the page: what it looks like, on a desk and on a phone, by day and by night."""

from __future__ import annotations

from string import Template

FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --ground: #fff; --ink: #1f2933; --soft: #5b6773; --line: #d9dee4; --accent: #0b63ce;
  --bar: #cfe0f7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #161b22; --ink: #d6dde5; --soft: #93a0ad; --line: #30373f; --accent: #62a8ff;
    --bar: #24415f;
  }
  img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 3rem;
  background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.35rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.25rem 0 .5rem; font-size: 1.05rem; }
p { margin: .25rem 0 .75rem; max-width: 46rem; }
.headline { margin: .25rem 0 1.25rem; color: var(--accent); font-size: 1.1rem; }
.note { margin: .5rem 0; color: var(--soft); font-size: .85rem; }
.pictures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.25rem;
}
img { display: block; width: 100%; height: auto; }
dl {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr));
  gap: .75rem 1.25rem; margin: 0;
}
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.wide { grid-column: 1 / -1; }
.scroll { overflow-x: auto; }
.long { max-height: 32rem; overflow-y: auto; }
table { width: 100%; border-collapse: collapse; font-size: .85rem; }
th, td {
  padding: .3rem .5rem; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
th { color: var(--soft); font-weight: 500; }
.long th { position: sticky; top: 0; background: var(--ground); }
th:first-child, td:first-child { padding-left: 0; text-align: left; }
td.shape { font-family: ui-monospace, monospace; }
.share {
  background: linear-gradient(var(--bar), var(--bar)) no-repeat left / var(--share) 100%;
}
pre {
  margin: 0; padding: .75rem; overflow-x: auto; border: 1px solid var(--line); font-size: .8rem;
}
summary { cursor: pointer; color: var(--soft); font-size: .85rem; margin: .75rem 0 .5rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="headline">$headline</p>
$body
</body>
</html>
""")
