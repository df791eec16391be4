"""The page's style sheet."""

import dataclasses

from gaitkd_jax.evaluation.report import palette

_LINES = palette.LIGHT.lines
_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0 auto;padding:2.5rem 1.5rem 3rem;max-width:76rem;
background:var(--page);color:var(--ink);overflow-wrap:anywhere;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
"Liberation Sans",Arial,sans-serif}
h1{margin:0 0 1.25rem;font-size:1.75rem;line-height:1.2;letter-spacing:-.01em;
text-wrap:balance}
h2{margin:0;font-size:1.25rem;line-height:1.3}
h3{margin:1.5rem 0 .75rem;font-size:1rem}
h4{margin:0 0 .75rem;font-size:.875rem;font-weight:400;color:var(--faint)}
h4 em{margin-right:.6rem;padding:.1rem .5rem;border-radius:99px;
background:var(--page);border:1px solid var(--line);color:var(--ink);
font-style:normal;font-weight:600}
section{padding-top:2.75rem}
.note,footer{color:var(--faint);font-size:.875rem}
.note{margin:.25rem 0 0;max-width:46rem;text-wrap:pretty}
.top{display:flex;flex-wrap:wrap;gap:1.5rem 3rem;align-items:center}
.hero{display:flex;flex-direction:column;margin:0}
.hero strong{font-size:4rem;line-height:1;letter-spacing:-.03em;
font-variant-numeric:tabular-nums}
.hero small{margin-left:.1em;font-size:.5em;font-weight:500;letter-spacing:0;
color:var(--faint)}
.hero span{margin-top:.4rem;color:var(--faint)}
dl{display:grid;flex:1 1 24rem;gap:.75rem 1.5rem;margin:0;
grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr))}
dt{color:var(--faint);font-size:.8125rem;line-height:1.3}
dd{margin:0;font-weight:500;line-height:1.35}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin-top:1.75rem;
padding:.6rem 0;border:solid var(--line);border-width:1px 0;font-size:.875rem}
a{color:inherit;text-underline-offset:.2em;text-decoration-color:var(--line)}
a:hover{text-decoration-color:currentColor}
.scroll{overflow-x:auto;margin-top:1rem}
table{border-collapse:collapse;font-size:.9375rem;line-height:1.3;
font-variant-numeric:tabular-nums}
th,td{padding:.45rem .9rem;border-bottom:1px solid var(--line);
text-align:right;white-space:nowrap}
thead th{color:var(--faint);font-size:.8125rem;font-weight:500;
vertical-align:bottom}
thead th{white-space:normal;overflow-wrap:normal}
th[scope=row]{padding-left:0;text-align:left;font-weight:600}
th.long{min-width:11rem;white-space:normal;overflow-wrap:anywhere}
thead .whole,.whole{white-space:nowrap}
tr.mean>*{border-bottom:0;border-top:2px solid var(--line);font-weight:700}
abbr{text-decoration:none}
figure{margin:0;break-inside:avoid}
img{display:block;max-width:100%;height:auto}
img.dark{display:none}
.grid{display:flex;flex-wrap:wrap;gap:1.5rem .5rem;margin-top:1.25rem}
.beside{display:flex;flex-wrap:wrap;gap:1rem 3rem;align-items:center;
margin-top:1.25rem}
.beside .scroll{margin:0;max-width:100%}
.beside td,.beside thead th{padding-inline:.7rem}
td small{display:block;color:var(--faint);font-size:.8125rem}
.cards{display:grid;gap:1rem;
align-items:start;
grid-template-columns:repeat(auto-fill,minmax(min(100%,23rem),1fr))}
article{padding:1rem;border-radius:.6rem;background:var(--card);
break-inside:avoid}
ul{display:grid;gap:.7rem;margin:0;padding:0;list-style:none}
li{padding-left:.65rem;border-left:3px solid var(--line)}
li div{display:flex;flex-wrap:wrap;justify-content:space-between;
gap:0 .75rem;margin-bottom:.25rem;font-size:.8125rem;line-height:1.35}
li b{font-weight:600}
li span{color:var(--faint)}
li img{width:100%;border-radius:.2rem;background:#000;
print-color-adjust:exact;-webkit-print-color-adjust:exact}
.probe{border-color:var(--ink)}
.right{border-color:var(--right)}.right b{color:var(--right)}
.wrong{border-color:var(--wrong)}.wrong b{color:var(--wrong)}
.map{display:flex;flex-wrap:wrap;gap:1rem 2.5rem;align-items:center;
margin-top:1.25rem;break-inside:avoid}
.map>svg{flex:1 1 30rem;min-width:0;max-width:45rem;height:auto;
border:1px solid var(--line);border-radius:.6rem;
print-color-adjust:exact;-webkit-print-color-adjust:exact}
.map path{stroke-width:.6}
.map .hollow path{stroke-width:1.3}
.map g path:hover{stroke:var(--ink);stroke-width:2.5}
.fill{fill:currentColor;stroke:var(--page)}
.hollow{fill:var(--page);stroke:currentColor}
.dot{fill:var(--faint);fill-opacity:.45}
.ink{fill:var(--ink)}
.keys{flex:1 1 14rem;font-size:.8125rem;line-height:1.7}
.keys p{display:flex;flex-wrap:wrap;gap:0 1rem;margin:0 0 1rem}
.keys b{flex:0 0 100%;font-weight:600}
.keys svg{margin-right:.35rem;vertical-align:-.15em}
.looks{margin-top:1.25rem}
footer{margin-top:3.5rem;padding-top:1rem;border-top:1px solid var(--line)}
footer p{margin:.25rem 0}
pre{margin:.25rem 0 1rem;padding:.75rem 1rem;border-radius:.4rem;
background:var(--card);color:var(--ink);white-space:pre-wrap;
font:.8125rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,
"Liberation Mono",monospace}
@media (max-width:40rem){
body{padding:1.5rem 1rem 2rem}
h1{font-size:1.375rem}.hero strong{font-size:3.25rem}
th,td{padding:.45rem .6rem}
.grid{gap:1.25rem;justify-content:center}
dl{grid-template-columns:repeat(2,1fr)}
article{padding:.85rem .75rem}}
@media print{
@page{margin:14mm}
body{max-width:none;padding:0;font-size:9.5pt}
nav{display:none}section{padding-top:1.5rem}
hgroup,h3{break-inside:avoid;break-after:avoid}
.beside,tr,pre,footer{break-inside:avoid}
table{font-size:8.5pt}
th,td,.beside td,.beside thead th{padding:.3rem .4rem}
.grid{gap:2%}.grid figure{width:32%}
.beside{flex-wrap:nowrap;gap:2%}.beside figure{flex:0 0 44%}
.cards{grid-template-columns:repeat(3,1fr);gap:.6rem}
article{padding:.6rem}li div,h4{font-size:7.5pt}.scroll{overflow:visible}
article{border:1px solid var(--line)}}
"""


def sheet() -> str:
  """Rules of the page, with the colours of both themes."""
  return (
    f":root{{color-scheme:light dark;{_variables(palette.LIGHT)}}}"
    "@media screen and (prefers-color-scheme:dark)"
    f"{{:root{{{_variables(palette.DARK)}}}}}"
    + _RULES
    + "".join(f".c{i}{{color:var(--c{i})}}" for i, _ in enumerate(_LINES))
    + "@media screen and (prefers-color-scheme:dark)"
    "{img.light{display:none}img.dark{display:block}}"
  )


def _variables(theme: palette.Theme) -> str:
  colors = {
    name: value
    for name, value in dataclasses.asdict(theme).items()
    if isinstance(value, str)
  }
  colors |= {f"c{i}": color for i, color in enumerate(theme.lines)}
  return ";".join(f"--{name}:{value}" for name, value in colors.items())
