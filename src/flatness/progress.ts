import { UserError } from "../common/errors.ts";
import type { OptionKinds } from "../common/options.ts";
import type { Tensors } from "../runtime/engine.ts";

/**
 * A long computation between two of its parts, as plain data: tensors (for a safetensors file) and settings (for
 * JSON). Handed back, with the same model, data and settings, the computation goes on to the same numbers.
 */
export interface SavedState {
  settings: Readonly<Record<string, string | number | boolean>>;
  tensors: Tensors;
}

export interface Progress {
  /** Parts that are done: matrix-vector products, points, … */
  done: number;
  /** How many there will be, as far as is known. */
  total: number;
  /** Since the computation was begun or resumed. */
  seconds: number;
  /** Estimate, from the mean time of a part. */
  secondsLeft: number;
  /** Copies out the state; of use until the callback returns, and after an abort. */
  save: () => SavedState;
}

/** What every long computation can be given. */
export interface LongComputation {
  /** Ends the computation after the batch that is running: its promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called after each part. Where it returns a promise (of having written the state), that is waited for. */
  onProgress?: (progress: Progress) => void | Promise<void>;
  /** Where to go on from: what `save` gave in an earlier run with the same settings. */
  state?: SavedState;
}

export const longComputation: OptionKinds<LongComputation> = {
  signal: "object",
  onProgress: "function",
  state: "object",
};

/** A reporter of progress: call it after each part with how many are done, of how many. */
export function progressReporter(
  { onProgress }: LongComputation,
  doneBefore: number,
  save: () => SavedState,
) {
  const started = performance.now();
  return async (done: number, total: number): Promise<void> => {
    if (!onProgress) return;
    const seconds = (performance.now() - started) / 1000;
    const secondsLeft = (seconds / Math.max(1, done - doneBefore)) * Math.max(0, total - done);
    await onProgress({ done, total, seconds, secondsLeft, save });
  };
}

/**
 * Several long computations one after the other as one, with one state. Their results are kept in it as JSON, so they
 * have to be plain data of finite numbers.
 */
export async function inTurn<T extends object>(
  computations: readonly ((options: LongComputation) => Promise<T>)[],
  { signal, onProgress, state }: LongComputation,
): Promise<T[]> {
  const settings = { computation: "in turn", count: computations.length };
  const results: T[] = [];
  let doneBefore = 0;
  let inner: SavedState | undefined;
  if (state) {
    requireSameSettings(state, settings);
    results.push(...(JSON.parse(String(state.settings.results)) as T[]));
    doneBefore = Number(state.settings.done);
    inner = { settings: JSON.parse(String(state.settings.inner)), tensors: state.tensors };
  }
  const started = performance.now();
  // As far as the current one is done when this one's state was saved, it costs no time now.
  let doneHere = 0;
  for (const compute of computations.slice(results.length)) {
    let doneNow = Number(inner?.settings.partsDone ?? 0);
    const result = await compute({
      signal,
      state: inner,
      onProgress: async ({ done, total, save }) => {
        doneHere += done - doneNow;
        doneNow = done;
        const remaining = computations.length - results.length - 1;
        const all =
          doneBefore + total + remaining * Math.max(total, doneBefore / Math.max(1, results.length));
        const seconds = (performance.now() - started) / 1000;
        await onProgress?.({
          done: doneBefore + done,
          total: Math.round(all),
          seconds,
          secondsLeft: (seconds / Math.max(1, doneHere)) * (all - doneBefore - done),
          save: () => {
            const saved = save();
            const own = JSON.stringify({ ...saved.settings, partsDone: done });
            return {
              settings: { ...settings, done: doneBefore, results: JSON.stringify(results), inner: own },
              tensors: saved.tensors,
            };
          },
        });
      },
    });
    results.push(result);
    doneBefore += doneNow;
    inner = undefined;
  }
  return results;
}

/** Throws `UserError` when a state was saved by a computation with other settings. */
export function requireSameSettings(state: SavedState, settings: SavedState["settings"]): void {
  for (const [name, value] of Object.entries(settings)) {
    if (state.settings[name] === value) continue;
    throw new UserError(
      `the saved state is of another computation (${name} was ${state.settings[name]}, now ${value}); start over without it`,
    );
  }
}

/** The number a setting or an option holds. Throws `UserError` unless it is a whole number of at least `least`. */
export function requireWhole(what: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw new UserError(`${what} is ${value}; choose a whole number of at least ${least}`);
}

/** Throws `UserError` unless the value is a finite number above 0. */
export function requirePositive(what: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new UserError(`${what} is ${value}; choose a number above 0`);
}
