import {
  type DatasetPair,
  type EpochNetwork,
  imagesFromFiles,
  loadDataset,
  NonFiniteError,
  train,
  UserError,
} from "../index.web.ts";
import { probeDevice } from "../platform/web.ts";
import { Answers } from "./answers.ts";
import type { Report, Request, Step } from "./messages.ts";
import { type MethodName, methods } from "./methods.ts";
import type { NetworkFile } from "./network-file.ts";
import { Rounds } from "./rounds.ts";
import { loadRuntime } from "./runtime.ts";
import { type PageData, type PictureForm, pictureForm, runDocument, type Settings } from "./settings.ts";

// The page's worker: everything that takes time. One experiment at a time.

type ChosenPictures = Pick<Extract<Request, { type: "pictures" }>, "name" | "files">;

/** Pictures as data, and a sentence about files that are left out. */
interface DecodedPictures {
  form: PictureForm;
  data: DatasetPair;
  leftOut?: string;
}

/** A training of all methods. */
interface Experiment {
  settings: Settings;
  data: DatasetPair;
  /** The network, where it is a file. */
  file?: File;
  rounds: Rounds;
  controller: AbortController;
  /** Of the last epoch of each method. */
  networks: Map<MethodName, EpochNetwork>;
  ended: Promise<unknown>;
}

let experiment: Experiment | undefined;
/** What the visitor chose, and the data that were made of it last. */
let pictures: (ChosenPictures & DecodedPictures) | undefined;
let networkFile: NetworkFile | undefined;

function report(message: Report, transfer: Transferable[] = []): void {
  reportSteps();
  globalThis.postMessage(message, { transfer });
}

/** Steps that the page does not know of yet. */
let steps: Step[] = [];
let reportedAt = 0;
/** Milliseconds from one report of steps to the next. */
const reportEvery = 100;

function reportStep(step: Step): void {
  steps.push(step);
  if (performance.now() - reportedAt > reportEvery) reportSteps();
}

function reportSteps(): void {
  if (steps.length === 0) return;
  globalThis.postMessage({ type: "steps", steps } satisfies Report);
  steps = [];
  reportedAt = performance.now();
}

/**
 * Loads what a device needs; a GPU also needs the CPU, which checks it.
 * @throws UserError for a device that this browser does not have, before anything is loaded
 */
async function loadDevice(device: Settings["device"]): Promise<void> {
  if (device !== "cpu") {
    const probed = await probeDevice(device);
    if (!probed.opened) throw new UserError(`${probed.reason}; ${probed.advice}, or train on the CPU`);
  }
  const builds = device === "cpu" ? (["cpu"] as const) : (["cpu", device] as const);
  for (const build of builds)
    await loadRuntime(build, (loaded, total) => report({ type: "runtime", loaded, total }));
}

globalThis.onmessage = async ({ data: request }: MessageEvent<Request>) => {
  try {
    await handle(request);
  } catch (error) {
    report({ type: "problem", about: request.type, text: sentence(error) });
  }
};

function sentence(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return error instanceof UserError || error instanceof NonFiniteError ? text : `unexpected: ${text}`;
}

async function handle(request: Request): Promise<void> {
  switch (request.type) {
    case "start":
      return start(request.settings, request.paused ? 1 : Number.POSITIVE_INFINITY);
    case "pause":
      return experiment?.rounds.pause();
    case "resume":
      return experiment?.rounds.allow(Number.POSITIVE_INFINITY);
    case "step":
      return experiment?.rounds.allow(1);
    case "reset":
      await stop();
      return report({ type: "reset" });
    case "pictures":
      pictures = undefined;
      return describePictures(await decoded(request, formFor(request.network)));
    case "network":
      return readFile(request.file);
    case "predict":
      return predict(request.id, request.pixels);
    case "model": {
      const bytes = Uint8Array.from(networkOf(request.method).model());
      return report({ type: "model", method: request.method, bytes }, [bytes.buffer]);
    }
    case "landscapes":
      return landscapes();
    case "curvature": {
      const { largestCurvature } = await import("./flatness.ts");
      const largest = await largestCurvature(measured(request.method));
      return report({ type: "curvature", method: request.method, largest });
    }
    default:
      request satisfies never;
  }
}

async function start(settings: Settings, rounds: number): Promise<void> {
  await stop();
  await loadDevice(settings.device);
  const data = settings.data === "digits" ? await loadDataset("digits") : await picturesFor(settings.network);
  const file = settings.network === "file" ? requireFile().file : undefined;
  const pageData = {
    name: data.train.name,
    trainImages: data.train.count,
    ...(settings.data === "pictures" && { images: documentForm(settings.network) }),
    ...(file && { file: file.name }),
  };
  const begun: Experiment = {
    settings,
    data,
    file,
    rounds: new Rounds(rounds, () => report({ type: "waiting" })),
    controller: new AbortController(),
    networks: new Map(),
    ended: Promise.resolve(),
  };
  experiment = begun;
  for (const { name } of methods) begun.rounds.join(name);
  const running = methods.map((method) => trainMethod(begun, pageData, method));
  begun.ended = Promise.allSettled(running);
  try {
    await Promise.all(running);
  } catch (error) {
    // The others end too: they are no comparison any more.
    begun.controller.abort();
    begun.rounds.allow(Number.POSITIVE_INFINITY);
    await begun.ended;
    throw error;
  }
  if (!begun.controller.signal.aborted) report({ type: "finished" });
}

