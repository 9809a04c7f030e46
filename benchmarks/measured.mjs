// Measurements in processes of their own, which take turns: a pool of threads that rests keeps its cores busy for a while.
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";

/** What measure-step.mjs finds in a process of its own. */
export function measureStep(settings) {
  return inProcess(process.execPath, [
    resolve(import.meta.dirname, "measure-step.mjs"),
    ...argumentsOf(settings),
  ]);
}

/** The last line that a program prints, which is JSON. */
export async function inProcess(program, given, env = {}) {
  const options = { env: { ...process.env, ...env }, maxBuffer: 2 ** 26 };
  const { stdout } = await promisify(execFile)(program, given, options);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

/** As a command line: a switch is `--name` or `--no-name`, and what is undefined is left out. */
export function argumentsOf(settings) {
  return Object.entries(settings).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (typeof value === "boolean") return [value ? `--${name}` : `--no-${name}`];
    return [`--${name}`, String(value)];
  });
}

export function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
