import type { OptimizerConfig } from "../optim/optimizer.ts";
import type { TaskRecord } from "../train/task-record.ts";
import type { SpectralDensity } from "./density.ts";
import type { Determinism } from "./determinism.ts";
import type { Landscape } from "./landscape.ts";
import type { RandomSharpness } from "./random-sharpness.ts";
import type { Curvature, Spectrum } from "./spectrum.ts";
import type { TraceEstimate } from "./trace.ts";
import type { BatchSharpness, WorstCaseSharpness } from "./worst-case.ts";

/**
 * What measurements write: `flatness.json` and `landscape.json`. Writers and readers (tables, pictures, other
 * programs) share these types and nothing else.
 *
 * JSON has no infinity and no NaN: a number that is not finite (the loss far from the weights, an error that one value
 * does not have) is `null` in the file.
 */

/** What was measured of what. */
export interface MeasuredModel {
  /** As a reader would name it: of a run its optimizer and folder, of a file its name. */
  name: string;
  /** Of a run: its name, and its optimizer as `run.json` has it. */
  run?: string;
  optimizer?: OptimizerConfig;
  /** Path of the ONNX file. */
  model: string;
  parameters: number;
  /** Data set, test or train, number of examples, batch size, mode of BatchNorm, loss. Goes beside every number. */
  description: Readonly<Record<string, string | number>>;
  /** The kind of problem: what metrics are called and how they are shown. */
  task: TaskRecord;
  /** Mean loss, and means of the task's metrics by name, over the subset at the weights. */
  loss: number;
  metrics: Record<string, number>;
  /** SHA-256 of model and data, to know results that belong together by. */
  fingerprints: { model: string; data: string };
  createdAt: string;
  /** Seconds of computing; what was found in the cache is not counted again. */
  seconds: number;
}

/** `flatness.json`. Parts that were not asked for are absent. */
export interface FlatnessRecord extends MeasuredModel {
  type: "flatness";
  determinism: Determinism;
  /** One entry for each radius and ρ. */
  sharpness?: WorstCaseSharpness[];
  /** The loss in random directions, one entry for each radius and ρ. */
  randomSharpness?: RandomSharpness[];
  /** The sharpness of each batch's own loss (m-sharpness), one entry for each radius and ρ. */
  batchSharpness?: BatchSharpness[];
  layerSharpness?: LayerSharpness[];
  /** Measurements of the Hessian, and of its Gauss–Newton part. */
  curvature: Partial<Record<Curvature, CurvatureRecord>>;
}

/** Only one layer's parameters are perturbed. */
export interface LayerSharpness {
  layer: string;
  parameters: number;
  sharpness: WorstCaseSharpness[];
}

export interface CurvatureRecord {
  spectrum?: Spectrum;
  trace?: TraceEstimate;
  density?: SpectralDensity;
  /** Eigenvalues of each layer's diagonal block. */
  layers?: { layer: string; parameters: number; spectrum: Spectrum }[];
}

/** One axis of a line or a plane. */
export interface LandscapeAxis {
  /** How the axis was chosen, and which of its kind it is, from 1. */
  kind: "random" | "eigenvector" | "model" | "principal-component";
  number: number;
  /** Of an eigenvector: its eigenvalue. */
  eigenvalue?: number;
  /** Of a principal component: its share of the trajectory's variance. */
  explained?: number;
  /** Such as "random direction 1, filter-normalized", "eigenvector 1 (λ = 23.1)", "to runs/sam". */
  label: string;
  /** What 1 on the axis is, such as "each filter's own length" or "the other model". */
  unit: string;
  /** Length of the direction ‖d‖₂. */
  length: number;
}

/** `landscape.json`: loss and metrics on a line or a plane through the weights (coordinates 0). */
export interface LandscapeRecord extends MeasuredModel {
  type: "landscape";
  kind: "line" | "plane";
  /** How the directions were chosen. */
  along: "random" | "eigenvectors" | "models" | "trajectory";
  /** One on a line, two on a plane, in the order of the coordinates. */
  axes: LandscapeAxis[];
  /**
   * Coordinates along each axis; `loss` and each of `metrics` at each point of the grid, the second
   * coordinate changing fastest; `standardError` of L(point) − L(weights) from the spread between batches.
   */
  grid: Landscape;
  /** Between two models: the same line with BatchNorm's statistics re-estimated at each point. */
  reestimated?: Landscape;
  /** The weights at the end of each epoch (0: before the first), projected on the axes. */
  trajectory?: {
    points: { epoch: number; at: number[]; loss: number; metrics: Record<string, number> }[];
    /** Share of the trajectory's variance along each axis. */
    explained: number[];
  };
}
