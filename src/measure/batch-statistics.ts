import { unflatten } from "../flatness/parameter-vector.ts";
import type { LossSurface, Surface } from "../flatness/surface.ts";
import { compile } from "../lower/compile.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import type { ModelToMeasure } from "./measured-model.ts";

/**
 * Measure BatchNorm's running statistics again for any weights of a model: the mean of the statistics of the full batches
 * of a surface's data.
 */
export class BatchStatistics {
  private readonly engine: Engine;
  private readonly names: readonly string[];
  private readonly batches: LossSurface["batches"];
  private readonly input: string;

  private constructor(
    engine: Engine,
    names: readonly string[],
    input: string,
    batches: LossSurface["batches"],
  ) {
    this.engine = engine;
    this.names = names;
    this.input = input;
    this.batches = batches;
  }

  /** @returns undefined for a model without BatchNorm */
  static async prepare(
    engine: Engine,
    { surface: { batches, tensors }, statistics }: Pick<ModelToMeasure, "surface" | "statistics">,
  ): Promise<BatchStatistics | undefined> {
    const [{ size }] = batches;
    const { graph, input, bufferUpdates } = statistics(size);
    if (bufferUpdates.size === 0) return undefined;
    for (const [name, value] of bufferUpdates) graph.output(`batch.${name}`, value);
    await engine.load("statistics", compile(graph, { target: await engine.target() }));
    await engine.write(tensors);
    const full = batches.filter((batch) => batch.size === size);
    return new BatchStatistics(engine, [...bufferUpdates.keys()], input, full);
  }

  /** The statistics at the weights, by the names of the running ones. */
  async at({ layout }: Surface, weights: Float64Array, signal?: AbortSignal): Promise<Tensors> {
    const sums = new Map<string, { shape: readonly number[]; sum: Float64Array }>();
    for (const { feeds } of this.batches) {
      signal?.throwIfAborted();
      const image = (await feeds())[this.input];
      const { outputs } = await this.engine.run("statistics", {
        [this.input]: image,
        ...unflatten(layout, weights),
      });
      for (const name of this.names) {
        const { data, shape } = outputs[`batch.${name}`];
        const { sum } = sums.get(name) ?? { sum: new Float64Array(data.length) };
        for (let i = 0; i < sum.length; i++) sum[i] += Number(data[i]);
        sums.set(name, { shape, sum });
      }
    }
    return Object.fromEntries(
      [...sums].map(([name, { shape, sum }]) => [
        name,
        { type: "float32", shape, data: Float32Array.from(sum, (value) => value / this.batches.length) },
      ]),
    );
  }
}
