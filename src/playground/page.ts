import { missingPart } from "./browser.ts";
import type { Curves } from "./charts.ts";
import { DigitPad } from "./digit-pad.ts";
import { element } from "./elements.ts";
import { chosenFolder, droppedFolder } from "./files.ts";
import { Lines } from "./lines.ts";
import type { Report, Request } from "./messages.ts";
import { type MethodName, methods } from "./methods.ts";
import { addPlanes, drawPlanes, type Plane } from "./plane.ts";
import {
  comparisonDocument,
  hashOf,
  type PageData,
  runDocument,
  type Settings,
  settingsFrom,
} from "./settings.ts";
import { fillRows, saveFile, saveJson } from "./table.ts";

// The page: it draws what its worker reports, and tells the worker what a visitor wants.

type State = "idle" | "loading" | "training" | "pausing" | "paused" | "finished" | "stopping";

const form = element("settings", HTMLFormElement);
const [choices, trainButton, stepButton, resetButton] = [
  element("choices", HTMLFieldSetElement),
  element("train", HTMLButtonElement),
  element("step", HTMLButtonElement),
  element("reset", HTMLButtonElement),
];
const progress = element("progress", HTMLProgressElement);
const landscapesButton = element("landscapes", HTMLButtonElement);

let settings: Settings = settingsFrom(location.hash);
let state: State = "idle";
let data: PageData | undefined;
let totalSteps = 0;
let startedAt = 0;
let worker: Worker | undefined;
let charts: Record<"accuracy" | "learned" | "loss", Curves> | undefined;
const lines = new Lines();
const planes = new Map<MethodName, Plane>();

const rows = fillRows(element("rows", HTMLTableSectionElement), {
  model: (method) => send({ type: "model", method }),
  run: (method) => data && saveJson(`${method.name}.json`, runDocument(settings, data, method)),
  curvature: (method) => send({ type: "curvature", method }),
});
const pad = new DigitPad((pixels, id) => send({ type: "predict", pixels, id }));

function send(request: Request): void {
  worker ??= openWorker();
  worker.postMessage(request);
}

function openWorker(): Worker {
  const opened = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  opened.onmessage = ({ data }: MessageEvent<Report>) => receive(data);
  opened.onerror = () => problem("The page's worker could not be loaded; load the page again.");
  return opened;
}

