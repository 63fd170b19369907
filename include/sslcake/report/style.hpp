// The style sheet of report.html: few rules, system fonts, one accent colour; dark where the reader's system is.
#pragma once

namespace sslcake::inline v0::report::detail {

inline constexpr const char* style = R"css(
:root { color-scheme: light dark; --page:#f6f5f2; --card:#ffffff; --ink:#21242b; --soft:#6b7280; --rule:#e3e1dc;
  --c0:#2563c9; --c1:#d9730d; --c2:#2f8f5b; --c3:#a13fa8; --c4:#b3293f; --c5:#5b6b7f; }
@media (prefers-color-scheme: dark) { :root { --page:#15171b; --card:#1e2127; --ink:#e7e9ee; --soft:#98a1af; --rule:#333842;
  --c0:#78aefc; --c1:#f2a65a; --c2:#6fcf97; --c3:#d28be0; --c4:#f07c8f; --c5:#a7b3c4; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 2.2rem 1.2rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .7rem; }
p.lead { color: var(--soft); margin: 0; }
p.note { border-left: 3px solid var(--c1); padding: .1rem .8rem; margin: .8rem 0 0; color: var(--soft); }
.tiles, .charts, .pictures { display: grid; gap: .9rem; }
.tiles { grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); margin-top: 1.3rem; }
.charts { grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); }
.pictures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); align-items: start; }
.tile, .card, figure { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; margin: 0;
  padding: .9rem 1rem; }
.tile b { display: block; font-size: 1.5rem; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span, figcaption { color: var(--soft); font-size: .87rem; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
figcaption { margin-top: .5rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
td, th { text-align: left; padding: .38rem .9rem .38rem 0; border-top: 1px solid var(--rule); vertical-align: middle;
  font-weight: normal; }
tr:first-child td, tr:first-child th { border-top: 0; }
th { color: var(--soft); width: 40%; }
.config td { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .86rem; overflow-wrap: anywhere; }
td.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 6rem; }
.bar { height: .62rem; border-radius: .31rem; background: var(--rule); overflow: hidden; min-width: 5rem; }
.bar i { display: block; height: 100%; background: var(--c0); }
.bar i.quiet { background: var(--c5); }
svg.chart { display: block; width: 100%; height: auto; font: 11.5px system-ui, "DejaVu Sans", sans-serif; }
svg .title { font-weight: 600; font-size: 13px; fill: var(--ink); }
svg .value { font-weight: 600; font-size: 13px; fill: var(--c0); font-variant-numeric: tabular-nums; }
svg .label { fill: var(--soft); }
svg .grid { stroke: var(--rule); } svg .axis { stroke: var(--soft); }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } svg .dashed { stroke-dasharray: 5 4; }
svg .series0 { stroke: var(--c0); } svg .series1 { stroke: var(--c1); } svg .series2 { stroke: var(--c2); }
svg .series3 { stroke: var(--c3); } svg .series4 { stroke: var(--c4); } svg .series5 { stroke: var(--c5); }
svg .dot.series0 { fill: var(--c0); } svg .dot.series1 { fill: var(--c1); } svg .dot.series2 { fill: var(--c2); }
svg .dot.series3 { fill: var(--c3); } svg .dot.series4 { fill: var(--c4); } svg .dot.series5 { fill: var(--c5); }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem; }
@media print { .tile, .card, figure { break-inside: avoid; } }
)css";

}  // namespace sslcake::inline v0::report::detail
