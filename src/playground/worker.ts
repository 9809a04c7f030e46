import {
  type DatasetPair,
  type EpochNetwork,
  imagesFromFiles,
  loadDataset,
  NonFiniteError,
  openEngine,
  train,
  UserError,
} from "../index.web.ts";
import { largestCurvature, planeOf } from "./flatness.ts";
import type { Report, Request } from "./messages.ts";
import { type MethodName, methods } from "./methods.ts";
import { Rounds } from "./rounds.ts";
import { loadRuntime } from "./runtime.ts";
import { type PageData, pictureSize, runDocument, type Settings } from "./settings.ts";

// The page's worker: everything that takes time. One experiment at a time.

/** A training of all methods. */
interface Experiment {
  settings: Settings;
  data: DatasetPair;
  rounds: Rounds;
  controller: AbortController;
  /** Of the last epoch of each method. */
  networks: Map<MethodName, EpochNetwork>;
  ended: Promise<unknown>;
}

let experiment: Experiment | undefined;
let pictures: DatasetPair | undefined;
let runtime: Promise<void> | undefined;

const report = (message: Report, transfer: Transferable[] = []) =>
  globalThis.postMessage(message, { transfer });

/** Loaded with the first request; after a failure the next one tries again. */
function runtimeLoaded(): Promise<void> {
  runtime ??= loadRuntime((loaded, total) => report({ type: "runtime", loaded, total })).catch((error) => {
    runtime = undefined;
    throw error;
  });
  return runtime;
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
      return decode(request.name, request.files);
    case "predict":
      return predict(request.id, request.pixels);
    case "model": {
      const bytes = Uint8Array.from(networkOf(request.method).model());
      return report({ type: "model", method: request.method, bytes }, [bytes.buffer]);
    }
    case "landscapes":
      return landscapes();
    case "curvature": {
      const largest = await largestCurvature(measured(request.method));
      return report({ type: "curvature", method: request.method, largest });
    }
    default:
      request satisfies never;
  }
}

async function start(settings: Settings, rounds: number): Promise<void> {
  await stop();
  await runtimeLoaded();
  const data = settings.data === "digits" ? await loadDataset("digits") : pictures;
  if (!data) throw new UserError("no pictures have been chosen; drop a folder with a folder for each class");
  const pageData = describe(data, settings.data === "pictures");
  const begun: Experiment = {
    settings,
    data,
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
}

async function trainMethod(
  { settings, data, rounds, controller: { signal }, networks }: Experiment,
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
      threads: 1,
      signal,
      onStart: ({ totalSteps }) => {
        if (name === methods[0].name) report({ type: "started", data: pageData, totalSteps });
        turn = performance.now();
      },
      onStep: async (record) => {
        if (!signal.aborted)
          report({ type: "step", method: name, record, milliseconds: performance.now() - turn });
        await rounds.next(name);
        turn = performance.now();
      },
      onEpoch: (record, network) => {
        networks.set(name, network);
        if (!signal.aborted) report({ type: "epoch", method: name, record });
      },
    });
    if (failure) throw new UserError(`${method.label}: ${failure.message}`);
  } finally {
    rounds.leave(name);
  }
}

function describe({ train }: DatasetPair, isPictures: boolean): PageData {
  return { name: train.name, isPictures, trainImages: train.count };
}

async function decode(name: string, files: Extract<Request, { type: "pictures" }>["files"]): Promise<void> {
  pictures = await imagesFromFiles(files, {
    name,
    size: pictureSize,
    channels: 3,
    onDecoded: (done, total) => {
      if (done % 20 === 0 || done === total) report({ type: "decoded", pictures: done, total });
    },
  });
  const { test } = pictures;
  report({
    type: "pictures",
    data: describe(pictures, true),
    testImages: test.count,
    classNames: test.classNames,
  });
}

function networkOf(method: MethodName): EpochNetwork {
  const network = experiment?.networks.get(method);
  if (!network) throw new UserError(`${method} has no network yet; train for an epoch first`);
  return network;
}

function measured(method: MethodName) {
  const { tensors } = networkOf(method);
  if (!experiment) throw new UserError("nothing has been trained");
  return { settings: experiment.settings, data: experiment.data, tensors };
}

async function landscapes(): Promise<void> {
  for (const { name } of methods)
    report({ type: "landscape", method: name, ...(await planeOf(measured(name))) });
  report({ type: "landscapes" });
}

const answering: { engine?: ReturnType<typeof openEngine>; loaded: Map<MethodName, EpochNetwork> } = {
  loaded: new Map(),
};

async function predict(id: number, pixels: Uint8Array): Promise<void> {
  const probabilities: Partial<Record<MethodName, Float32Array>> = {};
  for (const [name, network] of experiment?.networks ?? []) {
    answering.engine ??= openEngine({ threads: 1 });
    if (answering.loaded.get(name) !== network) {
      await answering.engine.load(name, network.model());
      answering.loaded.set(name, network);
    }
    const input = { type: "float32", shape: [1, 1, 8, 8], data: new Float32Array(pixels) } as const;
    const { outputs } = await answering.engine.run(name, { input });
    probabilities[name] = softmax(outputs.logits.data as Float32Array);
  }
  report({ type: "prediction", id, probabilities });
}

function softmax(logits: Float32Array): Float32Array {
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}