function receive(report: Report): void {
  switch (report.type) {
    case "runtime":
      loading(
        `Loading ONNX Runtime: ${megabytes(report.loaded)} of ${megabytes(report.total)} MB`,
        report.loaded / report.total,
      );
      break;
    case "decoded":
      loading(`Reading pictures: ${report.pictures} of ${report.total}`, report.pictures / report.total);
      break;
    case "pictures":
      element("chosen").textContent =
        `${report.data.name}: ${report.classNames.length} classes, ${report.data.trainImages} pictures to train on, ${report.testImages} to test on.`;
      show("idle", "Press Train.");
      break;
    case "started":
      data = report.data;
      totalSteps = report.totalSteps;
      if (state === "loading") show("training", "Training");
      break;
    case "step":
      lines.step(report.method, report.record);
      rows[report.method].step(report.record, report.milliseconds);
      scheduleDrawing();
      break;
    case "epoch":
      lines.epoch(report.method, report.record);
      rows[report.method].epoch(report.record);
      if (report.method === methods[methods.length - 1].name) pad.ask();
      scheduleDrawing();
      break;
    case "waiting":
      drawNow();
      show("paused", `Paused after step ${lines.steps} of ${totalSteps}`);
      break;
    case "finished":
      drawNow();
      show(
        "finished",
        `Finished: ${settings.epochs === 1 ? "1 epoch" : `${settings.epochs} epochs`} in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
      );
      send({ type: "landscapes" });
      landscapesButton.disabled = true;
      break;
    case "reset":
      show("idle", "Press Train.");
      break;
    case "prediction":
      pad.answer(report.id, report.probabilities);
      break;
    case "model":
      saveFile(`${report.method}.onnx`, new Blob([report.bytes], { type: "application/octet-stream" }));
      break;
    case "landscape":
      planes.set(report.method, report);
      drawPlanes(planes);
      break;
    case "landscapes":
      landscapesButton.disabled = false;
      break;
    case "curvature":
      rows[report.method].curvature(report.largest);
      break;
    case "problem":
      if (report.about === "curvature" || report.about === "landscapes") landscapesButton.disabled = false;
      problem(report.text);
      break;
    default:
      report satisfies never;
  }
}

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

function loading(text: string, share: number): void {
  element("state").textContent = text;
  progress.hidden = false;
  progress.value = share;
}

function problem(text: string): void {
  show("idle", text.charAt(0).toUpperCase() + text.slice(1));
  element("status").classList.add("problem");
}

/** What can be done in each state. */
const buttons: Record<State, { train: string; isTrain: boolean; isStep: boolean; isReset: boolean }> = {
  idle: { train: "Train", isTrain: true, isStep: true, isReset: true },
  loading: { train: "Train", isTrain: false, isStep: false, isReset: false },
  training: { train: "Pause", isTrain: true, isStep: false, isReset: true },
  pausing: { train: "Pause", isTrain: false, isStep: false, isReset: true },
  paused: { train: "Continue", isTrain: true, isStep: true, isReset: true },
  finished: { train: "Train again", isTrain: true, isStep: false, isReset: true },
  stopping: { train: "Train", isTrain: false, isStep: false, isReset: false },
};

function show(next: State, text: string): void {
  state = next;
  document.documentElement.dataset.state = next;
  element("status").classList.remove("problem");
  element("state").textContent = text;
  const { train, isTrain, isStep, isReset } = buttons[next];
  trainButton.textContent = train;
  trainButton.disabled =
    !isTrain || (settings.data === "pictures" && !element("chosen").textContent?.includes(":"));
  stepButton.disabled = trainButton.disabled || !isStep;
  resetButton.disabled = !isReset || (next === "idle" && lines.steps === 0);
  choices.disabled = next !== "idle" && next !== "finished";
  progress.hidden = !(next === "loading" || next === "training" || next === "pausing" || next === "paused");
  const canMeasure = (next === "paused" || next === "finished") && lines.epochs > 0;
  landscapesButton.disabled = !canMeasure;
  for (const row of Object.values(rows)) row.enable({ model: lines.epochs > 0, curvature: canMeasure });
  element("download", HTMLButtonElement).disabled = data === undefined;
}

function start(paused: boolean): void {
  clear();
  startedAt = performance.now();
  show("loading", "Preparing the training steps");
  progress.removeAttribute("value");
  send({ type: "start", settings, paused });
}

function clear(): void {
  lines.clear();
  planes.clear();
  totalSteps = 0;
  data = undefined;
  for (const row of Object.values(rows)) row.clear();
  pad.forget();
  drawNow();
  drawPlanes(planes);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (state === "training") {
    show("pausing", "Finishing the step");
    send({ type: "pause" });
  } else if (state === "paused") {
    show("training", "Training");
    send({ type: "resume" });
  } else start(false);
});
stepButton.addEventListener("click", () => {
  if (!form.reportValidity()) return;
  if (state !== "paused") return start(true);
  show("pausing", "One step of every optimizer");
  send({ type: "step" });
});
resetButton.addEventListener("click", () => {
  clear();
  if (worker) {
    show("stopping", "Stopping");
    send({ type: "reset" });
  }
});
element("download").addEventListener("click", () => {
  if (data) saveJson("run.json", comparisonDocument(settings, data));
});
landscapesButton.addEventListener("click", () => {
  landscapesButton.disabled = true;
  send({ type: "landscapes" });
});

// Settings: the form and the address say the same.

form.addEventListener("input", () => {
  const given = new FormData(form);
  const text = [...given].flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : []));
  settings = settingsFrom(new URLSearchParams(text).toString());
  history.replaceState(null, "", `#${hashOf(settings)}`);
  describeSettings();
});
globalThis.addEventListener("hashchange", () => {
  if (choices.disabled) return;
  settings = settingsFrom(location.hash);
  fillForm();
});

function fillForm(): void {
  for (const [name, value] of Object.entries(settings)) {
    const control = form.elements.namedItem(name);
    if (control instanceof HTMLInputElement || control instanceof HTMLSelectElement)
      control.value = String(value);
  }
  describeSettings();
}

function describeSettings(): void {
  const { noise } = settings;
  element("noise-value").textContent = `${noise} %`;
  element("honest").textContent =
    noise === 0
      ? "Labels are clean: in few epochs the order is reversed, and flatness costs accuracy."
      : "Flat minima learn fewer wrong labels. Bilateral SAM computes three gradients a step, SGD one; on clean labels and in few epochs the order is reversed.";
  const isDigits = settings.data === "digits";
  element("pictures").hidden = isDigits;
  element("draw").hidden = !isDigits;
  // What was trained belongs to the settings before.
  if (state === "finished" || (state === "idle" && lines.steps > 0)) clear();
  if (state === "idle" || state === "finished")
    show("idle", isDigits ? "Press Train." : "Choose pictures, then press Train.");
}

// Pictures of the visitor's own.

const drop = element("drop");
element("folder", HTMLInputElement).addEventListener("change", ({ target }) => {
  if (target instanceof HTMLInputElement && target.files?.length) takePictures(chosenFolder(target.files));
});
for (const type of ["dragenter", "dragover"])
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer) takePictures(await droppedFolder(event.dataTransfer.items));
});

