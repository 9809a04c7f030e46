import { createRequire } from "node:module";
import type * as CliProgress from "cli-progress";
import type { Progress } from "../flatness/progress.ts";
import type { PartHooks } from "../measure/measurement-cache.ts";
import { metricText } from "../report/numbers.ts";
import type { RunHooks } from "../runs/run-request.ts";
import type { MetricInfo } from "../train/task-record.ts";

// What a person sees while runs go on: a live bar on a terminal, a line now and then elsewhere. All of it goes to
// standard error, so that standard output holds results and nothing else.

/** Seconds between two states of the bar. */
const barInterval = 0.1;

/**
 * Where there is no terminal, lines stay in a log: after the first there is one for each of these shares of the work,
 * with a least and a largest number of seconds between two.
 */
const linePace = { share: 0.1, least: 5, most: 120 };

/** Seconds after which the first run's preparation no longer spoils the estimate of the time left for all. */
const settlingTime = 4;

/** Seconds between two lines about images that pass the frozen stages. */
const featureInterval = 2;

/** Columns of the bar itself; it gets what the numbers leave. */
const barColumns = { least: 6, most: 30 };

/** The display on the terminal now, a single bar; of the library's kinds this one lets lines pass above it. */
let display: CliProgress.MultiBar | undefined;

/** A line for the person at the terminal. */
export function say(line: string): void {
  if (display) {
    display.log(`${line}\n`);
    display.update();
  } else process.stderr.write(`${line}\n`);
}

export interface ProgressOptions {
  /** Gradient evaluations of all runs together, for the time that is left; 0 when there is but one run. */
  totalWork: number;
}

/** What the bar shows, as texts. */
interface Shown {
  label: string;
  loss: string;
  metric: string;
  speed: string;
  left: string;
  all: string;
}

/** Shows the progress of one run after another. */
export class ProgressDisplay {
  private readonly totalWork: number;
  private readonly started = performance.now();
  /** Gradient evaluations up to where training is, and those of them that were computed since `started`. */
  private work = 0;
  private workHere = 0;
  /** What was said of the runs so far; several runs of a study share most of it. */
  private readonly noted = new Set<string>();
  /** What `work` will be when the run is over, however it ends. */
  private workAfterRun = 0;

  constructor({ totalWork }: ProgressOptions) {
    this.totalWork = totalWork;
  }

  /** Hooks that follow a run whose steps cost N gradient evaluations each. */
  follow(
    label: string,
    evaluationsPerStep: number,
  ): Pick<RunHooks, "onStart" | "onStep" | "onEpoch" | "onNote" | "onFeatures"> {
    let [totalSteps, stepsPerEpoch, batchSize] = [1, 1, 1];
    let [firstStep, started] = [0, 0];
    let metric = "";
    let examples = "";
    let info: MetricInfo | undefined;
    const bar = openBar(label);
    const isDue = pace(bar !== undefined);
    let told: number | undefined;
    return {
      onFeatures: (images, total) => {
        const now = performance.now();
        told ??= now;
        if (now - told < 1000 * featureInterval) return;
        told = now;
        say(
          `  ${images.toLocaleString("en")} of ${total.toLocaleString("en")} images through the frozen stages`,
        );
      },
      onNote: (note) => {
        if (!this.noted.has(note)) say(note);
        this.noted.add(note);
      },
      onStart: (run) => {
        ({ totalSteps, stepsPerEpoch, batchSize } = run);
        [info] = run.task.metrics;
        examples = run.task.examples;
        this.work = this.workAfterRun + run.finishedSteps * evaluationsPerStep;
        this.workAfterRun += totalSteps * evaluationsPerStep;
        firstStep = run.finishedSteps;
        started = performance.now();
        bar?.setTotal(totalSteps);
        bar?.update(firstStep);
      },
      onStep: ({ step, loss }) => {
        this.work += evaluationsPerStep;
        this.workHere += evaluationsPerStep;
        const now = performance.now();
        if (!isDue(step / totalSteps)) return;
        const done = step - firstStep;
        const rate = (done * batchSize) / ((now - started) / 1000);
        const shown: Shown = {
          label,
          loss: `loss ${loss.toFixed(3)}`,
          metric,
          speed: `${Math.round(rate).toLocaleString("en")} ${examples}/s`,
          left: `${duration(((totalSteps - step) * (now - started)) / done / 1000)} left`,
          all: this.allLeft(now),
        };
        if (bar) bar.update(step, shown);
        else {
          const place = `step ${step}/${totalSteps} (epoch ${Math.ceil(step / stepsPerEpoch)})`;
          const parts = [place, shown.loss, metric, shown.speed, shown.left, shown.all];
          say(`${label}: ${parts.filter((part) => part !== "").join(", ")}`);
        }
      },
      onEpoch: ({ metrics }) => {
        if (info && metrics) metric = `${info.label} ${metricText(info, metrics[info.name])}`;
      },
    };
  }

  /** Ends the bar of the run and says how it ended. */
  done(line: string): void {
    this.close();
    say(line);
  }

  /** Removes the bar. */
  close(): void {
    restoreTerminal();
  }

  private allLeft(now: number): string {
    if (now - this.started < 1000 * settlingTime) return "";
    const left = ((this.totalWork - this.work) * (now - this.started)) / this.workHere / 1000;
    return this.totalWork > 0 ? `all ${duration(left)}` : "";
  }
}

/** Says of each share of the work that is done whether to show it. */
function pace(isBar: boolean): (share: number) => boolean {
  let [shownAt, shownShare] = [performance.now(), -1];
  return (share) => {
    const now = performance.now();
    const seconds = (now - shownAt) / 1000;
    const isDue = isBar
      ? seconds >= barInterval
      : seconds >= linePace.least && (share - shownShare >= linePace.share || seconds >= linePace.most);
    if (isDue) [shownAt, shownShare] = [now, share];
    return isDue;
  };
}

