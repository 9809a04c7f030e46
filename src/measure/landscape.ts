import { UserError } from "../common/errors.ts";
import { addScaled, norm } from "../flatness/dense.ts";
import {
  evenlySpaced,
  filterNormalizedDirection,
  interpolation,
  type Landscape,
  landscape,
  principalPlane,
  type TensorsAt,
} from "../flatness/landscape.ts";
import { flatten } from "../flatness/parameter-vector.ts";
import type { LandscapeAxis, LandscapeRecord } from "../flatness/results.ts";
import { spectrum } from "../flatness/spectrum.ts";
import type { Surface } from "../flatness/surface.ts";
import type { PerturbedForm } from "../quantization/choices.ts";
import { readEpochWeights } from "../runs/run-folder.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { BatchStatistics } from "./batch-statistics.ts";
import type { Surfaces } from "./flatness.ts";
import type { ModelToMeasure } from "./measured-model.ts";
import type { MeasurementCache, Part, PartHooks } from "./measurement-cache.ts";

/** What directions a landscape can be seen along. */
export const landscapeDirections = ["random", "eigenvectors", "trajectory"] as const;

export interface LandscapeRequest {
  kind: "line" | "plane";
  along: (typeof landscapeDirections)[number];
  /** Another model of the same network, to go to; then there is one line, from 0 (these weights) to 1 (those). */
  to?: { name: string; tensors: Tensors; fingerprint: string };
  /** Along each axis. */
  points: number;
  /** Coordinates from −range to range; of a trajectory and between models they follow from where the models are. */
  range: number;
  /** Measure BatchNorm's statistics again at each point. Between models that is a second line. */
  statistics?: BatchStatistics;
  /** Of a quantized model: which weights are moved. */
  perturbed?: PerturbedForm;
  /** The run's folder, for its trajectory. */
  run?: string;
  seed: number;
}

/** How far a line between models goes on beyond both, and a plane beyond its trajectory. */
const margin = 0.25;

/**
 * Loss and metrics on a line or plane through a model's weights, each part kept in the cache.
 * Throws `UserError` for models that do not belong together, and for a run without weights of its epochs.
 */
export async function measureLandscape(
  { identity }: Pick<ModelToMeasure, "identity">,
  { surface, smooth = surface }: Surfaces,
  cache: MeasurementCache,
  request: LandscapeRequest,
  hooks: PartHooks,
): Promise<LandscapeRecord> {
  let seconds = 0;
  const measure = async <T extends object>(part: Part<T>) => {
    const kept = await cache.measure(part, hooks);
    seconds += kept.seconds;
    return kept;
  };
  const { points, range, statistics, seed, to } = request;
  // What cannot be seen is refused before anything is measured.
  if (!to) checkEigenvectors(request);
  const epochWeights = to ? undefined : await trajectoryWeights(request);
  const reestimatedTensors = (own: { signal?: AbortSignal }): TensorsAt | undefined =>
    statistics && ((weights) => statistics.at(surface, weights, own.signal));
  const { result: start } = await measure({
    label: "loss",
    settings: {},
    compute: ({ signal }) => surface.evaluate(surface.weights, { signal }),
  });
  const finish = (
    found: Pick<LandscapeRecord, "axes" | "grid"> & Partial<LandscapeRecord>,
  ): LandscapeRecord => ({
    type: "landscape",
    kind: found.axes.length === 1 ? "line" : "plane",
    along: to ? "models" : request.along,
    ...identity,
    parameters: surface.layout.length,
    loss: start.loss,
    metrics: start.metrics,
    createdAt: new Date().toISOString(),
    seconds,
    ...found,
  });

  if (to) {
    const coordinates = evenlySpaced(-margin, 1 + margin, points);
    const line = async (label: string, tensorsAt: typeof reestimatedTensors) =>
      (
        await measure<Landscape>({
          label,
          settings: { to: to.fingerprint, coordinates },
          compute: (own) =>
            interpolation(surface, to.tensors, { ...own, coordinates, tensorsAt: tensorsAt(own) }),
        })
      ).result;
    const difference = flatten(surface.layout, to.tensors);
    addScaled(difference, -1, surface.weights);
    const axis: LandscapeAxis = {
      kind: "model",
      number: 1,
      label: `to ${to.name}`,
      unit: "the other model is at 1",
      length: norm(difference),
    };
    const grid = await line("line between models", () => undefined);
    const reestimated = statistics && (await line("line, statistics re-estimated", reestimatedTensors));
    return finish({ axes: [axis], grid, reestimated });
  }

  const count = request.kind === "line" ? 1 : 2;
  if (epochWeights)
    return finish(await trajectoryPlane(surface, epochWeights, request, measure, reestimatedTensors));
  const { axes, directions } =
    request.along === "random"
      ? randomDirections(surface, seed, count)
      : await eigenvectorDirections(smooth, seed, count, measure);
  const coordinates = directions.map(() => evenlySpaced(-range, range, points));
  const { result: grid } = await measure<Landscape>({
    label: `${request.along} ${request.kind}`,
    settings: { along: request.along, coordinates, seed, reestimated: statistics !== undefined },
    compute: (own) =>
      landscape(surface, { ...own, directions, coordinates, tensorsAt: reestimatedTensors(own) }),
  });
  return finish({ axes, grid });
}

