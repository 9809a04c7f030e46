import type { DeviceRecord } from "../index.web.ts";
import { missingPart } from "./browser.ts";
import type { Curves } from "./charts.ts";
import { Choices } from "./choices.ts";
import { deviceText } from "./device-text.ts";
import { DigitPad } from "./digit-pad.ts";
import { element, setText } from "./elements.ts";
import type { ChosenFolder } from "./files.ts";
import { Lines } from "./lines.ts";
import type { Report, Request } from "./messages.ts";
import { type MethodName, methods } from "./methods.ts";
import { addPlanes, drawPlanes, type Plane } from "./plane.ts";
import { Redraws } from "./redraws.ts";
import { comparisonDocument, type PageData, runDocument } from "./settings.ts";
import { fillRows, saveFile, saveJson } from "./table.ts";

// The page: it draws what its worker reports, and tells the worker what a visitor wants.

type State = "idle" | "loading" | "training" | "pausing" | "paused" | "finished" | "stopping";

const form = element("settings", HTMLFormElement);
const [trainButton, stepButton, resetButton] = [
  element("train", HTMLButtonElement),
  element("step", HTMLButtonElement),
  element("reset", HTMLButtonElement),
];
const progress = element("progress", HTMLProgressElement);
const landscapesButton = element("landscapes", HTMLButtonElement);

let state: State = "idle";
let data: PageData | undefined;
let totalSteps = 0;
let startedAt = 0;
let worker: Worker | undefined;
let charts: Record<"accuracy" | "learned" | "loss", Curves> | undefined;
const lines = new Lines();
/** What becomes of an ONNX file or a device in this training. */
const notes = new Set<string>();
const devices = new Map<MethodName, DeviceRecord>();
const planes = new Map<MethodName, Plane>();

