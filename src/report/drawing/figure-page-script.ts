/**
 * What ties the drawing code, which stands before it in the same script, to the page: draws every chart in the room and
 * colours there are, again when these change, and lets a reader turn surfaces and take the data along. Plain
 * JavaScript in a string, because it goes into the page as it stands.
 */
export const figurePageScript = `
const { title: pageTitle, charts, contours, themes, data } = JSON.parse(document.getElementById("figure-data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const fontFamily = "system-ui, sans-serif";
const hidden = new Map();
const drawings = [];

for (const chart of charts) {
  const element = document.getElementById("chart-" + chart.id);
  const instance = echarts.init(element, null, { renderer: "svg" });
  hidden.set(chart.id, {});
  instance.on("legendselectchanged", ({ selected }) => hidden.set(chart.id, selected));
  const draw = () => {
    const settings = { theme: theme(), width: element.clientWidth, height: element.clientHeight, fontFamily, titled: false };
    const option = chartOption(chart, settings, contours[chart.id]);
    option.legend.selected = hidden.get(chart.id);
    instance.resize();
    instance.setOption(option, true);
  };
  follow(element, draw);
  if (chart.kind === "plane") turnable(chart, document.getElementById("surface-" + chart.id));
}
dark.addEventListener("change", () => drawings.forEach((draw) => draw()));

function theme() {
  return themes[dark.matches ? "dark" : "light"];
}

/** Draws now and whenever the element has another size. */
function follow(element, draw) {
  drawings.push(draw);
  let [width, height] = [0, 0];
  new ResizeObserver(() => {
    if (element.clientWidth === width && element.clientHeight === height) return;
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
    const chart = charts.find(({ id }) => id === button.dataset.chart);
    const [name, type, text] = chart
      ? [chart.id + ".csv", "text/csv", chartCsv(chart)]
      : ["figures.json", "application/json", JSON.stringify({ title: pageTitle, charts, data }, null, 1)];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}
`;
