import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { type CommandName, loadedCommand } from "../cli/commands.ts";
import { explain } from "../cli/explain.ts";
import type { EpochRecord, MetricsRecord, StepRecord } from "../train/records.ts";

// Running the compiled command line as a person does, and reading the folders it writes.

/** How a command ended, and all it wrote. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** A module that Node loads first. */
  preload?: string;
}

/** Starts `lowland` with neither of its outputs a terminal. */
export function startLowland(args: readonly string[], options: CommandOptions = {}) {
  return startNode([fileURLToPath(new URL("../cli/main.js", import.meta.url)), ...args], options);
}

/** Runs `lowland` to its end. */
export function lowland(args: readonly string[], options?: CommandOptions): Promise<Ended> {
  return startLowland(args, options).ended;
}

/**
 * Gives a command in this process, and returns how the program ends it: for mistakes that are found before an engine
 * starts, hundreds of times as quickly as `lowland`.
 * @throws Error when the command is not refused, or writes anything before
 */
export async function refusal([name, ...args]: [CommandName, ...string[]]): Promise<
  ReturnType<typeof explain>
> {
  const command = await loadedCommand(name);
  const { write } = process.stderr;
  let written = "";
  process.stderr.write = (text) => {
    written += text;
    return true;
  };
  try {
    await command.exitOverride().parseAsync(args, { from: "user" });
  } catch (error) {
    assert.equal(written, "");
    return explain(error);
  } finally {
    process.stderr.write = write;
  }
  throw new Error(`${name} is not refused`);
}

/** Runs a program in Node to its end. */
export function runNode(args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  return startNode(args, options).ended;
}

/** Runs a program of examples/ in a folder, and returns what it prints. */
export async function runExample(folder: string, name: string, ...args: string[]): Promise<string> {
  const program = fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
  const { code, stdout, stderr } = await runNode([program, ...args], { cwd: folder });
  assert.equal(code, 0, stderr);
  return stdout;
}

/** Starts a program in Node with neither of its outputs a terminal. */
export function startNode(args: readonly string[], { cwd, env, preload }: CommandOptions = {}) {
  const node = preload === undefined ? [] : ["--import", preload];
  const child = spawn(process.execPath, [...node, ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { child, ended: outcome(child) };
}

function outcome(child: ChildProcess): Promise<Ended> {
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]!.setEncoding("utf8").on("data", (text: string) => {
      written[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...written }));
  });
}

/** A folder of the test file's own, removed after its tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "lowland-test-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The lines of a run's `metrics.jsonl` without what depends on the clock. */
export function timelessMetrics(folder: string): string[] {
  return readFileSync(join(folder, "metrics.jsonl"), "utf8")
    .split("\n")
    .map((line) => line.replaceAll(/,"(seconds|examplesPerSecond)":[^,}]+/g, ""));
}

/** The records of a run's `metrics.jsonl`. */
export function readMetrics(folder: string): { steps: StepRecord[]; epochs: EpochRecord[] } {
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n");
  const records = lines.map((line): MetricsRecord => JSON.parse(line));
  return {
    steps: records.filter((record) => record.type === "step"),
    epochs: records.filter((record) => record.type === "epoch"),
  };
}

export function readJsonFile(...path: string[]) {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}

/** What a run says on standard error besides its progress, which only slow machines get to see. */
export function withoutProgress(stderr: string): string {
  return stderr.replaceAll(/^.*: step \d+\/\d+ \(epoch .*\n/gm, "");
}
