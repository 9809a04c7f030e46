import {
  classificationSurface,
  type DatasetPair,
  flatness,
  nn,
  openEngine,
  type Tensors,
} from "../index.web.ts";
import type { Settings } from "./settings.ts";

/** Test images that losses and curvatures are of. */
const images = 250;
/** Points along each axis of a landscape. */
const points = 15;

interface TrainedNetwork {
  settings: Settings;
  data: DatasetPair;
  tensors: Tensors;
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
  { settings, data: { test }, tensors }: TrainedNetwork,
  use: (surface: flatness.Surface) => Promise<T>,
): Promise<T> {
  const { channels, height, width, classNames } = test;
  const create = { mlp: nn.mlp, cnn: nn.cnn }[settings.network];
  const layer = create({ channels, height, width, classes: classNames.length });
  const engine = openEngine({ threads: 1 });
  try {
    const of = classificationSurface({ layer }, tensors, test, { images: Math.min(images, test.count) });
    return await use(await flatness.openSurface([engine], of, { memory: 1e8 }));
  } finally {
    await engine.close();
  }
}
