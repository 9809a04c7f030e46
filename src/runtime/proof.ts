import type { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { agree } from "./agreement.ts";
import type { Engine, RunResult, Tensors } from "./engine.ts";

// A device has to show that it computes training steps as the CPU does, with the very programs and data of the run.

/** What a training run begins with. */
export interface Trial {
  /** Every kind of its steps. */
  steps: readonly { step: string; graph: Graph }[];
  /** What is stored before the first step. */
  tensors: Tensors;
  /** What a step is given, in memory of its own at each call. */
  feeds: (step: string) => Tensors;
}

export interface ProofOptions {
  /** Whether it also has to be faster than the CPU with the programs that suit that best. Default false. */
  mustBeFaster?: boolean;
}

/** Largest difference of the changes that a step makes to the weights and its state, as one vector, relative to their length. */
const changeAgreement = 0.05;

/** Steps that are timed of each kind. */
const timedSteps = 3;

/**
 * Takes one step of each kind on both engines, and leaves the programs and the trial's tensors in both.
 * @returns what the device does wrong, as the end of a sentence that begins with its name; nothing where it passes
 */
export async function proveSteps(
  device: Engine,
  cpu: Engine,
  { steps, tensors, feeds }: Trial,
  { mustBeFaster = false }: ProofOptions = {},
): Promise<string | undefined> {
  for (const { step, graph } of steps) {
    const program = compile(graph, { target: await device.target() });
    const results: RunResult[] = [];
    const stored: Tensors[] = [];
    for (const engine of [cpu, device]) {
      await engine.load(step, program);
      await engine.write(tensors);
      results.push(await engine.run(step, feeds(step), { advance: true }));
      stored.push(await engine.read(Object.keys(tensors)));
      await engine.write(tensors);
    }
    const fault = differenceOfSteps(results, stored, tensors);
    if (fault !== undefined) return `computes a training step wrong: ${fault}`;
  }
  return mustBeFaster ? slowness(device, cpu, { steps, feeds }) : undefined;
}

function differenceOfSteps(
  [expected, got]: readonly RunResult[],
  [stored, storedByDevice]: readonly Tensors[],
  before: Tensors,
): string | undefined {
  for (const [output, what] of [
    ["loss", "its loss"],
    ["direction_norm", "the norm of its direction"],
  ]) {
    const [a, b] = [got, expected].map(({ outputs }) => Number(outputs[output]?.data[0]));
    if (!agree(a, b)) return `${what} is ${digits(a)}, and on the CPU ${digits(b)}`;
  }
  if (got.advanced !== expected.advanced) {
    return `its next weights are ${got.advanced ? "" : "not "}finite, and on the CPU they are${got.advanced ? " not" : ""}`;
  }
  const difference = distance(storedByDevice, stored) / distance(stored, before);
  // Of a step that changes nothing there is none.
  return difference > changeAgreement
    ? `its change of weights and state differs from the CPU's by ${(100 * difference).toPrecision(3)} %`
    : undefined;
}

/** As many digits as float32 has. */
const digits = (value: number) => Number(value.toPrecision(7));

function distance(a: Tensors, b: Tensors): number {
  let squares = 0;
  for (const [name, { data }] of Object.entries(a)) {
    for (let index = 0; index < data.length; index++)
      squares += (Number(data[index]) - Number(b[name].data[index])) ** 2;
  }
  return Math.sqrt(squares);
}

/** Whether the device is slower than the CPU with programs for the CPU's own target. */
async function slowness(
  device: Engine,
  cpu: Engine,
  { steps, feeds }: Omit<Trial, "tensors">,
): Promise<string | undefined> {
  const target = await cpu.target();
  for (const { step, graph } of steps) await cpu.load(step, compile(graph, { target }));
  const [byCpu, byDevice] = [await timeOf(cpu, { steps, feeds }), await timeOf(device, { steps, feeds })];
  if (byDevice < byCpu) return undefined;
  return `takes ${byDevice.toPrecision(3)} ms for a training step, and the CPU ${byCpu.toPrecision(3)} ms`;
}

/** Milliseconds of the steps together, the fastest of each; the first step is not timed. */
async function timeOf(engine: Engine, { steps, feeds }: Omit<Trial, "tensors">): Promise<number> {
  let total = 0;
  for (const { step } of steps) {
    const times = [];
    for (let round = 0; round <= timedSteps; round++) {
      const inputs = feeds(step);
      const started = performance.now();
      await engine.run(step, inputs);
      times.push(performance.now() - started);
    }
    total += Math.min(...times.slice(1));
  }
  return total;
}
