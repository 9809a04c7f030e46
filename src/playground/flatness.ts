import { type DatasetPair, flatness, openEngine } from "../index.web.ts";
import { taskSurface } from "../tasks/task-surface.ts";
import { openTrained } from "./network-file.ts";

/** Test images that losses and curvatures are of. */
const images = 250;
/** Points along each axis of a landscape. */
const points = 15;

interface TrainedNetwork {
  data: DatasetPair;
  /** Its ONNX file. */
  model: Uint8Array;
}

/** The test loss around the weights, along two random directions that are the same for all networks, each filter at its length. */
export async function planeOf(network: TrainedNetwork): Promise<{ loss: number[]; points: number }> {
  return withSurface(network, async (surface) => {
    const directions = [0, 1].map((axis) => flatness.filterNormalizedDirection(surface, 1, axis));
    const axis = flatness.evenlySpaced(-1, 1, points);
    const { loss } = await flatness.landscape(surface, { directions, coordinates: [axis, axis] });
    return { loss, points };
  });
}

/** The largest eigenvalue of the Hessian of the test loss. */
export function largestCurvature(network: TrainedNetwork): Promise<number> {
  return withSurface(network, async (surface) => {
    const { largest } = await flatness.spectrum(surface, { largest: 1, tolerance: 1e-2 });
    return largest[0].value;
  });
}

async function withSurface<T>(
  { data: { train, test }, model }: TrainedNetwork,
  use: (surface: flatness.Surface) => Promise<T>,
): Promise<T> {
  const { network, tensors, task } = await openTrained(model, train);
  const engine = openEngine({ threads: 1 });
  try {
    const examples = Math.min(images, test.count);
    const of = taskSurface(network, tensors, { task, source: test }, { examples });
    return await use(await flatness.openSurface([engine], of, { memory: 1e8 }));
  } finally {
    await engine.close();
  }
}
