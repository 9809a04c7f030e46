import type { Random } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { pick, size } from "../testing/gradient-cases.ts";
import { type NodeCase, type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { float, int } from "./operator.ts";

// What ONNX has for transformers against ONNX Runtime's kernels.

function attention(opset: number, mode: number): NodeCases {
  return {
    operator: "Attention",
    opset,
    draw: (random): NodeCase => {
      const [count, groups, width] = [size(random, 2), size(random, 2), size(random, 3)];
      const heads = groups * size(random, 2);
      const [queries, fresh, depth] = [size(random), size(random), size(random, 3)];
      const folded = random.uniform() < 0.5;
      const shaped = (each: number, times: number, channels: number): Shape =>
        folded ? [count, times, each * channels] : [count, each, times, channels];
      const past = random.uniform() < 0.4 ? size(random, 3) : 0;
      const keys = past + fresh;
      const cache = (channels: number): Shape | undefined =>
        past > 0 ? [count, groups, past, channels] : undefined;
      const caches = past > 0 ? [cache(width), cache(depth)] : [];
      return {
        attributes: {
          ...(folded ? { q_num_heads: int(heads), kv_num_heads: int(groups) } : {}),
          ...(random.uniform() < 0.3 ? { scale: float(0.75) } : {}),
          ...(random.uniform() < 0.3 ? { softcap: float(1.5) } : {}),
          // With one query and a cache the kernel looks at later keys too, which ONNX's reference does not.
          is_causal: int(queries === 1 && past > 0 ? 0 : random.integer(2)),
          qk_matmul_output_mode: int(mode),
        },
        inputs: [
          shaped(heads, queries, width),
          shaped(groups, fresh, width),
          shaped(groups, fresh, depth),
          mask(random, [count, heads, queries, keys]),
          ...caches,
        ],
        outputs: past > 0 ? 4 : 1,
      };
    },
  };
}

/** None, numbers, or truths of which each row has one; with fewer axes or some of size 1. */
function mask(random: Random, whole: Shape): Shape | ReturnType<typeof tensorData> | undefined {
  const kind = random.integer(4);
  if (kind === 0) return undefined;
  const shape = whole.map((length, axis) => (axis < 2 && random.uniform() < 0.5 ? 1 : length));
  const kept = random.uniform() < 0.3 ? shape.slice(2) : shape;
  if (kind === 1) return kept;
  const truths = Array.from({ length: elementCount(kept) }, (_, index) =>
    index % whole[3] === 0 ? 1 : random.integer(2),
  );
  if (kind === 2) return tensorData(truths, kept, "bool");
  return tensorData(
    truths.map((truth) => (truth ? random.normal() : Number.NEGATIVE_INFINITY)),
    kept,
    "float32",
  );
}

testNodes({
  "Attention and its raw scores": attention(23, 0),
  "Attention of opset 24 and its shares": attention(24, 3),
  "Attention over padded keys": {
    operator: "Attention",
    opset: 24,
    draw: (random) => {
      const [count, heads, width, keys] = [
        size(random, 3),
        size(random, 2),
        size(random, 3),
        1 + size(random),
      ];
      const lengths = Array.from({ length: count }, () => 1 + random.integer(keys));
      return {
        inputs: [
          [count, heads, size(random), width],
          [count, heads, keys, width],
          [count, heads, keys, width],
          undefined,
          undefined,
          undefined,
          tensorData(lengths, [count], "int64"),
        ],
        attributes: { is_causal: int(0) },
      };
    },
  },
  RotaryEmbedding: {
    operator: "RotaryEmbedding",
    opset: 23,
    draw: (random) => {
      const [count, heads, times] = [size(random, 2), size(random, 3), size(random)];
      const half = size(random, 3);
      const partial = random.uniform() < 0.4;
      const width = 2 * half + (partial ? 2 : 0);
      const folded = random.uniform() < 0.5;
      const named = random.uniform() < 0.5;
      const positions = Array.from({ length: count * times }, () => random.integer(6));
      const cache = named ? [6, half] : [count, times, half];
      return {
        attributes: {
          interleaved: int(random.integer(2)),
          ...(partial ? { rotary_embedding_dim: int(2 * half) } : {}),
          ...(folded || partial ? { num_heads: int(heads) } : {}),
        },
        inputs: [
          folded ? [count, times, heads * width] : [count, heads, times, width],
          cache,
          cache,
          named ? tensorData(positions, [count, times], "int64") : undefined,
        ],
      };
    },
  },
  TensorScatter: {
    operator: "TensorScatter",
    opset: 24,
    draw: (random) => {
      const [count, length, width] = [size(random, 3), 2 + size(random), size(random, 3)];
      const added = size(random, Math.min(3, length));
      const mode = pick(random, ["linear", "circular"]);
      const starts = Array.from({ length: count }, () =>
        random.integer(mode === "linear" ? length - added + 1 : length),
      );
      const axis = pick(random, [-2, 1]);
      return {
        attributes: { mode: { string: mode }, axis: int(axis) },
        inputs: [
          [count, length, width],
          [count, added, width],
          random.uniform() < 0.7 ? tensorData(starts, [count], "int64") : undefined,
        ],
      };
    },
  },
});
