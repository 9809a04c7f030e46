import { integerProbe } from "./integer-probe.ts";
import { openEngine } from "./remote.ts";

/** Whether this processor's faster kernels for 8-bit integers saturate. */
export async function integersSaturate(): Promise<boolean> {
  const engine = openEngine({ threads: 1, exactIntegers: false });
  try {
    await engine.load("product", integerProbe.model());
    const { outputs } = await engine.run("product", integerProbe.inputs());
    return !integerProbe.isExact(outputs.y);
  } finally {
    await engine.close();
  }
}
