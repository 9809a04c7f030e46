import { readFile } from "node:fs/promises";
import { UserError } from "../common/errors.ts";
import type { RunSettings } from "../runs/configuration.ts";
import type { ExistingRun } from "../runs/run-folder.ts";
import { applyOptimizerFlags, withBase } from "./optimizer-options.ts";
import type { PlaceFlags, SettingFlags } from "./setting-flags.ts";
import { defined, isObject, merged, type Settings } from "./settings.ts";

// How flags override a configuration document.

/** A configuration document from a file, or the configuration in a `run.json`. Throws `UserError` when it cannot be read or is no JSON object. */
export async function readConfiguration(path: string): Promise<Settings> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new UserError(`the configuration ${path} cannot be read (${(error as Error).message})`);
  }
  try {
    const document: unknown = JSON.parse(text);
    if (isObject(document)) return isObject(document.configuration) ? document.configuration : document;
  } catch (error) {
    throw new UserError(`the configuration ${path} is not JSON: ${(error as Error).message}`);
  }
  throw new UserError(`the configuration ${path} has to hold one JSON object`);
}

/** The document with the flags' settings in place of its own. */
export function applyFlags(document: Settings, flags: SettingFlags): Settings {
  const { imageSize, channels, testShare, onBadImage, ...beside } = flags;
  const { flip, crop, cutout, weights: file, weightsExcept, schedule, warmUp, ema, swa, ...others } = beside;
  const { perturb, learningRateFactor, momentum, nesterov, weightDecay, ...rest } = others;
  const {
    optimizer,
    base: over,
    variant,
    rho,
    rhoMax,
    rhoMin,
    alpha,
    adaptive,
    every,
    reuse,
    from,
    ...plain
  } = rest;
  const names = Object.keys(plainSettings satisfies Record<keyof typeof plain, true>);
  const weights = defined({ file, except: weightsExcept?.split(",") });
  const parameters = defined({ perturb, groups: learningRateFactor });
  const images = defined({ size: imageSize, channels, testShare, onBadImage });
  const augmentation = defined({ flip, crop, cutout: cutout === undefined ? undefined : { size: cutout } });
  const settings: Settings = {
    ...document,
    ...defined(Object.fromEntries(Object.entries(plain).filter(([name]) => names.includes(name)))),
    ...("augmentation" in document || Object.keys(augmentation).length > 0
      ? { augmentation: merged(document.augmentation, augmentation) }
      : {}),
    ...(Object.keys(images).length > 0 && { images: merged(document.images, images) }),
    ...defined({
      schedule: scheduleOf(document.schedule, schedule, warmUp),
      averaging: averagingOf(ema, swa),
    }),
    ...(Object.keys(weights).length > 0 && { weights: merged(fileSettings(document.weights), weights) }),
    ...(Object.keys(parameters).length > 0 && { parameters: merged(document.parameters, parameters) }),
  };
  const base = { momentum, nesterov, weightDecay };
  if (Array.isArray(document.runs)) {
    return {
      ...settings,
      runs: document.runs.map((run: unknown) =>
        isObject(run) ? { ...run, optimizer: withBase(run.optimizer, base) } : run,
      ),
    };
  }
  const { optimizer: given = {} } = document;
  if (!isObject(given)) return settings;
  const own = { optimizer, base: over, variant, rho, rhoMax, rhoMin, alpha, adaptive, every, reuse, from };
  return { ...settings, optimizer: withBase(applyOptimizerFlags(given, own), base) };
}

/** A document's schedule with another in its place, or with another warm-up (0: none) before it. */
function scheduleOf(given: unknown, schedule: Settings | undefined, warmUp: number | undefined): unknown {
  if (warmUp === undefined) return schedule;
  const after = schedule ?? (isObject(given) && given.name === "warm-up" ? given.after : given);
  return warmUp === 0 ? after : defined({ name: "warm-up", epochs: warmUp, after });
}

function averagingOf(ema: number | true | undefined, swa: number | true | undefined): Settings | undefined {
  const given = (value: number | true) => (value === true ? undefined : value);
  if (ema !== undefined) return defined({ name: "exponential", decay: given(ema) });
  return swa === undefined ? undefined : defined({ name: "stochastic", from: given(swa) });
}

/** The weights of a document, where a text is a file. */
function fileSettings(weights: unknown): unknown {
  return typeof weights === "string" ? { file: weights } : weights;
}

/** The settings at the top of a document that a flag of the same name sets; commander hands others over beside them. */
const plainSettings = {
  data: true,
  limit: true,
  labelNoise: true,
  model: true,
  learningRate: true,
  epochs: true,
  evaluateEvery: true,
  batchSize: true,
  labelSmoothing: true,
  labelSmoothingKind: true,
  seed: true,
  threads: true,
  keepWeights: true,
  onNonFinite: true,
  clipNorm: true,
  microBatches: true,
  perturbationPer: true,
} as const satisfies Partial<Record<keyof RunSettings, true>>;

/** What `--overwrite` and `--resume` say about a run that is already there. */
export function existingRun({ overwrite, resume }: PlaceFlags): ExistingRun {
  return overwrite ? "overwrite" : resume ? "resume" : "refuse";
}
