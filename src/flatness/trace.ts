import { type OptionKinds, readOptions } from "../common/options.ts";
import { type Random, randomStream } from "../common/random.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { Basis } from "./basis.ts";
import { dot, norm, scale } from "./dense.ts";
import type { LinearOperator } from "./krylov.ts";
import {
  type LongComputation,
  longComputation,
  progressReporter,
  requireSameSettings,
  requireWhole,
  type SavedState,
} from "./progress.ts";
import {
  type CurvatureOptions,
  curvatureOperator,
  curvatureOptions,
  type Measured,
  measured,
} from "./spectrum.ts";
import { estimate } from "./statistics.ts";
import type { Surface } from "./surface.ts";

export const traceMethods = ["hutch++", "hutchinson"] as const;
export type TraceMethod = (typeof traceMethods)[number];

export interface TraceEstimate {
  trace: number;
  /** Of `trace`, from the spread of the random samples. */
  standardError: number;
  method: TraceMethod;
  /** Random samples behind the standard error. */
  samples: number;
  /** Multiplications by the matrix. */
  products: number;
  seed: number;
}

export interface TraceOptions extends LongComputation {
  /** Default `"hutch++"`. */
  method?: TraceMethod;
  /** Multiplications by the matrix: for Hutch++ divided into three equal parts. Default 60. */
  products?: number;
  seed?: number;
}

const traceOptions: OptionKinds<TraceOptions> = {
  ...longComputation,
  method: traceMethods,
  products: "number",
  seed: "number",
};

/** The trace of the loss's curvature over the surface's data subset; see `operatorTrace`. */
export async function curvatureTrace(
  surface: Surface,
  options: TraceOptions & CurvatureOptions = {},
): Promise<TraceEstimate & Measured> {
  readOptions("curvatureTrace", options, { ...traceOptions, ...curvatureOptions });
  const { curvature, ...own } = options;
  const operator = curvatureOperator(surface, { curvature, signal: own.signal });
  return {
    ...measured(surface, { curvature }),
    ...(await operatorTrace(operator, surface.layout.length, own)),
  };
}

/**
 * The trace of a symmetric matrix A from products with random vectors of ±1, unbiased.
 *
 * `"hutchinson"` (Hutchinson 1989): the mean of zᵀAz.
 *
 * `"hutch++"` (Meyer, Musco, Musco & Woodruff 2021, arXiv 2010.09649): with Q an orthonormal basis of A·S for random
 * S, the trace of QᵀAQ exactly, and Hutchinson's mean for what is orthogonal to Q. Where few eigenvalues hold most
 * of the trace, Q takes them out and the error is far smaller for the same number of products.
 *
 * Throws `UserError` when there are too few products for a standard error.
 */
export async function operatorTrace(
  operator: LinearOperator,
  length: number,
  options: TraceOptions = {},
): Promise<TraceEstimate> {
  readOptions("operatorTrace", options, traceOptions);
  const { method = "hutch++", products: asked = 60, seed = 0, state, signal } = options;
  const parts = method === "hutch++" ? 3 : 1;
  requireWhole(`the number of products for ${method}`, asked, 2 * parts);
  const samples = Math.floor(asked / parts);
  const sketched = method === "hutch++" ? Math.min(samples, length) : 0;
  const total = 2 * sketched + samples;
  const settings = { computation: "trace", method, parameters: length, products: asked, seed };
  const basis = new Basis(length, "float64");
  let forms: number[] = [];
  let done = 0;
  if (state) {
    requireSameSettings(state, settings);
    basis.load(state.tensors.basis.data as Float64Array);
    forms = Array.from(state.tensors.forms.data as Float64Array);
    done = Number(state.settings.done);
  }
  const report = progressReporter(options, done, () => saved(settings, done, basis, forms));
  while (done < total) {
    signal?.throwIfAborted();
    if (done < sketched) {
      const image = (await operator(randomSigns(length, randomStream(seed, "trace sketch", done)))).slice();
      const before = norm(image);
      basis.orthogonalize(image);
      const rest = norm(image);
      // A sketch that leads nowhere new has nothing to add; its place is taken by zeros.
      basis.push(rest > 1e-10 * before ? scale(image, 1 / rest) : image.fill(0));
    } else {
      const index = done - 2 * sketched;
      const vector =
        index < 0
          ? basis.vector(done - sketched)
          : randomSigns(length, randomStream(seed, "trace sample", index));
      if (index >= 0) basis.orthogonalize(vector);
      forms.push(dot(vector, await operator(vector)));
    }
    await report(++done, total);
  }
  const exact = forms.slice(0, sketched).reduce((sum, form) => sum + form, 0);
  const { mean, standardError } = estimate(forms.slice(sketched));
  return { trace: exact + mean, standardError, method, samples, products: total, seed };
}

/** A vector of −1 and 1, each with probability ½ (Rademacher). */
function randomSigns(length: number, random: Random): Float64Array {
  return Float64Array.from({ length }, () => (random.uniform() < 0.5 ? -1 : 1));
}

function saved(
  settings: SavedState["settings"],
  done: number,
  basis: Basis,
  forms: readonly number[],
): SavedState {
  return {
    settings: { ...settings, done },
    tensors: {
      basis: { type: "float64", shape: [basis.size, basis.length], data: basis.toArray() } as TensorData,
      forms: { type: "float64", shape: [forms.length], data: Float64Array.from(forms) },
    },
  };
}