function takePictures({ name, files }: ReturnType<typeof chosenFolder>): void {
  clear();
  element("chosen").textContent = "A folder with a folder for each class.";
  show("loading", "Reading pictures");
  send({ type: "pictures", name, files });
}

// Drawing: while training one part after the other, so that none keeps clicks waiting.

const quantities = ["accuracy", "loss", "learned"] as const;
const parts = [...quantities.map((quantity) => () => drawCurves(quantity)), drawNumbers];
let isDrawingDue = false;
let nextPart = 0;

function scheduleDrawing(): void {
  if (isDrawingDue) return;
  isDrawingDue = true;
  setTimeout(() => {
    isDrawingDue = false;
    parts[nextPart]();
    nextPart = (nextPart + 1) % parts.length;
  }, 120);
}

function drawNow(): void {
  for (const part of parts) part();
}

function drawCurves(quantity: (typeof quantities)[number]): void {
  charts?.[quantity].draw(lines.of(quantity), settings.epochs);
}

function drawNumbers(): void {
  for (const row of Object.values(rows)) row.draw();
  if (totalSteps > 0 && (state === "training" || state === "paused"))
    progress.value = lines.steps / totalSteps;
  if (state !== "training" || totalSteps === 0) return;
  const { epochs } = settings;
  const epoch = Math.max(1, Math.ceil((lines.steps / totalSteps) * epochs));
  element("state").textContent = `Training: epoch ${epoch} of ${epochs}, step ${lines.steps}`;
  for (const row of Object.values(rows)) row.enable({ model: lines.epochs > 0, curvature: false });
}

async function open(): Promise<void> {
  addPlanes(element("plane-list"));
  fillForm();
  const missing = missingPart();
  if (missing) {
    element("blocked").textContent = missing;
    element("blocked").hidden = false;
    document.documentElement.dataset.blocked = "";
    return;
  }
  element("provider").textContent = "Runs on the CPU: ONNX Runtime as WebAssembly, 14 MB once, one thread.";
  // After the first paint, a chart at a time: nothing waits for them.
  const { Curves } = await import("./charts.ts");
  const paint = () => new Promise(requestAnimationFrame);
  const chart = async (id: string, percent: boolean) => {
    await paint();
    return new Curves(element(id), { percent });
  };
  charts = {
    accuracy: await chart("accuracy", true),
    learned: await chart("learned", true),
    loss: await chart("loss", false),
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const curves of Object.values(charts ?? {})) curves.restyle();
    drawNow();
  });
  drawNow();
}

await open();
