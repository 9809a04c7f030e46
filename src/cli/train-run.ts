import { basename } from "node:path";
import type { RunConfiguration } from "../runs/configuration.ts";
import { networkName } from "../runs/network.ts";
import { optimizerLabel } from "../runs/optimizer-label.ts";
import { createOptimizer } from "../runs/optimizers.ts";
import { runTask } from "../runs/run.ts";
import { loadWithProgress } from "./data.ts";
import { interruptedExitCode, interruptSignal } from "./interrupt.ts";
import { withIntegers } from "./keep-quantization.ts";
import { existingRun } from "./options.ts";
import { freshFolder, outcomeLine, present, printJson, sayHowToResume } from "./output.ts";
import { ProgressDisplay, say } from "./progress.ts";
import type { PlaceFlags } from "./setting-flags.ts";

/** Trains one run with its progress shown, presents it, and returns the exit code. */
export async function trainAndPresent(configuration: RunConfiguration, flags: PlaceFlags): Promise<number> {
  const signal = interruptSignal();
  const { task, images } = configuration;
  const data = await loadWithProgress(configuration.data, { ...flags, task, images, signal });
  if (flags.dryRun) {
    const { printRunCosts } = await import("./dry-run.ts");
    const name = networkName(configuration.model);
    return printRunCosts([{ name, configuration }], data, { ...flags, signal });
  }
  const optimizer = createOptimizer(configuration.optimizer);
  const label = optimizerLabel(optimizer.config);
  const network = networkName(configuration.model).replace(/\.onnx$/, "");
  const out =
    flags.out ??
    freshFolder(
      [basename(configuration.data), network, optimizer.config.method].join("-").replaceAll(/[^\w.-]+/g, "-"),
    );
  const progress = new ProgressDisplay({ totalWork: 0 });
  try {
    const result = await runTask({
      name: basename(out),
      configuration,
      data,
      out,
      existing: existingRun(flags),
      signal,
      ...progress.follow(label, 1),
    });
    progress.done(outcomeLine(label, result));
    const summary = await withIntegers(result, { folder: out, configuration, data });
    if (result.summary) await present(out, flags);
    else if (!result.failure) say(`Nothing to report; the steps so far are in ${out}`);
    if (flags.json) printJson(summary ?? null);
    if (result.failure) return 1;
    const finished = result.summary?.status === "finished";
    if (!finished) sayHowToResume(out);
    return finished ? 0 : interruptedExitCode;
  } finally {
    progress.close();
  }
}
