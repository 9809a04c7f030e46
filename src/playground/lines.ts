import type { EpochRecord, StepRecord } from "../index.web.ts";
import type { Points } from "./charts.ts";
import { type MethodName, methods } from "./methods.ts";

/** Points of a curve at most: a curve is as fine as a screen shows. */
const mostPoints = 120;

interface Curve {
  accuracy: Points;
  learned: Points;
  loss: Points;
  /** Of the loss, so that a noisy curve can be followed. */
  smoothed?: number;
}

/** The curves of every method, by epochs. */
export class Lines {
  /** Of the method that is behind. */
  steps = 0;
  /** Epochs that all methods have finished. */
  epochs = 0;
  private curves = emptyCurves();
  private stepsPerEpoch = 0;
  private readonly doneSteps = new Map<MethodName, number>();

  step(method: MethodName, { step, epoch, loss }: StepRecord): void {
    this.doneSteps.set(method, step);
    this.steps = Math.min(...methods.map(({ name }) => this.doneSteps.get(name) ?? 0));
    const curve = this.curves[method];
    curve.smoothed = curve.smoothed === undefined ? loss : 0.95 * curve.smoothed + 0.05 * loss;
    const at = this.stepsPerEpoch > 0 ? step / this.stepsPerEpoch : epoch - 1;
    curve.loss.push([at, curve.smoothed]);
    if (curve.loss.length > 2 * mostPoints) curve.loss = curve.loss.filter((_, index) => index % 2 === 0);
  }

  epoch(method: MethodName, { epoch, step, metrics }: EpochRecord): void {
    if (this.stepsPerEpoch === 0) this.learnStepsPerEpoch(step / epoch);
    const { accuracy, learned } = this.curves[method];
    if (metrics?.accuracy !== undefined) accuracy.push([epoch, metrics.accuracy]);
    if (metrics?.wrongLabelAccuracy !== undefined) learned.push([epoch, metrics.wrongLabelAccuracy]);
    this.epochs = Math.min(...methods.map(({ name }) => this.curves[name].accuracy.length));
  }

  of(quantity: "accuracy" | "learned" | "loss"): Points[] {
    return methods.map(({ name }) => this.curves[name][quantity]);
  }

  clear(): void {
    this.curves = emptyCurves();
    this.doneSteps.clear();
    this.steps = 0;
    this.epochs = 0;
    this.stepsPerEpoch = 0;
  }

  /** Before the first epoch has ended, steps have no place between its ends. */
  private learnStepsPerEpoch(steps: number): void {
    this.stepsPerEpoch = steps;
    for (const { name } of methods) {
      const { loss } = this.curves[name];
      for (const [index, point] of loss.entries()) point[0] = (index + 1) / steps;
    }
  }
}

function emptyCurves(): Record<MethodName, Curve> {
  const curve = (): Curve => ({ accuracy: [], learned: [], loss: [] });
  return { sgd: curve(), "sam-0.05": curve(), "sam-0.1": curve(), "bilateral-sam": curve() };
}
