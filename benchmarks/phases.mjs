// What benchmarks of data share: phases in processes of their own, and what is measured in them.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Runs each phase in a process of its own, which prints what the phase returns, its time and its largest memory as a line
 * of JSON.
 * @param phase the one that this process is for; undefined: it starts the others
 */
export async function inPhases(phases, { phase, script, root, keep, before, about }) {
  if (phase) {
    const started = performance.now();
    const result = await phases[phase]();
    const seconds = rounded((performance.now() - started) / 1000);
    const { user, system } = process.cpuUsage();
    const processorSeconds = rounded((user + system) / 1e6);
    console.log(
      JSON.stringify({ phase, ...result, seconds, processorSeconds, peakMegabytes: peakMegabytes() }),
    );
    return;
  }
  await before();
  console.log(JSON.stringify({ ...about, processor: cpus()[0].model, cores: cpus().length }));
  try {
    for (const name of Object.keys(phases)) {
      const args = [...process.argv.slice(2), "--keep", root, "--phase", name];
      const { status } = spawnSync(process.execPath, [fileURLToPath(script), ...args], { stdio: "inherit" });
      if (status !== 0) process.exit(status ?? 1);
    }
  } finally {
    if (!keep) rmSync(root, { recursive: true });
  }
}

/** Measures how long the engine's thread waits for the next batch. To be called before the engine is opened. */
export function watchedEngine() {
  let thread;
  let [first, last, steps] = [];
  process.on("worker", (worker) => {
    thread ??= worker;
  });
  return {
    onStep: ({ step }) => {
      last = thread.performance.eventLoopUtilization();
      // The first step has what happens once.
      if (step === 1) first = last;
      steps = step;
    },
    result: () => {
      const [idle, active] = [last.idle - first.idle, last.active - first.active];
      return { steps, waiting: rounded(idle / (idle + active)) };
    },
  };
}

/** How many files of a folder this process has open, where the system says so. */
export function openFiles(folder) {
  if (!existsSync("/proc/self/fd")) return undefined;
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith(folder)).length;
}

/** The most that the process had so far. */
export function peakMegabytes() {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

export function perProcessorSecond(done, before) {
  const { user, system } = process.cpuUsage(before);
  return { picturesPerProcessorSecond: Math.round(done / ((user + system) / 1e6)) };
}

export function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

export function rounded(value) {
  return Math.round(value * 1000) / 1000;
}
