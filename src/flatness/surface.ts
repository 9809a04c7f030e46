import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import { type LossModel, type ProgramKind, suffixes } from "./curvature-graphs.ts";
import { allFinite } from "./dense.ts";
import {
  flatten,
  type ParameterLayout,
  parameterLayout,
  partialLayout,
  unflatten,
} from "./parameter-vector.ts";
import { Programs } from "./programs.ts";

/** What flatness is measured of: a model's mean loss over a stated subset of data, around given weights. */
export interface LossSurface {
  /** Builds the mean loss of one batch of N examples, in a new graph at each call. */
  build: (batchSize: number) => LossModel;
  /** Parameters, and whatever else of the graph's inputs batches do not feed, such as running statistics. */
  tensors: Tensors;
  batches: readonly SurfaceBatch[];
  /** What has to be stated beside every number: data, subset, mode of BatchNorm, … Goes into the results as it is. */
  description?: Readonly<Record<string, string | number>>;
}

export interface SurfaceBatch {
  /** Number of examples. */
  size: number;
  /** The inputs, in new memory at each call. */
  feeds: () => Tensors | Promise<Tensors>;
}

/** A mean over the subset. */
export interface LossValue {
  loss: number;
  metrics: Record<string, number>;
  /** Of each batch, in their order. */
  batchLosses: number[];
}

export interface EvaluationOptions {
  signal?: AbortSignal;
  /** In place of the surface's tensors that are no parameters, such as running statistics. */
  tensors?: Tensors;
}

export const evaluationOptions: OptionKinds<EvaluationOptions> = { signal: "object", tensors: "object" };

export interface SurfaceOptions {
  /**
   * Bytes, of all engines together, for keeping what products with the curvature have in common: the network and its
   * gradient on each batch. Batches for which there is no room take half as long again. Default 1e9.
   */
  memory?: number;
}

/**
 * Opens a surface: compiles what is asked of it when it is first asked, spreads the batches over the engines and sums
 * up in float64, batch after batch, so that the result does not depend on how many engines there are. The engines'
 * stores are the surface's until it is no longer used; closing them is the caller's.
 *
 * One engine of one thread per core is faster than one engine of all cores.
 *
 * Throws `UserError` for an empty subset, and for weights that are not finite.
 */
export async function openSurface(
  engines: readonly Engine[],
  surface: LossSurface,
  options: SurfaceOptions = {},
): Promise<Surface> {
  const { memory = 1e9 } = readOptions("openSurface", options, { memory: "number" });
  const { batches, build, tensors, description = {} } = surface;
  if (engines.length === 0) throw new Error("a surface needs an engine");
  for (const { size } of batches) {
    if (!Number.isInteger(size) || size < 1)
      throw new UserError(`a batch of ${size} examples has no mean loss`);
  }
  requireBatches(batches);
  const model = build(batches[0].size);
  const layout = parameterLayout(model.parameters);
  const weights = flatten(layout, tensors);
  for (const engine of engines) await engine.write(tensors);
  const others = Object.fromEntries(Object.entries(tensors).filter(([name]) => !model.parameters.has(name)));
  const programs = engines.map((engine) => new Programs(engine, build, memory / engines.length));
  return new Surface({
    ...{ programs, layout, full: layout, weights, batches, description, others },
    turn: { last: Promise.resolve() },
  });
}

interface SurfaceParts {
  programs: readonly Programs[];
  /** Of the parameters that are looked at. */
  layout: ParameterLayout;
  /** Of all parameters of the model. */
  full: ParameterLayout;
  weights: Float64Array;
  batches: readonly SurfaceBatch[];
  description: Readonly<Record<string, string | number>>;
  others: Tensors;
  /** Settles when the call before is done: what its batches share is in the engines until then. */
  turn: { last: Promise<unknown> };
}

/**
 * The mean loss over a data subset as a function of a vector of parameters, with its derivatives. Vectors are
 * Float64Arrays in the order of `layout`. Every method throws the reason of an aborted `signal` before the next batch,
 * and `UserError` when a loss, gradient or product is not finite.
 */
export class Surface {
  readonly layout: ParameterLayout;
  /** The weights that the surface was opened at (of the parameters in `layout`). */
  readonly weights: Float64Array;
  /** Number of examples the means are over. */
  readonly examples: number;
  readonly description: Readonly<Record<string, string | number>>;
  private readonly parts: SurfaceParts;

  /** For `openSurface`. */
  constructor(parts: SurfaceParts) {
    this.parts = parts;
    this.layout = parts.layout;
    this.weights = parts.weights;
    this.examples = parts.batches.reduce((sum, { size }) => sum + size, 0);
    this.description = { ...parts.description, examples: this.examples };
  }

  /** What the surface was opened with besides parameters, such as running statistics. */
  get otherTensors(): Tensors {
    return this.parts.others;
  }

  get batchCount(): number {
    return this.parts.batches.length;
  }

  /** Each batch's share of the examples: what its mean counts for. */
  get shares(): number[] {
    return this.parts.batches.map(({ size }) => size / this.examples);
  }

  /** The same loss as a function of some of the parameters: the others stay where they are. */
  restrictedTo(parameters: readonly string[]): Surface {
    const layout = partialLayout(this.parts.layout, parameters);
    const weights = new Float64Array(layout.length);
    for (const part of layout.parts) {
      const { offset } = this.layout.parts.find(({ name }) => name === part.name)!;
      weights.set(this.weights.subarray(offset, offset + part.length), part.offset);
    }
    return new Surface({ ...this.parts, layout, weights });
  }

