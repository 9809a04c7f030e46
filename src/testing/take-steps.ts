import type { Engine, Tensors } from "../runtime/engine.ts";
import { copied } from "../runtime/proving-engine.ts";

// Training steps on any engine, in Node and in a page: it imports nothing of Node's.

/** What three steps come to. */
export interface Steps {
  losses: number[];
  /** All weights, state and statistics after them. */
  tensors: Record<string, number[]>;
}

/** Loads a compiled training step, takes it with each of the batches, and closes the engine. */
export async function takeSteps(
  engine: Engine,
  program: Uint8Array,
  tensors: Tensors,
  batches: readonly Tensors[],
): Promise<Steps> {
  await engine.load("step", program);
  await engine.write(tensors);
  const losses = [];
  for (const batch of batches) {
    const { outputs, advanced } = await engine.run("step", copied(batch), { advance: true });
    if (!advanced) throw new Error("the step is not finite");
    losses.push(Number(outputs.loss.data[0]));
  }
  const after = Object.entries(await engine.read()).map(([name, { data }]) => [
    name,
    Array.from(data, Number),
  ]);
  await engine.close();
  return { losses, tensors: Object.fromEntries(after) };
}