const rows = fillRows(element("rows", HTMLTableSectionElement), {
  model: (method) => send({ type: "model", method }),
  run: (method) => data && saveJson(`${method.name}.json`, runDocument(choices.settings, data, method)),
  curvature: (method) => send({ type: "curvature", method }),
});
const choices = new Choices({ changed: settingsChanged, pictures: takePictures, file: takeFile });
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
  // On its way when the training was reset.
  if (state === "stopping" && (report.type === "steps" || report.type === "epoch")) return;
  switch (report.type) {
    case "runtime":
      if (report.loaded === report.total) {
        preparing();
        break;
      }
      loading(
        `Loading ONNX Runtime: ${megabytes(report.loaded)} of ${megabytes(report.total)} MB`,
        report.loaded / report.total,
      );
      break;
    case "decoded":
      loading(`Reading pictures: ${report.pictures} of ${report.total}`, report.pictures / report.total);
      break;
    case "pictures":
      choices.describe(
        "pictures",
        `${report.data.name}: ${report.classNames.length} classes, ${report.data.trainImages} pictures to train on, ${report.testImages} to test on.${report.leftOut === undefined ? "" : ` ${report.leftOut}.`}`,
      );
      invite();
      break;
    case "network":
      choices.describe("file", `${report.description}.`);
      invite();
      break;
    case "note":
      notes.add(capitalized(report.text));
      element("notes").textContent = `${[...notes].join(". ")}.`;
      break;
    case "device":
      devices.set(report.method, report.device);
      showDevices();
      break;
    case "started":
      data = report.data;
      totalSteps = report.totalSteps;
      if (state === "loading") show("training", "Training");
      break;
    case "steps":
      for (const { method, record, milliseconds } of report.steps) {
        lines.step(method, record);
        rows[method].step(milliseconds);
      }
      redraws.due("loss", "numbers");
      break;
    case "epoch":
      lines.epoch(report.method, report.record);
      rows[report.method].epoch(report.record);
      if (report.method === methods[methods.length - 1].name && choices.settings.data === "digits") {
        pad.ready();
        pad.ask();
      }
      redraws.due(...curves);
      break;
    case "waiting":
      drawNumbers();
      show("paused", `Paused after step ${lines.steps} of ${totalSteps}`);
      break;
    case "finished":
      drawNumbers();
      show(
        "finished",
        `Finished: ${epochsText(choices.settings.epochs)} in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
      );
      // Those of a large network take long.
      if (choices.settings.network !== "file") measureLandscapes();
      break;
    case "reset":
      invite();
      break;
    case "prediction":
      pad.answer(report.id, report.probabilities);
      break;
    case "model":
      saveFile(`${report.method}.onnx`, new Blob([report.bytes], { type: "application/octet-stream" }));
      break;
    case "landscape":
      planes.set(report.method, report);
      redraws.due("planes");
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

const epochsText = (epochs: number) => (epochs === 1 ? "1 epoch" : `${epochs} epochs`);
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);

function loading(text: string, share: number): void {
  element("state").textContent = text;
  progress.hidden = false;
  progress.value = share;
}

function showDevices(): void {
  element("device-note").textContent = deviceText(choices.settings.device, devices);
}

function preparing(): void {
  element("state").textContent =
    choices.settings.device === "cpu"
      ? "Preparing the training steps"
      : "Testing the GPU with a training step";
  progress.removeAttribute("value");
}

/** What the visitor's folder, pictures and ONNX file are called. */
const names = { pictures: [] as string[], file: [] as string[] };

/** As a sentence begins; a name at its beginning stays as it is given. */
function capitalized(text: string): string {
  const isName = ["webgpu", ...names.pictures, ...names.file].some((name) => text.startsWith(name));
  return !isName && /^[a-z]+ /.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}

function problem(text: string): void {
  show("idle", capitalized(text));
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
  trainButton.disabled = !isTrain || choices.missing !== undefined;
  stepButton.disabled = trainButton.disabled || !isStep;
  resetButton.disabled = !isReset || (next === "idle" && lines.steps === 0);
  choices.enable(next === "idle" || next === "finished");
  progress.hidden = !(next === "loading" || next === "training" || next === "pausing" || next === "paused");
  const canMeasure = (next === "paused" || next === "finished") && lines.epochs > 0;
  landscapesButton.disabled = !canMeasure;
  for (const row of Object.values(rows)) row.enable({ model: lines.epochs > 0, curvature: canMeasure });
  element("download", HTMLButtonElement).disabled = data === undefined;
}

/** Says what to do before training. */
function invite(): void {
  const { missing } = choices;
  show("idle", missing ? `Choose ${missing}, then press Train.` : "Press Train.");
}

function start(paused: boolean): void {
  clear();
  startedAt = performance.now();
  show("loading", "");
  preparing();
  send({ type: "start", settings: choices.settings, paused });
}

function clear(): void {
  lines.clear();
  planes.clear();
  totalSteps = 0;
  data = undefined;
  notes.clear();
  element("notes").textContent = "";
  devices.clear();
  showDevices();
  for (const row of Object.values(rows)) row.clear();
  pad.forget();
  redraws.due(...curves, "planes");
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
  if (data) saveJson("run.json", comparisonDocument(choices.settings, data));
});
landscapesButton.addEventListener("click", measureLandscapes);

function measureLandscapes(): void {
  landscapesButton.disabled = true;
  send({ type: "landscapes" });
}

/** What was trained belongs to the settings before. */
function settingsChanged(): void {
  if (state === "finished" || (state === "idle" && lines.steps > 0)) clear();
  showDevices();
  if (state === "idle" || state === "finished") invite();
}

function takePictures({ name, files }: ChosenFolder): void {
  clear();
  choices.describe("pictures");
  names.pictures = [name, ...files.map(({ path }) => path)];
  show("loading", "Reading pictures");
  send({ type: "pictures", name, files, network: choices.settings.network });
}

function takeFile(file: File): void {
  clear();
  choices.describe("file");
  names.file = [file.name];
  show("loading", `Reading ${file.name}`);
  progress.removeAttribute("value");
  send({ type: "network", file });
}

// Drawing.

const curves = ["accuracy", "loss", "learned"] as const;
const redraws = new Redraws({
  accuracy: () => drawCurves("accuracy"),
  loss: () => drawCurves("loss"),
  learned: () => drawCurves("learned"),
  numbers: drawNumbers,
  planes: () => drawPlanes(planes),
});

function drawCurves(quantity: (typeof curves)[number]): void {
  charts?.[quantity].draw(lines.of(quantity), choices.settings.epochs);
}

function drawNumbers(): void {
  for (const row of Object.values(rows)) row.draw();
  if (totalSteps > 0 && (state === "training" || state === "paused"))
    progress.value = lines.steps / totalSteps;
  if (state !== "training" || totalSteps === 0) return;
  const { epochs } = choices.settings;
  const epoch = Math.max(1, Math.ceil((lines.steps / totalSteps) * epochs));
  setText(element("state"), `Training: epoch ${epoch} of ${epochs}, step ${lines.steps}`);
  for (const row of Object.values(rows)) row.enable({ model: lines.epochs > 0, curvature: false });
}

async function open(): Promise<void> {
  addPlanes(element("plane-list"));
  invite();
  const missing = missingPart();
  if (missing) {
    element("blocked").textContent = missing;
    element("blocked").hidden = false;
    document.documentElement.dataset.blocked = "";
    return;
  }
  showDevices();
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
    for (const chart of Object.values(charts ?? {})) chart.restyle();
    redraws.due(...curves);
  });
  redraws.due(...curves);
}

await open();
