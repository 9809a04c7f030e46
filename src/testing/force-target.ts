import { isMainThread } from "node:worker_threads";
import type { Engine } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { openEngine } from "../runtime/remote.ts";
import { blockedNodes, targets, withoutBlocks } from "./blocks.ts";

// Loaded before a test's own modules by `npm test -- --block 8|16|none`: every engine then states that target, and runs
// its programs without the operators on blocks. Without blocks a program that has one is an error.

const name = process.env.LOWLAND_TEST_BLOCK ?? "";
if (!Object.hasOwn(targets, name)) {
  throw new Error(`LOWLAND_TEST_BLOCK is "${name}"; it has to be ${Object.keys(targets).join(" or ")}`);
}
const target = targets[name as keyof typeof targets];

// An engine's own thread, which may begin with this module too, gets programs that are already rewritten.
if (isMainThread) {
  const remote = openEngine({ threads: 1 });
  force(OnnxRuntimeEngine.prototype);
  force(Object.getPrototypeOf(remote) as Engine);
  await remote.close();
}

function force(engine: Engine): void {
  const { load, target: probe } = engine;
  engine.target = async function () {
    const own = await probe.call(this);
    // Blocks are the processor's; a device has a target of its own.
    return own.lacks ? own : target;
  };
  engine.load = async function (program, model) {
    // A file at a path is somebody's own, and not compiled for a target.
    if (typeof model === "string") return load.call(this, program, model);
    const nodes = blockedCount(model);
    if (nodes > 0 && target.blockedChannels === undefined) {
      throw new Error(`program "${program}" has ${nodes} operators on blocks, and the target has no blocks`);
    }
    return load.call(this, program, nodes > 0 ? withoutBlocks(model, target.blockedChannels!) : model);
  };
}

/** Of bytes that are no model nothing is known; loading them fails by itself. */
function blockedCount(model: Uint8Array): number {
  try {
    return blockedNodes(model);
  } catch {
    return 0;
  }
}
