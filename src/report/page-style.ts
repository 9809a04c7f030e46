import { lineStyle, styleCount } from "./drawing/colors.ts";

// The style sheet of pages: light and dark by the reader's preference, always light on paper.

const light =
  "--page:#ffffff;--surface:#f5f6f7;--ink:#1b1f23;--muted:#59626b;--line:#d8dde2;--accent:#0060a0;--best:#e6f3ea;";
const dark =
  "--page:#15181b;--surface:#1e2226;--ink:#e8eaed;--muted:#a3acb5;--line:#384049;--accent:#6fc0f5;--best:#1c3a2a;";

const styles = Array.from({ length: styleCount }, (_, index) => lineStyle(index));
const colors = (scheme: "light" | "dark") =>
  styles.map((style, index) => `--line-${index}:${style.colors[scheme]};`).join("");
const classes = styles.map((_, index) => `.line-${index}{color:var(--line-${index})}`).join("");

export const pageStyle = `:root{${light}${colors("light")}}
@media screen and (prefers-color-scheme:dark){:root{${dark}${colors("dark")}}}
${classes}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.5rem clamp(1rem,4vw,2.5rem) 4rem;max-width:76rem;background:var(--page);color:var(--ink);
font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
h1{font-size:clamp(1.5rem,4vw,2.1rem);line-height:1.2;margin:.1rem 0 .6rem}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;line-height:1.25}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
.kind,.note,small,figcaption small{color:var(--muted)}
.kind,.note{font-size:.9rem;margin-bottom:.4rem}
.lead{font-size:1.08rem}
small{font-weight:400;font-size:.85em}
code{font-size:.92em}
.scroll{overflow-x:auto;max-width:100%}
.scroll:focus-visible,button:focus-visible,summary:focus-visible,input:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.4rem .65rem;border-bottom:1px solid var(--line);text-align:right;vertical-align:top}
thead th{vertical-align:bottom;font-size:.85rem;line-height:1.25;color:var(--muted);font-weight:600;border-bottom-width:2px}
.results{width:100%}
.results td,.results thead th{white-space:nowrap}
th:first-child{text-align:left;padding-left:0}
.results tbody th{font-weight:400;min-width:11rem}
.named{display:flex;gap:.55rem;align-items:baseline}
.swatch{flex:none}
td.best{background:var(--best)}
dl{margin:.4rem 0;font-size:.9rem;max-width:60rem}
dt{font-weight:600}
dd{margin:0 0 .4rem}
.glossary{display:flex;flex-wrap:wrap;gap:.15rem 1.4rem;color:var(--muted)}
.glossary div{display:flex;gap:.45rem;align-items:baseline}
.glossary dt{color:var(--ink);white-space:nowrap}
.glossary dd{margin:0}
.axis{border:0;padding:0;margin:.7rem 0 0;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.92rem}
.axis legend{float:left;padding:0;margin-right:1.1rem;color:var(--muted)}
.axis label{cursor:pointer}
.axis input{accent-color:var(--accent)}
.legend{display:flex;flex-wrap:wrap;gap:.15rem .4rem;margin:.6rem 0 .4rem -.4rem}
.legend button{display:inline-flex;gap:.5rem;align-items:center;text-align:left;border:0;background:none;color:inherit;
font:inherit;font-size:.9rem;padding:.25rem .4rem;border-radius:.3rem;cursor:pointer}
.legend button:hover{background:var(--surface)}
.legend button[aria-pressed=false]{opacity:.45;text-decoration:line-through}
.panels{display:grid;gap:1.2rem 1.6rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,27rem),1fr))}
.panels.three{grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr))}
figure{margin:0;min-width:0}
figcaption{font-weight:600;font-size:.95rem}
.panels.one{grid-template-columns:minmax(0,52rem)}
.drawing{height:25rem;position:relative}
.compact .drawing{height:17rem}
.surface{cursor:grab;touch-action:pan-y}
.surface:active{cursor:grabbing}
.surface svg{display:block;width:100%;height:100%}
.surface:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.surface .value{position:absolute;pointer-events:none;background:var(--page);border:1px solid var(--line);border-radius:.3rem;padding:.3rem .5rem;font-size:.85rem;line-height:1.4}
.small button{font-size:.82rem;padding:.2rem .6rem}
.tall{max-height:36rem;overflow-y:auto}
.tall thead th{position:sticky;top:0;background:var(--page);box-shadow:0 2px 0 var(--line)}
.details td,.details th{padding:.25rem .65rem}
.details tbody th{font-weight:400}
.details th:first-child{padding-left:0}
.details .text{text-align:left}
.samples{list-style:none;margin:.6rem 0;padding:0;display:grid;gap:1rem .9rem;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr))}
.samples li{display:flex;flex-direction:column;font-size:.85rem;line-height:1.35}
.samples img,.samples .missing{width:8rem;height:8rem;margin-bottom:.35rem}
.samples img{object-fit:contain;object-position:left;image-rendering:pixelated}
.samples.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,24.5rem),1fr))}
.samples.wide img{width:100%;max-width:24.5rem;height:auto}
.key{list-style:none;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:.6rem 0;padding:0;font-size:.88rem}
.key li{display:flex;align-items:center;gap:.4rem}
.samples .missing{display:flex;align-items:center;border:1px dashed var(--line);color:var(--muted);padding:.3rem}
details{margin:.5rem 0}
summary{cursor:pointer;color:var(--accent);width:fit-content}
.settings{font-size:.88rem}
.settings th,.settings td{text-align:left;padding:.2rem 1.2rem .2rem 0}
.settings tbody th{font-weight:400;color:var(--muted);white-space:nowrap}
.downloads{display:flex;flex-wrap:wrap;gap:.6rem}
.downloads button{font:inherit;font-size:.92rem;color:var(--accent);background:none;border:1px solid var(--line);border-radius:.35rem;padding:.35rem .8rem;cursor:pointer}
.downloads button:hover{background:var(--surface)}
.hover{font:.85rem/1.45 system-ui,sans-serif;white-space:normal}
.hover table{margin-top:.2rem}
.hover th,.hover td{border:0;padding:.05rem .3rem;font-weight:400}
.hover th{text-align:left}
.hover td{white-space:nowrap}
@media (max-width:32rem){.drawing{height:22rem}.compact .drawing{height:15rem}.results tbody th{min-width:9.5rem}.named{gap:.35rem}.named .swatch{width:24px}th,td{padding:.35rem .45rem}}
@media print{
body{max-width:none;padding:0;font-size:10pt}
.axis,.downloads,[aria-labelledby=data]{display:none}
.panels.two,.panels.three{grid-template-columns:1fr 1fr}
figure,tr{break-inside:avoid}
h2,h3,figcaption{break-after:avoid}
.results{font-size:8.5pt}
.results td,.results th{padding:.2rem .35rem}
.scroll{overflow:visible}
.drawing{height:16rem}
.one .drawing{height:25rem}
.compact .drawing{height:13rem}
.drawing>div,.drawing svg{width:100%!important;height:100%!important}
}`;
