import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { replaceFile } from "../common/files.ts";
import type { LongComputation, Progress, SavedState } from "../flatness/progress.ts";
import { exists, makeFolder, readJson, writeJson } from "../runs/run-folder.ts";
import type { Tensors } from "../runtime/engine.ts";
import { readSafetensors, writeSafetensors } from "../weights/safetensors.ts";

/** One part of a measurement that is computed, kept and resumed by itself. */
export interface Part<T extends object> {
  /** As a reader would name it. */
  label: string;
  /** Everything that decides the result, besides model and data. */
  settings: object;
  compute: (options: LongComputation) => Promise<T>;
  /** After it was computed: what is to be kept as tensors beside the JSON, such as eigenvectors. */
  tensors?: () => Tensors;
}

/** What came of a part. */
export interface Kept<T> {
  /** As JSON has it: what is not finite is null. */
  result: T;
  tensors: Tensors;
  /** Seconds of computing it, over all times it was begun; 0 when it was found. */
  seconds: number;
}

export interface PartHooks {
  signal?: AbortSignal;
  /** Before a part is computed: whether from the beginning. */
  onPart?: (label: string, resumed: boolean) => void;
  onProgress?: (progress: Progress) => void;
  /** After a part: how long it took; 0 when it was found. */
  onPartEnd?: (label: string, seconds: number) => void;
}

/** Share of the time that may go into saving states. */
const savingShare = 0.05;
/** Seconds between two saved states at least. */
const leastInterval = 0.5;

const { version } = createRequire(import.meta.url)("../../package.json");

/**
 * Results of measurements in a folder, each under a key of the model, the data, its settings and the version of this
 * package. A part that was killed is resumed from its last saved state, to the same bits.
 */
export class MeasurementCache {
  private readonly folder: string;
  private readonly common: object;

  /** @param common what all parts share: fingerprints of model and data, loss, … */
  constructor(folder: string, common: object) {
    this.folder = folder;
    this.common = common;
  }

  /** The part's result: as it was kept, or computed now. */
  async measure<T extends object>(part: Part<T>, hooks: PartHooks): Promise<Kept<T>> {
    const { label, settings, compute, tensors: tensorsOf } = part;
    const { signal, onPart, onProgress, onPartEnd } = hooks;
    const { key, files } = this.place({ label, settings });
    if (await exists(files.result)) {
      const { result } = await readJson<{ result: T }>(files.result);
      const tensors = tensorsOf ? await readTensors(files.tensors) : {};
      onPartEnd?.(label, 0);
      return { result, tensors, seconds: 0 };
    }
    await makeFolder(this.folder);
    const state = (await exists(files.state)) ? await readState(files.state) : undefined;
    onPart?.(label, state !== undefined);
    const started = performance.now();
    const before = state?.seconds ?? 0;
    const seconds = () => before + (performance.now() - started) / 1000;
    const save = async (saved: SavedState) => {
      const metadata = { settings: JSON.stringify(saved.settings), seconds: String(seconds()) };
      await replaceFile(files.state, writeSafetensors(saved.tensors, metadata));
    };
    let [savedAt, saving] = [performance.now(), 0];
    let last: Progress | undefined;
    let computed: T;
    try {
      computed = await compute({
        signal,
        state: state?.state,
        onProgress: async (progress) => {
          last = progress;
          onProgress?.(progress);
          const now = performance.now();
          if (now - savedAt < Math.max(1000 * leastInterval, saving / savingShare)) return;
          await save(progress.save());
          saving = performance.now() - now;
          savedAt = performance.now();
        },
      });
    } catch (error) {
      if (signal?.aborted && last) await save(last.save());
      throw error;
    }
    const taken = seconds();
    if (tensorsOf) await replaceFile(files.tensors, writeSafetensors(tensorsOf()));
    const content = { key, seconds: taken, result: computed };
    await writeJson(files.result, content);
    await rm(files.state, { force: true });
    onPartEnd?.(label, taken);
    const { result } = JSON.parse(JSON.stringify(content)) as { result: T };
    return { result, tensors: tensorsOf ? await readTensors(files.tensors) : {}, seconds: taken };
  }

  /** Whether the part's result is kept. */
  has(part: Pick<Part<object>, "label" | "settings">): Promise<boolean> {
    return exists(this.place(part).files.result);
  }

  /** Forgets everything that was kept, and every saved state. */
  async clear(): Promise<void> {
    const names = await readdir(this.folder).catch(() => []);
    for (const name of names) {
      if (/-[0-9a-f]{12}\.(json|safetensors|state)$/.test(name)) await rm(join(this.folder, name));
    }
  }

  private place({ label, settings }: Pick<Part<object>, "label" | "settings">) {
    const key = { ...this.common, part: label, settings, version };
    const digest = createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 12);
    const stem = join(this.folder, `${label.replaceAll(/[^\w.-]+/g, "-")}-${digest}`);
    return {
      key,
      files: { result: `${stem}.json`, tensors: `${stem}.safetensors`, state: `${stem}.state` },
    };
  }
}

async function readTensors(file: string): Promise<Tensors> {
  return readSafetensors(await readFile(file), file).tensors;
}

async function readState(file: string): Promise<{ state: SavedState; seconds: number }> {
  const { tensors, metadata } = readSafetensors(await readFile(file), file);
  return { state: { settings: JSON.parse(metadata.settings), tensors }, seconds: Number(metadata.seconds) };
}
