import { UserError } from "../common/errors.ts";
import { type Split, splitOffFixed } from "../graph/fixed-part.ts";
import { elementCount, type Graph, type Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { type Engine, nextSuffix, type Tensors } from "../runtime/engine.ts";
import { type LossModel, measurementGraph, type ProgramKind, suffixes } from "./curvature-graphs.ts";

/** One program on one batch. */
export interface BatchRun {
  kind: ProgramKind;
  /** Whose derivatives are taken. */
  parameters: readonly string[];
  /** Stands for the batch: what was computed for it before is found again by it. */
  batch: object;
  size: number;
  /** The batch's own inputs, in new memory at each call. */
  feeds: () => Tensors | Promise<Tensors>;
}

/** Names in the store, by those that programs have. */
type StoredNames = Readonly<Record<string, string>>;

/**
 * The programs of a surface on one engine, each compiled when it is first run. For products with the curvature it
 * keeps, in the engine and as long as the memory allows, what does not depend on the vector, for each batch; of one
 * kind of product at a time.
 */
export class Programs {
  private readonly engine: Engine;
  private readonly build: (batchSize: number) => LossModel;
  /** Bytes that what is kept may take. */
  private readonly memory: number;
  private readonly loaded = new Set<string>();
  private readonly splits = new Map<string, Split>();
  /** What is kept now: of which kind of product, of which batches, in how many bytes. */
  private kept = { kind: "", batches: new Map<object, StoredNames>(), bytes: 0 };
  private batchCount = 0;
  /** Of what all batches share at the moment. */
  private shared: StoredNames = {};

  constructor(engine: Engine, build: (batchSize: number) => LossModel, memory: number) {
    this.engine = engine;
    this.build = build;
    this.memory = memory;
  }

  /** What the runs that follow take for all batches, in place of what the store has under these names. */
  async share(tensors: Tensors): Promise<void> {
    this.shared = renamed(Object.keys(tensors), "of all batches");
    await this.engine.write(
      Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [this.shared[name], tensor])),
    );
  }

  async run(run: BatchRun): Promise<Tensors> {
    const { kind, parameters, size, feeds } = run;
    const names = kind === "loss" ? "" : parameters.join(" ");
    const program = `${kind} ${size} ${names}`;
    if (kind === "hessian" || kind === "gauss-newton") {
      const kept = await this.keep(run, `${kind} ${names}`, program);
      if (kept) {
        const stored = { ...this.shared, ...kept };
        return (await this.engine.run(`varying ${program}`, {}, { stored })).outputs;
      }
    }
    await this.load(program, () => measurementGraph(this.build(size), kind, parameters));
    return (await this.engine.run(program, await feeds(), { stored: this.shared })).outputs;
  }

  /**
   * Names in the store of a batch's fixed part and its inputs, which are computed now if they were not; undefined where
   * there is no room for them.
   */
  private async keep(
    { kind, parameters, size, batch, feeds: feedsOf }: BatchRun,
    group: string,
    program: string,
  ): Promise<StoredNames | undefined> {
    if (this.kept.kind !== group) await this.forget(group);
    const found = this.kept.batches.get(batch);
    if (found) return found;
    let split = this.splits.get(program);
    if (!split) {
      const graph = measurementGraph(this.build(size), kind, parameters);
      const vectors = parameters.flatMap((name) => graph.inputs.get(`${name}${suffixes.vector}`) ?? []);
      split = splitGraph(graph, new Set(vectors));
      this.splits.set(program, split);
    }
    const { fixed, varying, kept } = split;
    if (kept.length === 0) return undefined;
    const feeds = await feedsOf();
    const bytes = [...kept.map(({ value }) => value), ...Object.values(feeds)].reduce(
      (sum, { type, shape }) => sum + bytesOf(type) * elementCount(shape),
      0,
    );
    if (this.kept.bytes + bytes > this.memory) return undefined;
    const stored = renamed(
      [...kept.map(({ name }) => name), ...Object.keys(feeds)],
      `of batch ${this.batchCount++}`,
    );
    await this.load(`fixed ${program}`, () => fixed);
    await this.load(`varying ${program}`, () => varying);
    await this.engine.write(
      Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [stored[name], tensor])),
    );
    const { advanced } = await this.engine.run(
      `fixed ${program}`,
      {},
      { advance: true, stored: { ...this.shared, ...stored } },
    );
    if (!advanced) {
      throw new UserError(
        "the network or its gradient is not finite on this data: the model has diverged; measure a checkpoint from before",
      );
    }
    this.kept.batches.set(batch, stored);
    this.kept.bytes += bytes;
    return stored;
  }

  /** Gives the memory of what is kept back, and begins to keep something else. */
  private async forget(kind: string): Promise<void> {
    const empty: TensorData = { type: "float32", shape: [0], data: new Float32Array(0) };
    const stored = [...this.kept.batches.values()].flatMap((names) =>
      Object.values(names).map((name) => [name, empty]),
    );
    await this.engine.write(Object.fromEntries(stored));
    this.kept = { kind, batches: new Map(), bytes: 0 };
  }

  private async load(program: string, graph: () => Graph): Promise<void> {
    if (this.loaded.has(program)) return;
    await this.engine.load(program, compile(graph(), { target: await this.engine.target() }));
    this.loaded.add(program);
  }
}

/** A program in two: `fixed` is run once for each batch and stores what is kept, `varying` for every vector. */
function splitGraph({ outputs }: Graph, varying: ReadonlySet<Value>): Split {
  const split = splitOffFixed([...outputs.values()], { varying, keep: "costly" }, "fixed/");
  for (const { name, value } of split.kept) split.fixed.output(`${name}${nextSuffix}`, value);
  for (const [index, name] of [...outputs.keys()].entries()) split.varying.output(name, split.values[index]);
  return split;
}

function renamed(names: readonly string[], addition: string): StoredNames {
  return Object.fromEntries(names.map((name) => [name, `${name} ${addition}`]));
}

function bytesOf(type: DataType): number {
  return type === "float64" || type === "int64" ? 8 : 4;
}
