import { Presets, SingleBar } from "cli-progress";
import type { RunHooks } from "../tasks/run.ts";

// What a person sees while runs go on: a live bar on a terminal, a line now and then elsewhere. All of it goes to
// standard error, so that standard output holds results and nothing else.

/** Seconds between two lines where there is no terminal. */
const lineInterval = 5;

export interface ProgressOptions {
  /** Gradient evaluations of all runs together, for the time that is left. */
  totalWork: number;
}

/** Shows the progress of one run after another. */
export class ProgressDisplay {
  private readonly totalWork: number;
  private readonly live = process.stderr.isTTY === true;
  private bar: SingleBar | undefined;
  private work = 0;
  private readonly started = performance.now();

  constructor({ totalWork }: ProgressOptions) {
    this.totalWork = totalWork;
  }

  /** Hooks that follow a run whose steps cost so many gradient evaluations each. */
  follow(label: string, evaluationsPerStep: number): Pick<RunHooks, "onStart" | "onStep" | "onEpoch"> {
    let [totalSteps, stepsPerEpoch, batchSize] = [1, 1, 1];
    let [firstStep, started, lastLine] = [0, 0, 0];
    let accuracy = "";
    return {
      onStart: (run) => {
        ({ totalSteps, stepsPerEpoch, batchSize } = run);
        this.work += run.finishedSteps * evaluationsPerStep;
        firstStep = run.finishedSteps;
        started = lastLine = performance.now();
        this.open(label, totalSteps, firstStep);
      },
      onStep: ({ step, loss }) => {
        this.work += evaluationsPerStep;
        const now = performance.now();
        const rate = ((step - firstStep) * batchSize) / ((now - started) / 1000);
        const left = ((totalSteps - step) * (now - started)) / (step - firstStep) / 1000;
        const speed = `${Math.round(rate).toLocaleString("en")} images/s`;
        const payload = { loss: `loss ${loss.toFixed(3)}`, accuracy, speed, left: duration(left) };
        if (this.bar) this.bar.update(step, { ...payload, all: this.timeLeft(now) });
        else if (now - lastLine > lineInterval * 1000) {
          lastLine = now;
          const epoch = Math.ceil(step / stepsPerEpoch);
          say(
            `${label}: step ${step}/${totalSteps} (epoch ${epoch}), ${payload.loss}${accuracy}, ${speed}, ${payload.left} left`,
          );
        }
      },
      onEpoch: ({ testAccuracy }) => {
        accuracy = `, test ${(100 * testAccuracy).toFixed(1)} %`;
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
    this.bar?.stop();
    this.bar = undefined;
  }

  private open(label: string, total: number, value: number): void {
    if (!this.live) return;
    const width = process.stderr.columns ?? 80;
    // Narrow terminals keep what matters most.
    const format =
      width >= 110
        ? `${label} {bar} {value}/{total} {loss}{accuracy} {speed} {left} left{all}`
        : `{bar} {value}/{total} {loss}{accuracy} {left} left{all}`;
    if (width < 110) say(label);
    this.bar = new SingleBar(
      {
        format,
        stream: process.stderr,
        barsize: 16,
        hideCursor: true,
        clearOnComplete: true,
        fps: 8,
        stopOnComplete: false,
      },
      Presets.shades_classic,
    );
    this.bar.start(total, value, { loss: "", accuracy: "", speed: "", left: "…", all: "" });
  }

  private timeLeft(now: number): string {
    const left = ((this.totalWork - this.work) * (now - this.started)) / this.work / 1000;
    return this.totalWork > 0 && Number.isFinite(left) ? ` (all: ${duration(left)})` : "";
  }
}

/** A line for the person at the terminal. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** `42 s`, `3:07 min`, `1:02 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 100) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)} min`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor((whole % 3600) / 60))} h`;
}
