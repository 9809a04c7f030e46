import { readOptions } from "../common/options.ts";
import { type Attributes, describe, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { and, isInf, less, lessOrEqual, not, where } from "./comparison.ts";
import { cast, tanh } from "./elementwise.ts";
import { gather } from "./indexing.ts";
import { split } from "./layout.ts";
import { matMul, transposeLast } from "./linear.ts";
import { concat, expand, reshape, transpose } from "./movement.ts";
import {
  apply,
  composeOperator,
  float,
  floatAttribute,
  int,
  intAttribute,
  normalizeAxes,
  operatorError,
  requireAtMost,
  stringAttribute,
} from "./operator.ts";
import { reduceMax } from "./reduction.ts";
import { slice } from "./slicing.ts";
import { softmax } from "./softmax.ts";

// What ONNX has for transformers: attention (Vaswani et al. 2017) with grouped heads (Ainslie et al. 2023), rotary
// positions (Su et al. 2021), and the cache of keys and values.

composeOperator("Attention", {
  since: 25,
  build: ([query, key, values, mask, pastKey, pastValue, lengths], attributes) => {
    const q = inHeads(query!, intAttribute(attributes, "q_num_heads", 0));
    const [newKey, newValue] = [key!, values!].map((value) =>
      inHeads(value, intAttribute(attributes, "kv_num_heads", 0)),
    );
    const k = pastKey ? concat([pastKey, newKey], 2) : newKey;
    const v = pastValue ? concat([pastValue, newValue], 2) : newValue;
    const past = pastKey?.shape[2] ?? 0;
    const { y, stages } = attend(q, k, v, { mask, past, lengths, attributes });
    const folded = query!.shape.length === 3;
    const [count, heads, times, width] = y.shape;
    const result = folded ? reshape(transpose(y, [0, 2, 1, 3]), [count, times, heads * width]) : y;
    return [result, k, v, stages[intAttribute(attributes, "qk_matmul_output_mode", 0)]];
  },
});

export interface AttentionOptions {
  /** Truths (true: may be seen) or numbers that are added to the scores; broadcast to [N, heads, queries, keys]. */
  mask?: Value;
  /** Each query sees the keys up to its own place. Default false. */
  causal?: boolean;
  /** How far before and after its own place each query sees keys. Default: without limit. */
  window?: readonly [before: number, after: number];
  /** Of the scores; default 1/√width. */
  scale?: number;
}

/**
 * softmax(scale·q·kᵀ)·v for q [N, heads, queries, width] and k, v [N, groups, keys, …], where each group of heads shares
 * its keys: PyTorch's `scaled_dot_product_attention`.
 */
export function attention(q: Value, k: Value, v: Value, options: AttentionOptions = {}): Value {
  const kinds = { mask: "object", causal: "boolean", window: "list", scale: "number" } as const;
  const { mask, causal = false, window, scale } = readOptions("attention", options, kinds);
  return apply("Attention", [q, k, v, mask], {
    is_causal: int(causal ? 1 : 0),
    ...(window ? { left_window_size: int(window[0]), right_window_size: int(window[1]) } : {}),
    ...(scale === undefined ? {} : { scale: float(scale) }),
  })[0];
}

/** [N, T, heads·width] as [N, heads, T, width]; what has 4 axes is so already. */
function inHeads(x: Value, heads: number): Value {
  if (x.shape.length === 4) return x;
  const [count, times, width] = x.shape;
  if (x.shape.length !== 3 || !(width % heads === 0)) {
    throw operatorError("Attention", x, `${describe(x)} does not divide into ${heads} heads`);
  }
  return transpose(reshape(x, [count, times, heads, width / heads]), [0, 2, 1, 3]);
}

interface AttentionSettings {
  mask: Value | undefined;
  /** Keys from before the first query. */
  past: number;
  /** How many keys are there in each example; the others are padding. */
  lengths: Value | undefined;
  attributes: Attributes;
}

/** q [N, H, S, D] over k, v [N, H/groups, T, …], and the scores on their way: raw, capped, masked, as shares. */
function attend(q: Value, k: Value, v: Value, settings: AttentionSettings) {
  const { attributes } = settings;
  const [count, heads, queries, width] = q.shape;
  const [, groups, keys, depth] = k.shape;
  if (heads % groups !== 0 || width !== depth) {
    throw operatorError(
      "Attention",
      q,
      `queries ${describe(q)} do not go with keys ${describe(k)} [N, heads, times, width]`,
    );
  }
  requireAtMost("Attention", q, queries + keys, "times");
  const grouped = reshape(q, [count, groups, heads / groups, queries, width]);
  const scale = floatAttribute(attributes, "scale", 1 / Math.sqrt(width));
  const product = matMul(grouped, transposeLast(reshape(k, [count, groups, 1, keys, width])));
  const raw = mul(reshape(product, [count, heads, queries, keys]), scale);
  const cap = floatAttribute(attributes, "softcap", 0);
  const capped = cap > 0 ? mul(tanh(mul(raw, 1 / cap)), cap) : raw;
  const { allowed, bias } = readMask(q, queries, keys, settings);
  const scores = bias ? add(capped, bias) : capped;
  const masked = allowed ? where(allowed, scores, Number.NEGATIVE_INFINITY) : scores;
  const shares = allowed ? maskedSoftmax(scores, allowed) : softmax(scores);
  const [, , , valueWidth] = v.shape;
  const mixed = matMul(
    reshape(shares, [count, groups, heads / groups, queries, keys]),
    reshape(v, [count, groups, 1, keys, valueWidth]),
  );
  return { y: reshape(mixed, [count, heads, queries, valueWidth]), stages: [raw, capped, masked, shares] };
}

/** Softmax over what is allowed; a row in which nothing is has zeros. */
function maskedSoftmax(scores: Value, allowed: Value): Value {
  const lowest = scores.type === "float64" ? -Number.MAX_VALUE : -3.4e38;
  const everywhere = expand(allowed, scores.shape);
  const some = reduceMax(cast(everywhere, scores.type), [scores.shape.length - 1], true);
  return mul(softmax(where(everywhere, scores, lowest)), some);
}

/** Which keys each query may see (undefined: all), and what is added to the scores. */
function readMask(q: Value, queries: number, keys: number, settings: AttentionSettings) {
  const { mask, past, lengths, attributes } = settings;
  const { graph } = q;
  const count = (from: number, to: number, shape: readonly number[]) =>
    graph.constant(
      tensorData(
        Array.from({ length: to - from }, (_, index) => from + index),
        shape,
        "int64",
      ),
    );
  const conditions: Value[] = [];
  const column = count(0, keys, [1, 1, 1, keys]);
  const known = lengths && reshape(cast(lengths, "int64"), [q.shape[0], 1, 1, 1]);
  // The place of each query among the keys.
  const own = () => {
    const row = count(0, queries, [1, 1, queries, 1]);
    return add(row, known && !past ? sub(known, queries) : past);
  };
  if (intAttribute(attributes, "is_causal", 0) === 1) conditions.push(lessOrEqual(column, own()));
  // −1 is no window.
  const left = intAttribute(attributes, "left_window_size", -1);
  const right = intAttribute(attributes, "right_window_size", -1);
  if (left >= 0) conditions.push(lessOrEqual(sub(own(), left), column));
  if (right >= 0) conditions.push(lessOrEqual(column, add(own(), right)));
  if (known) conditions.push(less(column, known));
  let bias: Value | undefined;
  if (mask) {
    const width = mask.shape.at(-1)!;
    const missing = [...mask.shape.slice(0, -1), keys - width];
    const filler = graph.constant({ type: "bool", shape: [], data: new Uint8Array([0]) });
    const fill = mask.type === "bool" ? filler : graph.scalar(0, mask.type);
    const whole = width < keys ? concat([mask, expand(fill, missing)], mask.shape.length - 1) : mask;
    if (mask.type === "bool") {
      conditions.push(whole);
    } else {
      // Minus infinity is a mask too.
      const infinite = isInf(whole);
      conditions.push(not(infinite));
      bias = where(infinite, 0, whole);
      if (width < keys) conditions.push(less(column, width));
    }
  }
  const allowed = conditions.reduce<Value | undefined>((all, one) => (all ? and(all, one) : one), undefined);
  return { allowed, bias };
}

composeOperator("RotaryEmbedding", {
  since: 23,
  build: ([x, cosines, sines, positions], attributes) => {
    const heads = intAttribute(attributes, "num_heads", 0);
    const folded = x!.shape.length === 3;
    const [count, ...sizes] = x!.shape;
    // [N, T, heads, width]
    const inner = folded
      ? reshape(x!, [count, sizes[0], heads, sizes[1] / heads])
      : transpose(x!, [0, 2, 1, 3]);
    const rotated = rotate(inner, cosines!, sines!, positions, attributes);
    return [folded ? reshape(rotated, x!.shape) : transpose(rotated, [0, 2, 1, 3])];
  },
});

/**
 * x [N, heads, T, width] with each pair of its last axis turned by an angle, whose cosines and sines [N, T, width/2] are
 * given, or [positions, width/2] with `positions` (int64 [N, T]). Pairs are the two halves, or neighbors if interleaved.
 */
export function rotaryEmbedding(
  x: Value,
  cosines: Value,
  sines: Value,
  options: { positions?: Value; interleaved?: boolean } = {},
): Value {
  const kinds = { positions: "object", interleaved: "boolean" } as const;
  const { positions, interleaved = false } = readOptions("rotaryEmbedding", options, kinds);
  const attributes = { interleaved: int(interleaved ? 1 : 0) };
  return apply("RotaryEmbedding", [x, cosines, sines, positions], attributes)[0];
}

/** Pairs of the last axis turned by an angle for each time; those beyond `rotary_embedding_dim` stay. */
function rotate(
  x: Value,
  cosines: Value,
  sines: Value,
  positions: Value | undefined,
  attributes: Attributes,
): Value {
  const [count, times, heads, width] = x.shape;
  const turned = intAttribute(attributes, "rotary_embedding_dim", 0) || width;
  const half = turned / 2;
  const angle = (cache: Value) => {
    const each = positions ? gather(cache, positions) : cache;
    if (each.shape.at(-1) !== half) {
      throw operatorError(
        "RotaryEmbedding",
        x,
        `the caches have ${each.shape.at(-1)} angles, ${half} pairs are turned`,
      );
    }
    return reshape(each, [count, times, 1, half]);
  };
  const [cosine, sine] = [angle(cosines), angle(sines)];
  const [moving, rest] = turned < width ? split(x, [turned, width - turned], 3) : [x, undefined];
  const interleaved = intAttribute(attributes, "interleaved", 0) === 1;
  const every = (start: number) => slice(moving, { axes: [3], starts: [start], ends: [turned], steps: [2] });
  const [first, second] = interleaved ? [every(0), every(1)] : split(moving, [half, half], 3);
  const real = sub(mul(cosine, first), mul(sine, second));
  const imaginary = add(mul(sine, first), mul(cosine, second));
  const apart = [count, times, heads, half, 1];
  const joined = interleaved
    ? reshape(concat([reshape(real, apart), reshape(imaginary, apart)], 4), moving.shape)
    : concat([real, imaginary], 3);
  return rest ? concat([joined, rest], 3) : joined;
}

// An update [N, …, S, …] written over a cache [N, …, T, …] from an index of its own in each example.
composeOperator("TensorScatter", {
  since: 24,
  build: ([cache, update, starts], attributes) => {
    const [axis] = normalizeAxes("TensorScatter", cache!, [intAttribute(attributes, "axis", -2)]);
    const { graph } = cache!;
    const [length, added] = [cache!.shape[axis], update!.shape[axis]];
    requireAtMost("TensorScatter", cache!, added, "times");
    const alone = (kept: number) => update!.shape.map((size, other) => (other === kept ? size : 1));
    const steps = graph.constant(
      tensorData(
        Array.from({ length: added }, (_, index) => index),
        alone(axis),
        "int64",
      ),
    );
    const from = starts && reshape(cast(starts, "int64"), alone(0));
    const places = from ? add(from, steps) : steps;
    const circular = stringAttribute(attributes, "mode", "linear") === "circular";
    const wrapped = circular ? apply("Mod", [places, graph.scalar(length, "int64")])[0] : places;
    const indices = expand(wrapped, update!.shape);
    return apply("ScatterElements", [cache, indices, update], { axis: int(axis) });
  },
});