/** @throws UserError for directions that the model does not have */
function checkEigenvectors({ along, perturbed }: LandscapeRequest): void {
  if (along === "eigenvectors" && perturbed === "latent")
    throw new UserError(
      "eigenvectors are those of the float network with the quantized weights, which has other weights than the latent ones; leave --perturb latent out, or choose --along random",
    );
}

type EpochWeights = Awaited<ReturnType<typeof readEpochWeights>>;

/**
 * The weights that a trajectory goes through; nothing for other directions.
 * @throws UserError for a model without a trajectory
 */
async function trajectoryWeights({
  kind,
  along,
  run,
  perturbed,
}: LandscapeRequest): Promise<EpochWeights | undefined> {
  if (along !== "trajectory") return undefined;
  if (kind === "line") throw new UserError("a trajectory is projected on a plane; leave --line out");
  if (run === undefined) {
    throw new UserError(
      "a trajectory is that of a run; name a run folder that was trained with --keep-weights",
    );
  }
  if (perturbed === "quantized")
    throw new UserError(
      "a run keeps the float weights of its epochs, not their integers; see the trajectory with --perturb latent",
    );
  return readEpochWeights(run);
}

type Measure = <T extends object>(part: Part<T>) => Promise<{ result: T; tensors: Tensors }>;

interface Directions {
  axes: LandscapeAxis[];
  directions: Float64Array[];
}

function randomDirections(surface: Surface, seed: number, count: number): Directions {
  const directions = Array.from({ length: count }, (_, index) =>
    filterNormalizedDirection(surface, seed, index),
  );
  return {
    directions,
    axes: directions.map((direction, index) => ({
      kind: "random",
      number: index + 1,
      label: `random direction ${index + 1}`,
      unit: "each filter's own norm",
      length: norm(direction),
    })),
  };
}

async function eigenvectorDirections(
  surface: Surface,
  seed: number,
  count: number,
  measure: Measure,
): Promise<Directions> {
  let vectors: Float64Array[] = [];
  const { result, tensors } = await measure({
    label: "eigenvectors",
    settings: { count, seed },
    compute: async (own) => {
      const found = await spectrum(surface, { ...own, largest: count, vectors: true, seed });
      vectors = found.vectors!.largest;
      return { values: found.largest };
    },
    tensors: () =>
      Object.fromEntries(
        vectors.map((vector, index) => [
          String(index),
          { type: "float64", shape: [vector.length], data: vector.slice() },
        ]),
      ),
  });
  return {
    directions: result.values.map((_, index) => tensors[String(index)].data as Float64Array),
    axes: result.values.map(({ value }, index) => ({
      kind: "eigenvector",
      number: index + 1,
      eigenvalue: value,
      label: `eigenvector ${index + 1} (λ = ${Number(value.toPrecision(3))})`,
      unit: "‖ε‖ = 1",
      length: 1,
    })),
  };
}

async function trajectoryPlane(
  surface: Surface,
  kept: EpochWeights,
  { points, statistics }: LandscapeRequest,
  measure: Measure,
  reestimatedTensors: (own: { signal?: AbortSignal }) => TensorsAt | undefined,
): Promise<Pick<LandscapeRecord, "axes" | "grid" | "trajectory">> {
  const differences = kept.map(({ tensors }) => {
    const difference = flatten(surface.layout, tensors);
    addScaled(difference, -1, surface.weights);
    return difference;
  });
  const plane = principalPlane(differences);
  const coordinates = [0, 1].map((axis) => {
    const along = plane.coordinates.map((at) => at[axis]);
    const [low, high] = [Math.min(...along), Math.max(...along)];
    const beyond = margin * (high - low);
    return evenlySpaced(low - beyond, high + beyond, points);
  });
  const epochs = kept.map(({ epoch }) => epoch);
  const settings = { epochs, coordinates, reestimated: statistics !== undefined };
  const { result: grid } = await measure<Landscape>({
    label: "trajectory plane",
    settings,
    compute: (own) =>
      landscape(surface, {
        ...own,
        directions: plane.directions,
        coordinates,
        tensorsAt: reestimatedTensors(own),
      }),
  });
  const { result: ownLosses } = await measure({
    label: "loss and metrics of the epochs",
    settings,
    compute: async ({ signal }) => {
      const values = [];
      for (const { tensors } of kept) {
        const others = Object.fromEntries(
          Object.keys(surface.otherTensors).flatMap((name) => (tensors[name] ? [[name, tensors[name]]] : [])),
        );
        const { loss, metrics } = await surface.evaluate(flatten(surface.layout, tensors), {
          signal,
          tensors: others,
        });
        values.push({ loss, metrics });
      }
      return { values };
    },
  });
  return {
    axes: plane.explained.map((share, index) => ({
      kind: "principal-component",
      number: index + 1,
      explained: share,
      label: `principal component ${index + 1} (${(100 * share).toFixed(1)} %)`,
      unit: "‖ε‖ = 1",
      length: 1,
    })),
    grid,
    trajectory: {
      points: epochs.map((epoch, index) => ({
        epoch,
        at: plane.coordinates[index],
        ...ownLosses.values[index],
      })),
      explained: plane.explained,
    },
  };
}
