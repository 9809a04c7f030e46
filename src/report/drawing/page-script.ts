/**
 * What ties the drawing code, which stands before it in the same script, to the page: draws every chart in the room and
 * colors there are, again when these change or the reader hides lines, chooses another horizontal axis or prints; lets
 * a reader turn surfaces and take the data along. Plain JavaScript in a string, because it goes into the page as it
 * stands.
 */
export const pageScript = `
const { title, charts, contours, themes, files, data } = JSON.parse(document.getElementById("page-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const fontFamily = "system-ui, sans-serif";
const drawings = [];
const draws = [];
let printing = false;

for (const chart of charts) {
  const element = document.getElementById("chart-" + chart.id);
  const drawing = { chart, element, instance: echarts.init(element, null, { renderer: "svg" }), hidden: new Set(), axis: "" };
  drawing.legend = element.closest(".compact") === null;
  drawing.instance.on("legendselectchanged", ({ selected }) => {
    drawing.hidden = new Set(Object.keys(selected).filter((name) => !selected[name]));
    drawChart(drawing);
  });
  drawings.push(drawing);
  follow(element, () => drawChart(drawing));
  if (chart.kind === "plane") turnable(chart, document.getElementById("surface-" + chart.id));
}
dark.addEventListener("change", drawAll);
// On paper a chart is drawn at about the size it has there, in light colors, and scaled to fit.
addEventListener("beforeprint", () => { printing = true; drawAll(); });
addEventListener("afterprint", () => { printing = false; drawAll(); });
for (const input of document.querySelectorAll(".axis input")) {
  input.addEventListener("change", () => {
    const section = input.closest("section");
    for (const drawing of drawings) if (section.contains(drawing.element)) drawing.axis = input.value;
    drawAll();
  });
}
const lineButtons = [...document.querySelectorAll(".legend button")];
for (const button of lineButtons) {
  button.addEventListener("click", () => {
    const line = button.dataset.line;
    const hide = button.getAttribute("aria-pressed") === "true";
    for (const same of lineButtons) if (same.dataset.line === line) same.setAttribute("aria-pressed", String(!hide));
    for (const { hidden } of drawings) hide ? hidden.add(line) : hidden.delete(line);
    drawAll();
  });
}

function drawAll() {
  for (const draw of draws) draw();
}

function drawChart({ chart, element, instance, hidden, axis, legend }) {
  const paper = legend ? (element.closest(".one") ? [680, 400] : [340, 256]) : [340, 208];
  const [width, height] = printing ? paper : [element.clientWidth, element.clientHeight];
  const view = (chart.views || []).find(({ x }) => x.name === axis);
  const settings = { theme: theme(), width, height, fontFamily, titled: false, legend, hidden: [...hidden] };
  instance.resize(printing ? { width, height } : { width: "auto", height: "auto" });
  instance.setOption(chartOption({ ...chart, ...view }, settings, contours[chart.id]), true);
  const svg = element.querySelector("svg");
  if (printing) svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  else svg.removeAttribute("viewBox");
}

function theme() {
  return themes[dark.matches && !printing ? "dark" : "light"];
}

/** Draws now and whenever the element has another size. */
function follow(element, draw) {
  draws.push(draw);
  let [width, height] = [0, 0];
  new ResizeObserver(() => {
    if (printing || (element.clientWidth === width && element.clientHeight === height)) return;
    [width, height] = [element.clientWidth, element.clientHeight];
    draw();
  }).observe(element);
}

function turnable(chart, element) {
  const view = { ...firstView };
  const value = document.createElement("div");
  value.className = "value";
  value.hidden = true;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  element.append(svg, value);
  let asked = false;
  const draw = () => {
    asked = false;
    const [width, height] = [element.clientWidth, element.clientHeight];
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    svg.innerHTML = surfaceSvg(chart, theme(), view, { width, height, top: 24, fontFamily });
  };
  const turn = (right, up) => {
    view.azimuth = (view.azimuth - right + 360) % 360;
    view.elevation = Math.min(88, Math.max(4, view.elevation + up));
    if (!asked) requestAnimationFrame(draw);
    asked = true;
  };
  follow(element, draw);
  let from;
  element.addEventListener("pointerdown", (event) => {
    from = [event.clientX, event.clientY];
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (from) {
      value.hidden = true;
      turn((event.clientX - from[0]) * 0.5, (event.clientY - from[1]) * 0.4);
      from = [event.clientX, event.clientY];
    } else show(event);
  });
  for (const end of ["pointerup", "pointercancel"]) element.addEventListener(end, () => { from = undefined; });
  element.addEventListener("pointerleave", () => { value.hidden = true; });
  element.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, 4], ArrowDown: [0, -4] };
    if (!keys[event.key]) return;
    event.preventDefault();
    turn(...keys[event.key]);
  });
  const show = (event) => {
    const place = event.target.dataset && event.target.dataset.value;
    value.hidden = place === undefined;
    if (value.hidden) return;
    const [i, j] = [Math.floor(place / chart.ys.length), place % chart.ys.length];
    value.innerHTML = escapeText(chart.x.name) + ": " + numberText(chart.xs[i], {}) + "<br>" + escapeText(chart.y.name) + ": " + numberText(chart.ys[j], {}) +
      "<br><strong>" + escapeText(chart.value.name) + ": " + numberText(shown(chart.values[place], chart.value), chart.value) + "</strong>";
    const box = element.getBoundingClientRect();
    value.style.left = Math.max(0, Math.min(event.clientX - box.left + 14, box.width - value.offsetWidth)) + "px";
    value.style.top = event.clientY - box.top + 18 + "px";
  };
}

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    const { download, chart: id } = button.dataset;
    const chart = charts.find((one) => one.id === id);
    const [ending, type, text] = chart
      ? [chart.id + ".csv", "text/csv", chartCsv(chart)]
      : files[download] ? [files[download].ending, "text/csv", files[download].text]
      : ["json", "application/json", JSON.stringify(data, null, 1)];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = (title.replace(/[^\\p{L}\\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "report") + "." + ending;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}
`;