  /** The mean loss over some of the batches. */
  onBatches(indices: readonly number[]): Surface {
    const batches = indices.map((index) => this.parts.batches[index]);
    requireBatches(batches);
    return new Surface({ ...this.parts, batches });
  }

  /** Loss and metrics at the given weights, or those the surface was opened at. Loss may be infinite or NaN. */
  async evaluate(weights = this.weights, options: EvaluationOptions = {}): Promise<LossValue> {
    readOptions("evaluate", options, evaluationOptions);
    const batchLosses: number[] = [];
    const metrics: Record<string, number> = {};
    await this.overBatches("loss", weights, undefined, options, (outputs, share) => {
      for (const [name, { data }] of Object.entries(outputs)) {
        if (name === "loss") batchLosses.push(Number(data[0]));
        else metrics[name] = (metrics[name] ?? 0) + share * Number(data[0]);
      }
    });
    return { loss: this.mean(batchLosses), metrics, batchLosses };
  }

  /** Loss and gradient at the given weights, or those the surface was opened at. */
  async gradient(weights = this.weights, options: EvaluationOptions = {}) {
    readOptions("gradient", options, evaluationOptions);
    const gradient = new Float64Array(this.layout.length);
    const batchLosses: number[] = [];
    await this.overBatches("gradient", weights, undefined, options, (outputs, share) => {
      batchLosses.push(Number(outputs.loss.data[0]));
      this.accumulate(gradient, share, outputs, suffixes.gradient);
    });
    const loss = this.mean(batchLosses);
    requireFinite("the loss", [loss]);
    requireFinite("the gradient", gradient);
    return { loss, gradient, batchLosses };
  }

  /** H·v at the weights the surface was opened at. */
  hessianProduct(vector: Float64Array, options: EvaluationOptions = {}): Promise<Float64Array> {
    return this.product("hessian", vector, readOptions("hessianProduct", options, evaluationOptions));
  }

  /** Jᵀ·H_L·J·v at the weights the surface was opened at. */
  gaussNewtonProduct(vector: Float64Array, options: EvaluationOptions = {}): Promise<Float64Array> {
    readOptions("gaussNewtonProduct", options, evaluationOptions);
    return this.product("gauss-newton", vector, options);
  }

  private mean(batchValues: readonly number[]): number {
    return this.shares.reduce((sum, share, index) => sum + share * batchValues[index], 0);
  }

  private async product(kind: ProgramKind, vector: Float64Array, options: EvaluationOptions) {
    const product = new Float64Array(this.layout.length);
    await this.overBatches(kind, this.weights, vector, options, (outputs, share) =>
      this.accumulate(product, share, outputs, suffixes.product),
    );
    requireFinite(kind === "hessian" ? "a Hessian-vector product" : "a Gauss–Newton-vector product", product);
    return product;
  }

  private accumulate(sum: Float64Array, share: number, outputs: Tensors, suffix: string): void {
    for (const { name, offset, length } of this.layout.parts) {
      const data = outputs[`${name}${suffix}`].data as Float32Array;
      for (let i = 0; i < length; i++) sum[offset + i] += share * data[i];
    }
  }

  /**
   * Runs a program on every batch, when the calls before are done, and hands the outputs over in the order of the batches,
   * with their share.
   */
  private overBatches(...parameters: Parameters<Surface["overBatchesNow"]>): Promise<void> {
    const { turn } = this.parts;
    const result = turn.last.then(() => this.overBatchesNow(...parameters));
    turn.last = result.catch(() => {});
    return result;
  }

  private async overBatchesNow(
    kind: ProgramKind,
    weights: Float64Array,
    vector: Float64Array | undefined,
    { signal, tensors }: EvaluationOptions,
    receive: (outputs: Tensors, share: number) => void,
  ): Promise<void> {
    const { programs, batches, layout } = this.parts;
    const names = layout.parts.map(({ name }) => name);
    const shared = () => ({
      ...tensors,
      ...(weights === this.weights ? {} : unflatten(layout, weights)),
      ...(vector ? unflatten(layout, vector, suffixes.vector) : {}),
    });
    const early = new Map<number, Tensors>();
    let next = 0;
    const runShare = async (engineIndex: number) => {
      await programs[engineIndex].share(shared());
      for (let index = engineIndex; index < batches.length; index += programs.length) {
        signal?.throwIfAborted();
        const batch = batches[index];
        const run = { kind, parameters: names, batch, size: batch.size, feeds: batch.feeds };
        early.set(index, await programs[engineIndex].run(run));
        for (let outputs = early.get(next); outputs; outputs = early.get(++next)) {
          early.delete(next);
          receive(outputs, batches[next].size / this.examples);
        }
      }
    };
    // All are waited for, so that nothing runs on after an error.
    const ends = await Promise.allSettled(programs.map((_, engineIndex) => runShare(engineIndex)));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }
}

function requireBatches(batches: readonly SurfaceBatch[]): void {
  if (batches.length === 0) {
    throw new UserError(
      "the data subset is empty: flatness needs at least one example; choose a larger subset",
    );
  }
}

function requireFinite(what: string, values: ArrayLike<number>): void {
  if (allFinite(values)) return;
  throw new UserError(
    `${what} is not finite: the model has diverged at these weights, so there is no flatness to measure; measure a checkpoint from before`,
  );
}
