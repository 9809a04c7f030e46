import type { Device } from "../lower/target.ts";
import type { Engine, EngineOptions } from "../runtime/engine.ts";
import type { ProbedDevice } from "../runtime/probed-device.ts";

// What Lowland takes from where it runs. `node.ts` and `web.ts` give the same; package.json says which is `#platform`.

/** The files of runs, by path: in Node those of the system, in a page those that the browser keeps for its origin. */
export interface RunFiles {
  exists(path: string): Promise<boolean>;
  read(path: string): Promise<Uint8Array>;
  /** Writes a file so that a reader sees the old one or the new one, never a half. */
  replace(path: string, content: string | Uint8Array): Promise<void>;
  append(path: string, text: string): Promise<void>;
  /** Removes a file or a folder with everything in it, if it is there. */
  remove(path: string): Promise<void>;
  /** The names in a folder; none where there is no folder. */
  list(folder: string): Promise<string[]>;
  /** Makes a folder and those that it is in. */
  makeFolder(path: string): Promise<void>;
  /**
   * Makes a folder to write results to.
   * @throws UserError with the reason when it is not one that can be written to; `FileError` when its disk is full or the like
   */
  makeOutputFolder(path: string): Promise<void>;
}

/** Rows of float32 of one length, by their number. */
export interface RowStore {
  write(index: number, row: Float32Array): void;
  read(index: number): Float32Array<ArrayBuffer>;
  close(): void;
}

/** A part of a file beside a model's. */
export interface FilePart {
  /** As the model states it. */
  location: string;
  offset: string;
  length: string | undefined;
}

/** What a run ran with and on, for `run.json`. */
export interface Environment {
  versions: Record<string, string>;
  machine: { platform: string; arch: string; cpu: string; cores: number; memoryGiB: number };
}

export interface Platform {
  openEngine: (options?: EngineOptions) => Engine;
  /** Opens a device to see whether it can be, and what it is. */
  probeDevice(device: Exclude<Device, "cpu">): Promise<ProbedDevice>;
  environment(): Promise<Environment>;
  runFiles: RunFiles;
  /** A file that a person names: by its path, in a page by its address. */
  readFile(path: string): Promise<Uint8Array>;
  /**
   * A part of a file beside the model's.
   * @param subject whose values they are, for messages
   * @throws UserError if there is no such file, it is too short, or it lies outside the model's folder
   */
  readBeside(model: string, part: FilePart, subject: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Opens rows in a file that is removed when it is closed; absent where there are no such files. */
  fileRows: ((folder: string | undefined, name: string, length: number) => RowStore) | undefined;
  /** The last part of a path, and what is before it. */
  basename(path: string): string;
  dirname(path: string): string;
  /** Of the last part what begins with its last dot, such as `.onnx`. */
  extname(path: string): string;
  /** Paths, one behind the other. */
  join(...paths: string[]): string;
  /** A path that does not depend on the working directory. */
  resolve(path: string): string;
}