/** Ends the experiment, if there is one. */
async function stop(): Promise<void> {
  experiment?.controller.abort();
  experiment?.rounds.allow(Number.POSITIVE_INFINITY);
  await experiment?.ended;
  experiment = undefined;
  steps = [];
}

async function trainMethod(
  { settings, data, file, rounds, controller: { signal }, networks }: Experiment,
  pageData: PageData,
  method: (typeof methods)[number],
): Promise<void> {
  const { name } = method;
  await rounds.begin(name);
  let turn = performance.now();
  try {
    const { failure } = await train({
      ...runDocument(settings, pageData, method),
      data,
      ...(file && { model: { file } }),
      ...{ device: settings.device, threads: 1 },
      signal,
      onNote: (text) => report({ type: "note", text }),
      onStart: ({ totalSteps, device }) => {
        report({ type: "device", method: name, device });
        if (name === methods[0].name) report({ type: "started", data: pageData, totalSteps });
        turn = performance.now();
      },
      onStep: async (record) => {
        if (!signal.aborted) reportStep({ method: name, record, milliseconds: performance.now() - turn });
        await rounds.next(name);
        turn = performance.now();
      },
      onEpoch: (record, network) => {
        networks.set(name, network);
        if (!signal.aborted) report({ type: "epoch", method: name, record });
      },
    });
    if (failure) throw new UserError(`${method.label}: ${forVisitors(failure)}`);
  } finally {
    rounds.leave(name);
  }
}

/** Why training has ended, with what a visitor of the page can do. */
function forVisitors(failure: Error): string {
  return failure instanceof NonFiniteError
    ? `training diverged at ${failure.fault}; choose another network, seed or data`
    : failure.message;
}

async function readFile(file: File): Promise<void> {
  networkFile = undefined;
  const { readNetworkFile } = await import("./network-file.ts");
  networkFile = await readNetworkFile(file);
  report({ type: "network", description: networkFile.description });
}

function requireFile(): NetworkFile {
  if (!networkFile) throw new UserError("no ONNX file has been chosen; drop one");
  return networkFile;
}

/** The pictures that a network takes. */
function formFor(network: Settings["network"]): PictureForm {
  return (network === "file" && networkFile?.pictures) || pictureForm;
}

/** How a document says which pictures a network has taken. */
function documentForm(network: Settings["network"]): PageData["images"] {
  return { ...formFor(network), ...(pictures?.leftOut !== undefined && { onBadImage: "skip" }) };
}

/** The visitor's pictures for a network: another may have taken them in another size. */
async function picturesFor(network: Settings["network"]): Promise<DatasetPair> {
  if (!pictures)
    throw new UserError("no pictures have been chosen; drop a folder with a folder for each class");
  const form = formFor(network);
  const isSame = JSON.stringify(form) === JSON.stringify(pictures.form);
  return isSame ? pictures.data : (await decoded(pictures, form)).data;
}

/** Bytes that decoded pictures may take, and how many of them there may be. */
const most = { bytes: 2 ** 29, pictures: 20_000 };

async function decoded({ name, files }: ChosenPictures, form: PictureForm): Promise<DecodedPictures> {
  let leftOut: string | undefined;
  const data = await imagesFromFiles(files, {
    ...{ name, ...form, onBadImage: "skip" },
    log: (line) => {
      leftOut = line.slice(`${name}: `.length);
    },
    limit: Math.min(most.pictures, Math.floor(most.bytes / (form.channels * form.size ** 2))),
    onDecoded: (done, total) => {
      if (done % 20 === 0 || done === total) report({ type: "decoded", pictures: done, total });
    },
  });
  const made = { form, data, leftOut };
  pictures = { name, files, ...made };
  return made;
}

function describePictures({ data: { train, test }, leftOut }: DecodedPictures): void {
  const { count: testImages, classNames } = test;
  const { name, count: trainImages } = train;
  report({ type: "pictures", data: { name, trainImages }, testImages, classNames, leftOut });
}

function networkOf(method: MethodName): EpochNetwork {
  const network = experiment?.networks.get(method);
  if (!network) throw new UserError(`${method} has no network yet; train for an epoch first`);
  return network;
}

function measured(method: MethodName) {
  if (!experiment) throw new UserError("nothing has been trained");
  return { data: experiment.data, model: networkOf(method).model() };
}

async function landscapes(): Promise<void> {
  const { planeOf } = await import("./flatness.ts");
  for (const { name } of methods)
    report({ type: "landscape", method: name, ...(await planeOf(measured(name))) });
  report({ type: "landscapes" });
}

let answers: Answers | undefined;

async function predict(id: number, pixels: Uint8Array): Promise<void> {
  const probabilities: Partial<Record<MethodName, Float32Array>> = {};
  if (experiment) {
    const { networks, data } = experiment;
    answers ??= new Answers();
    for (const [name, network] of networks)
      probabilities[name] = await answers.ask(name, network, { pixels, train: data.train });
  }
  report({ type: "prediction", id, probabilities });
}
