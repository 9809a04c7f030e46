import { methods } from "./methods.ts";

/** What a visitor chooses; all of it stands in the address. */
export interface Settings {
  /** `"pictures"`: the visitor's own. */
  data: (typeof dataChoices)[number];
  network: (typeof networkChoices)[number];
  /** What computes the steps. No document has it: another machine has another. */
  device: (typeof deviceChoices)[number];
  /** Percent of the training labels that are wrong, 0 to 60. */
  noise: number;
  seed: number;
  epochs: number;
}

const dataChoices = ["digits", "pictures"] as const;
/** `"file"`: an ONNX file of the visitor's. */
const networkChoices = ["mlp", "cnn", "file"] as const;

const deviceChoices = ["cpu", "webgpu"] as const;

const defaults: Settings = {
  ...{ data: "digits", network: "mlp", device: "cpu" },
  ...{ noise: 40, seed: 1, epochs: 20 },
};

/** How pictures are decoded. */
export interface PictureForm {
  /** Height and width. */
  size: number;
  channels: 1 | 3;
  fit?: "crop" | "stretch" | "pad";
}

/** What the visitor's pictures are for networks that take any. */
export const pictureForm: PictureForm = { size: 28, channels: 3 };

/** Reads the part of an address after `#`. What is missing or out of range has its default. */
export function settingsFrom(hash: string): Settings {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const among = <T extends string>(name: string, choices: readonly T[], otherwise: T): T =>
    choices.find((choice) => choice === given.get(name)) ?? otherwise;
  const whole = (name: "noise" | "seed" | "epochs", from: number, to: number) => {
    const text = given.get(name);
    const value = Number(text);
    const fits = text !== null && text !== "" && Number.isInteger(value) && value >= from && value <= to;
    return fits ? value : defaults[name];
  };
  return {
    data: among("data", dataChoices, defaults.data),
    network: among("network", networkChoices, defaults.network),
    device: among("device", deviceChoices, defaults.device),
    noise: whole("noise", 0, 60),
    seed: whole("seed", 0, 999_999),
    epochs: whole("epochs", 1, 200),
  };
}

/** The part of an address after `#`, without it. */
export function hashOf(settings: Settings): string {
  return new URLSearchParams(
    Object.entries(settings).map(([name, value]) => [name, String(value)]),
  ).toString();
}

/** What all runs of the page have in common, as `lowland train --config` takes it. */
function sharedDocument({ network, noise, seed, epochs }: Settings, { name, images, ...data }: PageData) {
  const isFile = network === "file";
  return {
    data: name,
    ...(images && { images }),
    ...(noise > 0 && { labelNoise: noise / 100 }),
    model: isFile ? { file: data.file ?? "model.onnx" } : network,
    // As lowland finetune: weights that are good already move less.
    learningRate: isFile ? 0.01 : 0.05,
    schedule: { name: "cosine" as const },
    epochs,
    batchSize: Math.max(1, Math.min(32, Math.floor(data.trainImages / 2))),
    sharpness: { rho: 0.05, images: isFile ? 64 : 250 },
    seed,
  };
}

/** What a document says of the data, and of a network that is a file. */
export interface PageData {
  /** In a document of pictures: the name of their folder. */
  name: string;
  trainImages: number;
  /** How pictures were decoded, and whether files that are none were left out; other data have none. */
  images?: PictureForm & { onBadImage?: "skip" };
  /** The name of the visitor's ONNX file, where it is the network. */
  file?: string;
}

/** One run, for `lowland train --config`. */
export function runDocument(settings: Settings, data: PageData, method: (typeof methods)[number]) {
  return { ...sharedDocument(settings, data), optimizer: method.optimizer };
}

/** All runs, for `lowland compare --config`. */
export function comparisonDocument(settings: Settings, data: PageData) {
  const runs = methods.map(({ name, optimizer }) => ({ name, optimizer }));
  return { ...sharedDocument(settings, data), runs };
}
