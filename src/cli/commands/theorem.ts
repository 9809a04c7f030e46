import { join } from "node:path";
import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import type { Figure } from "../../report/drawing/page-document.ts";
import type { RunScalesRecord } from "../../report/figures/run-scales.ts";
import { parseTheorem, theoremSchema } from "../../theorem/configuration.ts";
import { addFlags } from "../add-flags.ts";
import { camelCase, flagsOf } from "../flags.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import { outputStyle, printJson } from "../output.ts";
import { withProgress } from "../progress.ts";
import { putFlags } from "../put-flags.ts";
import type { Settings } from "../settings.ts";

const examples = `
Bilateral SAM, SAM at ρmax and at ρmax + ρmin, and SGD, without momentum, minimize losses whose smoothness τ and gradient
variance σ² are known, with constant steps and with steps proportional to 1/√t. Shown: the mean and the least ‖∇L‖² with
fitted slopes, ς = ‖g⁺‖/‖g⁻‖ and Z₁·τ = (1 − ς)/(1 + ς²) at every step, and the share of steps with ς ≥ 1.

On a convex quadratic ς ≥ 1 as long as ρmin ≤ ρmax + 2‖g‖/τ; nothing else here is proved. The bound of the paper's theorem 1
is not part of this: its text is not available.

With run folders as arguments nothing is run: ς of their steps, epoch by epoch.

Examples:
  $ lowland theorem
  $ lowland theorem --problems quadratic --spectrum 10,1,0.1 --variance 0 --rho-min 1.5
  $ lowland theorem --steps 3000 --fit-from 500 --out runs/theorem-long
  $ lowland theorem runs/noisy-labels/bilateral-sam
  $ lowland theorem --json > theorem.json`;

const flags = flagsOf(theoremSchema);

interface TheoremFlags extends Settings {
  out: string;
  json?: boolean;
}

/** `lowland theorem`: the quantities of the paper's theorem 1, on problems of known constants and in training runs. */
export function theoremCommand(command: Command): Command {
  command
    .option("--out <folder>", "folder for the numbers and pictures", join("runs", "theorem"))
    .option("--json", "print the results as JSON and nothing else on standard output");
  return addFlags(command, flags)
    .addHelpText("after", examples)
    .action(async (folders: string[], given: TheoremFlags) => {
      if (folders.length > 0) await showRuns(folders, given);
      else process.exitCode = await runProblems(given);
    });
}

async function runProblems(given: TheoremFlags): Promise<number> {
  const configuration = parseTheorem(putFlags(theoremSchema, {}, given));
  const { OnnxRuntimeEngine } = await import("../../runtime/onnxruntime.ts");
  const { theoremStudy } = await import("../../theorem/study.ts");
  const { theoremFigures, theoremLead } = await import("../../report/figures/theorem.ts");
  const { theoremTables } = await import("../../report/theorem-table.ts");
  const { makeFolder } = await import("../../runs/run-folder.ts");
  await makeFolder(given.out);
  const signal = interruptSignal("Stopping (Ctrl-C again: at once).");
  // On this thread: a step of a few weights takes less time than the way to another thread and back.
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  try {
    const record = await withProgress("theorem", (onProgress) =>
      theoremStudy(engine, configuration, { signal, onProgress }),
    );
    const text = theoremTables(record, outputStyle());
    const title = "Theorem 1: ς and rates on problems of known constants";
    const content = { title, lead: theoremLead(record), figures: theoremFigures(record) };
    await present("theorem", { record, text, content }, given);
    return 0;
  } catch (error) {
    if (!signal.aborted) throw error;
    return interruptedExitCode;
  } finally {
    await engine.close();
  }
}

async function showRuns(folders: readonly string[], given: TheoremFlags): Promise<void> {
  const misplaced = flags.find(({ name }) => given[camelCase(name)] !== undefined);
  if (misplaced)
    throw new UserError(
      `--${misplaced.name} is for problems of known constants; leave it out to read the run folders, or leave the folders out`,
    );
  const { readComparison } = await import("../../report/read.ts");
  const { scalesByEpoch } = await import("../../theorem/run-epochs.ts");
  const { runScalesFigures } = await import("../../report/figures/run-scales.ts");
  const { runScalesTables } = await import("../../report/theorem-table.ts");
  const comparisons = await Promise.all(folders.map((folder) => readComparison(folder)));
  const runs = comparisons
    .flatMap((comparison) => comparison.runs)
    .map(({ name, label, folder, steps }) => ({ name, label, folder, epochs: scalesByEpoch(steps) }))
    .filter(({ epochs }) => epochs.length > 0);
  if (runs.length === 0)
    throw new UserError(
      `no run in ${folders.join(", ")} has steps with ς; choose runs of bilateral-sam with three passes (the paper's or the released variant)`,
    );
  const record: RunScalesRecord = { type: "theorem-runs", runs };
  const lead = "ς = ‖g⁺‖/‖g⁻‖ and Theorem 1's Z₁·τ of each step's mini-batch, over the steps of each epoch.";
  const content = { title: "ς in training runs", lead, figures: runScalesFigures(record) };
  await present("theorem-runs", { record, text: runScalesTables(record, outputStyle()), content }, given);
}

/** Writes the numbers, a page and its pictures, and prints the numbers as JSON or as tables. */
async function present(
  name: string,
  {
    record,
    text,
    content,
  }: { record: object; text: string; content: { title: string; lead: string; figures: Figure[] } },
  { out, json }: TheoremFlags,
): Promise<void> {
  const { makeFolder, writeJson } = await import("../../runs/run-folder.ts");
  const { writeFigures } = await import("../../report/figures/write.ts");
  await makeFolder(out);
  await writeJson(join(out, `${name}.json`), record);
  const { page } = await writeFigures(out, name, { ...content, data: record });
  if (json) printJson(record);
  else process.stdout.write(`${text}\n\nPage:     ${page}\nPictures: ${join(out, "pictures")}\n`);
}
