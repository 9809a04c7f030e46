// Flatness; src/index.ts offers it as `flatness`.
export type { LossModel } from "./curvature-graphs.ts";
export { type DensityOptions, operatorDensity, type SpectralDensity, spectralDensity } from "./density.ts";
export { checkDeterminism, type Determinism } from "./determinism.ts";
export { type EigenpairOptions, type Eigenpairs, type Eigenvalue, eigenpairs } from "./eigenpairs.ts";
export type { LinearOperator } from "./krylov.ts";
export {
  evenlySpaced,
  filterNormalizedDirection,
  interpolation,
  type Landscape,
  type LandscapeOptions,
  landscape,
  type PrincipalPlane,
  principalPlane,
  type TensorsAt,
} from "./landscape.ts";
export { layersOf, type ParameterLayout } from "./parameter-vector.ts";
export type { LongComputation, Progress, SavedState } from "./progress.ts";
export { type Radius, radii } from "./radius.ts";
export { type RandomSharpness, type RandomSharpnessOptions, randomSharpness } from "./random-sharpness.ts";
export type {
  CurvatureRecord,
  FlatnessRecord,
  LandscapeAxis,
  LandscapeRecord,
  LayerSharpness,
  MeasuredModel,
} from "./results.ts";
export {
  type Curvature,
  type CurvatureOptions,
  curvatureOperator,
  curvatures,
  layerSpectra,
  type Spectrum,
  spectrum,
} from "./spectrum.ts";
export { type ConfidenceInterval, confidenceInterval, type Estimate, estimate } from "./statistics.ts";
export { type LossSurface, openSurface, Surface, type SurfaceBatch } from "./surface.ts";
export {
  curvatureTrace,
  operatorTrace,
  type TraceEstimate,
  type TraceMethod,
  type TraceOptions,
  traceMethods,
} from "./trace.ts";
export {
  type BatchSharpness,
  batchSharpness,
  layerSharpness,
  type SharpnessIntervals,
  type SharpnessValues,
  type WorstCaseOptions,
  type WorstCaseSharpness,
  worstCaseSharpness,
} from "./worst-case.ts";
