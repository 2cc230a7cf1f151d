"""The style sheet: dark on white, one column, tables that become cards in a narrow window."""

from model_checks.report.markup import Html

STYLE = Html("""
:root { --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --pale: #f6f8fa; --link: #0550ae;
  --good: #116329; --bad: #a40e26; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; overflow-wrap: break-word;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1240px; margin: 0 auto; padding: 0 20px; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 28px 0 8px; }
h2 { font-size: 1.35rem; margin: 44px 0 8px; padding-top: 8px; border-top: 2px solid var(--ink); }
h3 { font-size: 1.08rem; margin: 28px 0 6px; }
p { max-width: 76ch; margin: 6px 0 12px; }
a { color: var(--link); }
a[href^="#F-"] { white-space: nowrap; }
code { font: 0.86em/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code.line { display: block; padding-left: 1.4em; text-indent: -1.4em; }
code.line + code.line { margin-top: 3px; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 10px 0; }
nav.contents { border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.soft { color: var(--soft); }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
.counts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px;
  margin: 16px 0; padding: 0; list-style: none; }
.counts li { border: 1px solid var(--line); border-radius: 6px; padding: 8px 12px; }
.counts b { display: block; font-size: 1.5rem; line-height: 1.25; }
.scroll { overflow-x: auto; margin: 8px 0 16px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th, td { text-align: left; vertical-align: top; padding: 6px 10px;
  border-bottom: 1px solid var(--line); }
td > div { min-width: 0; }
thead th { background: var(--pale); white-space: nowrap; }
table.rows td:nth-child(4), table.rows td:nth-child(5) { min-width: 210px; }
table.rows td:nth-child(3) { min-width: 150px; }
table.rows td:nth-child(-n+3) > div, table.rows td:nth-child(6) > div { overflow-wrap: break-word; }
table.rows td:nth-child(7) { min-width: 220px; }
table.properties td:nth-child(3) { min-width: 260px; }
table.properties td:nth-child(5) > div { overflow-wrap: anywhere; }
table.properties td:nth-child(4) > div, table.models td:nth-child(n+3) > div,
table.answers td:nth-child(n+2) > div { white-space: nowrap; }
table.numbers td:nth-child(n+2) { text-align: right; }
table.numbers th:nth-child(n+2) { text-align: right; }
:target { background: #fff8c5; scroll-margin-top: 12px; }
details { border: 1px solid var(--line); border-radius: 6px; margin: 6px 0; }
summary { padding: 6px 12px; cursor: pointer; }
details > :not(summary) { padding: 1px 12px; }
details > :target { scroll-margin-top: 52px; background: none; box-shadow: inset 4px 0 #d4a72c; }
details[open] > summary { border-bottom: 1px solid var(--line); background: var(--pale); }
dl { display: grid; grid-template-columns: 9em minmax(0, 1fr); gap: 4px 14px; margin: 8px 0; }
dt { color: var(--soft); }
dd { margin: 0; max-width: 96ch; overflow-wrap: anywhere; }
article { border-left: 3px solid var(--line); padding-left: 14px; margin: 22px 0; }
article h3 { margin-top: 0; }
svg { display: block; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, monospace; }
svg text { fill: var(--ink); font-size: 11px; }
svg a text { fill: var(--link); }
svg .head { font-weight: 600; font-size: 12px; }
svg .small { font-size: 10px; }
svg .lane { stroke: #b6bfc8; stroke-dasharray: 3 4; }
svg .box { fill: #fff; stroke: #57606a; }
svg .loop { fill: none; stroke: var(--bad); stroke-dasharray: 6 4; }
svg .first { stroke: var(--ink); stroke-width: 2.5; }
svg .liar { fill: #ffebe9; stroke: var(--bad); }
svg .world { fill: var(--pale); }
svg .arrow { stroke: var(--ink); stroke-width: 1.3; fill: none; }
svg .seen { stroke: #8c959f; stroke-width: 1; fill: none; }
svg .tip { fill: var(--ink); stroke: none; }
svg .seen-tip { fill: #8c959f; stroke: none; }
footer { margin-top: 40px; padding-bottom: 40px; color: var(--soft); }
@media (max-width: 640px) {
  header, main, footer { padding: 0 14px; }
  h1 { font-size: 1.45rem; }
  table.cards, table.cards tbody { display: block; }
  table.cards thead { display: none; }
  table.cards tr { display: block; border: 1px solid var(--line); border-radius: 6px;
    margin: 8px 0; padding: 4px 10px; }
  table.cards td { display: grid; grid-template-columns: 6.2em minmax(0, 1fr); gap: 8px;
    border: 0; padding: 3px 0; min-width: 0 !important; text-align: left !important; }
  table.cards td > div { white-space: normal !important; overflow-wrap: anywhere; }
  table.cards td::before { content: attr(data-label); color: var(--soft); }
  table.cards td:has(> div:empty) { display: none; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 6px; }
  article { padding-left: 10px; }
}
@media print { details::details-content { content-visibility: visible; block-size: auto; }
  nav { display: none; } }
""")
