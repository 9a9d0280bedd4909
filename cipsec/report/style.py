"""How a report looks, on a screen and on A4; what it says is left to `as_html`."""

from __future__ import annotations

STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; --pale: #f5f7f9; --accent: #1f5f8b;
  --warn: #9a4b00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 2.5rem 2.5rem 4rem; max-width: 84rem; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans",
  "Liberation Sans", Arial, sans-serif; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, "Cascadia Mono", "Segoe UI Mono", Menlo, "Noto Sans Mono",
  "Liberation Mono", Consolas, monospace; font-size: .86em; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 1rem; margin-bottom: 1.75rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; font-weight: 650; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
header p { margin: .35rem 0 0; color: var(--soft); }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; font-weight: 650; break-after: avoid; }
section > p { margin: 0 0 .6rem; color: var(--soft); max-width: 46rem; }
ul.tiles { list-style: none; display: grid; grid-template-columns: repeat(5, 1fr); gap: .9rem;
  margin: 0; padding: 0; }
ul.tiles li { border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; }
ul.tiles b { display: block; font-size: 1.75rem; line-height: 1.2; font-weight: 600; }
ul.tiles span { color: var(--soft); font-size: .9rem; }
ul.tiles li.look { border-color: #e3c7a8; background: #fdf8f2; }
ul.tiles li.look b { color: var(--warn); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; margin: 1.75rem 0 0;
  padding: 1rem 1.2rem; background: var(--pale); border-radius: .5rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .88rem; table-layout: fixed; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .8rem;
  border-bottom: 1px solid var(--ink); padding: .3rem .8rem .3rem 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: .42rem .8rem .42rem 0; vertical-align: top;
  overflow-wrap: anywhere; }
td small { display: block; color: var(--soft); font-size: .92em; }
tr { break-inside: avoid; }
.none { color: var(--soft); }
.alert { color: var(--warn); }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .85rem; }
@media screen and (max-width: 60rem) {
  body { padding: 1.25rem; }
  ul.tiles { grid-template-columns: 1fr 1fr; }
  .wide { overflow-x: auto; }
  .wide table { min-width: 56rem; }
}
@page { size: A4 landscape; margin: 14mm 14mm 16mm; }
@media print {
  body { padding: 0; max-width: none; font-size: 9.5pt; }
  h1 { font-size: 20pt; }
  h2 { margin-top: 8mm; }
  table { font-size: 8pt; line-height: 1.35; }
  td { padding-top: .25rem; padding-bottom: .25rem; }
  thead { display: table-header-group; }
  ul.tiles li, dl { break-inside: avoid; }
  ul.tiles li, ul.tiles li.look, dl { background: none; }
  dl { border: 1px solid var(--line); }
}
"""
