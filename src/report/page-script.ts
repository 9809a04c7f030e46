/**
 * What runs in the reader's browser: draws the panels described in `#report-charts` from the numbers in
 * `#report-data`, redraws them when the colour scheme, the shown runs or the horizontal axis change, and offers
 * the data for download. Plain JavaScript in a string, because it goes into the page as it stands.
 */
export const pageScript = String.raw`"use strict";
(() => {
const data = JSON.parse(document.getElementById("report-data").textContent);
const { sections, styles } = JSON.parse(document.getElementById("report-charts").textContent);
const axisNames = { epoch: "epoch", gradientEvaluations: "gradient evaluations", trainingSeconds: "seconds of training", step: "optimizer step" };
const hidden = new Set();
const drawings = [];

for (const section of sections) {
  for (const panel of section.panels) {
    const element = document.getElementById("chart-" + panel.id);
    const chart = echarts.init(element, null, { renderer: "svg" });
    drawings.push({ section, panel, chart, axis: section.axes[0] });
    new ResizeObserver(() => printing() || chart.resize()).observe(element);
  }
}
drawAll();

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
// On paper there are two charts a row: each is drawn at about that size and scaled to fit, in light colours.
addEventListener("beforeprint", () => {
  document.documentElement.dataset.print = "";
  for (const { chart } of drawings) chart.resize({ width: 340, height: 208 });
  drawAll();
  for (const svg of document.querySelectorAll(".chart svg")) svg.setAttribute("viewBox", "0 0 340 208");
});
addEventListener("afterprint", () => {
  delete document.documentElement.dataset.print;
  for (const svg of document.querySelectorAll(".chart svg")) svg.removeAttribute("viewBox");
  for (const { chart } of drawings) chart.resize({ width: "auto", height: "auto" });
  drawAll();
});
for (const input of document.querySelectorAll(".axis input")) {
  input.addEventListener("change", () => {
    for (const drawing of drawings) if (drawing.section.id === input.dataset.section) drawing.axis = input.value;
    drawAll();
  });
}
for (const button of document.querySelectorAll(".legend button")) {
  button.addEventListener("click", () => {
    const run = Number(button.dataset.run);
    if (!hidden.delete(run)) hidden.add(run);
    for (const same of document.querySelectorAll('.legend button[data-run="' + run + '"]')) {
      same.setAttribute("aria-pressed", String(!hidden.has(run)));
    }
    drawAll();
  });
}

function printing() {
  return document.documentElement.dataset.print !== undefined;
}

function drawAll() {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue("--" + name).trim();
  for (const drawing of drawings) drawing.chart.setOption(optionOf(drawing, colour), true);
}

function columnsOf(run, panel) {
  return panel.source === "steps" ? run.steps.columns : run[panel.source];
}

/** [x, y] pairs without the missing ones. */
function points(run, panel, axis, key) {
  const columns = columnsOf(data.runs[run], panel);
  const factor = panel.percent ? 100 : 1;
  const pairs = [];
  (columns[key] || []).forEach((y, index) => {
    const x = columns[axis] ? columns[axis][index] : null;
    if (x !== null && y !== null && (!panel.logarithmic || y > 0)) pairs.push([x, y * factor]);
  });
  return pairs;
}

function optionOf({ panel, axis }, colour) {
  const shown = panel.runs.filter((run) => !hidden.has(run));
  const lines = new Map(shown.map((run) => [run, points(run, panel, axis, panel.y)]));
  const xs = [...lines.values()].flatMap((pairs) => pairs.map((pair) => pair[0]));
  const end = xs.length > 0 ? xs.reduce((a, b) => Math.max(a, b)) : 1;
  const text = { color: colour("muted"), fontSize: 12 };
  const reference = panel.reference && panel.reference.value;
  const series = shown.flatMap((run) => {
    const line = lineSeries(run, lines.get(run), colour("run-" + run));
    return panel.band ? [...bandSeries(run, panel, axis, colour("run-" + run)), line] : [line];
  });
  if (panel.reference) {
    series.push({ type: "line", data: [[0, reference], [end, reference]], symbol: "none", silent: true, z: 1,
      lineStyle: { color: colour("ink"), width: 1, opacity: 0.7 }, color: colour("ink") });
  }
  return {
    animation: false,
    textStyle: { fontFamily: "system-ui, sans-serif" },
    grid: { left: 6, right: 18, top: 30, bottom: 30, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: { type: "value", min: 0, max: end, name: axisNames[axis], nameLocation: "middle", nameGap: 26, nameTextStyle: text,
      axisLabel: { ...text, hideOverlap: true, showMaxLabel: true, formatter: tick }, axisLine: { lineStyle: { color: colour("line") } },
      axisTick: { lineStyle: { color: colour("line") } }, splitLine: { show: false }, splitNumber: 4 },
    yAxis: { type: panel.logarithmic ? "log" : "value", scale: true, ...(panel.range && { min: panel.range.min, max: panel.range.max, interval: panel.range.interval }), name: panel.unit + (panel.logarithmic ? ", logarithmic" : ""),
      nameLocation: "end", nameGap: 12, nameTextStyle: { ...text, align: "left" }, axisLabel: { ...text, formatter: tick },
      splitLine: { lineStyle: { color: colour("line"), opacity: 0.6 } }, splitNumber: 4 },
    tooltip: { trigger: "axis", position: belowChart, extraCssText: "max-width:100%;z-index:9", backgroundColor: colour("page"), borderColor: colour("line"), padding: 8,
      textStyle: { color: colour("ink"), fontSize: 12 }, axisPointer: { lineStyle: { color: colour("muted") } },
      formatter: (hovered) => hoverText(hovered[0].axisValue, axis, panel, lines) },
    series,
  };
}

/** About six symbols a line, each run's in other places than its neighbours'. */
function lineSeries(run, pairs, color) {
  const every = Math.max(1, Math.ceil(pairs.length / 6));
  const offset = Math.floor((run * every) / Math.max(1, data.runs.length)) % every;
  const dash = styles[run].dash;
  return { type: "line", name: String(run), data: pairs, color, z: 3 + run, showSymbol: true, showAllSymbol: true,
    symbol: "path://" + styles[run].symbol, symbolSize: (value, params) => (params.dataIndex % every === offset || pairs.length === 1 ? 8 : 0),
    lineStyle: { width: 2, type: dash.length > 0 ? dash : "solid" }, emphasis: { disabled: true } };
}

/** An area between two percentiles: an unseen line at the lower one and, stacked on it, the filled difference. */
function bandSeries(run, panel, axis, color) {
  const low = points(run, panel, axis, panel.y + "Low");
  const high = points(run, panel, axis, panel.y + "High");
  const common = { type: "line", stack: "band" + run, stackStrategy: "all", symbol: "none", silent: true, z: 1, color, lineStyle: { opacity: 0 } };
  return [{ ...common, data: low }, { ...common, data: high.map(([x, y], index) => [x, y - low[index][1]]), areaStyle: { color, opacity: 0.14 } }];
}

/** Below the chart, so that the hover text never covers what it is about. */
function belowChart(point, params, element, rectangle, { contentSize, viewSize }) {
  const left = Math.min(point[0] - contentSize[0] / 2, viewSize[0] - contentSize[0]);
  return [Math.max(0, left), viewSize[1] - 8];
}

/** Each run's latest value at or before x. */
function hoverText(x, axis, panel, lines) {
  const rows = [];
  for (const [run, pairs] of lines) {
    let last = -1;
    while (last + 1 < pairs.length && pairs[last + 1][0] <= x * (1 + 1e-9)) last += 1;
    if (last < 0) continue;
    const ended = last === pairs.length - 1 && pairs[last][0] < x * (1 - 1e-9);
    rows.push({ run, y: pairs[last][1], ended });
  }
  rows.sort((a, b) => b.y - a.y);
  const cells = rows.map(({ run, y, ended }) => '<tr><th><span class="run-' + run + '">■</span> ' + escapeText(data.runs[run].optimizer) +
    "</th><td>" + number(y, panel.percent) + (ended ? " <small>(ended)</small>" : "") + "</td></tr>");
  return '<div class="hover">' + axisNames[axis] + " " + number(x, false) + "<table>" + cells.join("") + "</table></div>";
}

function number(value, percent) {
  if (percent) return value.toFixed(1) + " %";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function tick(value) {
  if (Math.abs(value) >= 10000) return Number((value / 1000).toPrecision(4)) + "k";
  return value !== 0 && Math.abs(value) < 1e-4 ? value.toExponential() : Number(value.toPrecision(4)).toLocaleString("en-US");
}

function escapeText(text) {
  const span = document.createElement("span");
  span.textContent = text;
  return span.innerHTML;
}

const downloads = {
  json: () => ["json", "application/json", JSON.stringify(data, null, 1)],
  results: () => ["results.csv", "text/csv", csv(data.runs.map((run) => ({ run: run.name, optimizer: run.optimizer, status: run.status, ...flat(run.outcome || {}) })))],
  epochs: () => ["epochs.csv", "text/csv", csv(data.runs.flatMap(epochRows))],
};
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    const [ending, type, text] = downloads[button.dataset.download]();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = (data.name.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "report") + "." + ending;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

function epochRows(run) {
  const names = Object.keys(run.epochs);
  const count = names.length > 0 ? run.epochs[names[0]].length : 0;
  return Array.from({ length: count }, (_, index) => ({ run: run.name, optimizer: run.optimizer,
    ...Object.fromEntries(names.map((name) => [name, run.epochs[name][index]])) }));
}

function flat(outcome) {
  const { name, optimizer, status, ...rest } = outcome;
  return Object.fromEntries(Object.entries(rest).flatMap(([key, value]) => columns(key, value)));
}

function columns(key, value) {
  if (typeof value !== "object" || value === null) return [[key, value]];
  return Object.entries(value).flatMap(([name, own]) => columns(key + "." + name, own));
}

function csv(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const field = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}
})();
`;