/** A bar on the terminal, if there is one. */
function openBar(label: string) {
  if (process.stderr.isTTY !== true) return undefined;
  // Loaded with the first bar, which most commands end without.
  const { MultiBar } = createRequire(import.meta.url)("cli-progress") as typeof CliProgress;
  display = new MultiBar({
    format: fittingLine(),
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    // Also after a line has passed or the window's size has changed.
    forceRedraw: true,
    emptyOnZero: true,
    fps: 8,
  });
  process.once("exit", restoreTerminal);
  // A command that does not handle Ctrl-C itself ends by it, and its bar has hidden the cursor.
  if (process.listenerCount("SIGINT") === 0) process.once("SIGINT", endBySignal).once("SIGTERM", endBySignal);
  // Without steps as long as they are not known.
  return display.create(0, 0, { ...nothingShown, label });
}

const nothingShown: Shown = { label: "", loss: "", metric: "", speed: "", left: "", all: "" };

/** Hooks of a computation's parts, which a measurement takes as they are. */
interface FollowedParts extends Required<Pick<PartHooks, "onPart" | "onPartEnd">> {
  onProgress: (progress: Omit<Progress, "save">) => void;
  /** Removes the bar. */
  close: () => void;
  /** How many parts were found and not computed. */
  found: () => number;
}

/** Shows the parts of a measurement one after another: a bar for each, and a line when it is done. */
export function followParts(): FollowedParts {
  let bar: ReturnType<typeof openBar>;
  let isDue = pace(false);
  let [current, found] = ["", 0];
  return {
    onPart: (label, resumed) => {
      current = label;
      if (resumed) say(`${label}: going on from where it was stopped`);
      bar = openBar(label);
      isDue = pace(bar !== undefined);
    },
    onProgress: ({ done, total, secondsLeft }) => {
      if (!isDue(done / total)) return;
      const left = `${duration(secondsLeft)} left`;
      if (bar) {
        bar.setTotal(total);
        bar.update(done, { ...nothingShown, label: current, left });
      } else say(`${current}: ${done}/${total}, ${left}`);
    },
    onPartEnd: (label, seconds) => {
      restoreTerminal();
      if (seconds === 0) found++;
      else say(`✓ ${label}, ${duration(seconds)}`);
    },
    close: restoreTerminal,
    found: () => found,
  };
}

/** Removes the bar. Also called when the process ends in the middle: it hides the cursor. */
export function restoreTerminal(): void {
  process.off("exit", restoreTerminal).off("SIGINT", endBySignal).off("SIGTERM", endBySignal);
  display?.stop();
  display = undefined;
}

function endBySignal(name: NodeJS.Signals): void {
  restoreTerminal();
  process.kill(process.pid, name);
}

/** Hooks of work that is counted: what is done, and what there is to do. */
type Counted = (done: number, total: number) => void;

/** Seconds of work that are worth a line when it is done. */
const worthALine = 2;

/**
 * Shows the progress of a piece of work and the time that is left, and removes the bar however the work ends.
 * @param work gets what it calls as it goes on
 */
export async function withProgress<T>(label: string, work: (onProgress: Counted) => Promise<T>): Promise<T> {
  const parts = followParts();
  const started = performance.now();
  const secondsPassed = () => (performance.now() - started) / 1000;
  try {
    parts.onPart(label, false);
    const result = await work((done, total) => {
      const seconds = secondsPassed();
      parts.onProgress({ done, total, seconds, secondsLeft: (seconds / done) * (total - done) });
    });
    const seconds = secondsPassed();
    if (seconds >= worthALine) parts.onPartEnd(label, seconds);
    return result;
  } finally {
    parts.close();
  }
}

/**
 * Writes the bar's line for the terminal's width: what does not fit is left out, the least needed first, and stays out
 * while the width is the same, so that nothing jumps to and fro as numbers get longer and shorter.
 */
function fittingLine() {
  let [width, level, columns] = [0, 0, 0];
  return (
    _: CliProgress.Options,
    { value, total, progress, maxWidth }: CliProgress.Params,
    shown: Shown,
  ): string => {
    if (maxWidth !== width) [width, level, columns] = [maxWidth, 0, barColumns.most];
    const steps = total > 0 ? `${String(value).padStart(String(total).length)}/${total}` : "preparing …";
    const lines = shortened(steps, shown);
    // Not into the last column, where some terminals wrap.
    const left = () => width - 1 - lines[level].name.length - lines[level].numbers.length - 2;
    while (left() < barColumns.least && level < lines.length - 1) level++;
    columns = Math.max(barColumns.least, Math.min(columns, left()));
    const filled = Math.round(progress * columns);
    const { name, numbers } = lines[level];
    return `${name} ${"█".repeat(filled)}${"░".repeat(columns - filled)} ${numbers}`.trimStart();
  };
}

/** What stands before and behind the bar, from everything to the least. */
function shortened(steps: string, { label, loss, metric, speed, left, all }: Shown) {
  const [method] = label.split(" (");
  const [number] = label.startsWith("[") ? label.split(" ") : [""];
  return [
    [label, steps, loss, metric, speed, left, all],
    [method, steps, loss, speed, left, all],
    [number, steps, loss, left, all],
    ["", steps, left],
  ].map(([name, ...numbers]) => ({ name, numbers: numbers.filter((text) => text !== "").join("  ") }));
}

/** `42 s`, `3:07 min`, `1:02 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 100) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)} min`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))} h`;
}
