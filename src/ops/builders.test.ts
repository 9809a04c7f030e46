import type { Random } from "../common/random.ts";
import { type Case, indices, pick, size, testGradients } from "../testing/gradient-cases.ts";
import { square } from "./arithmetic.ts";
import { attention, rotaryEmbedding } from "./attention.ts";
import { deformConv } from "./deformable-convolution.ts";
import { affineGrid, gridSample } from "./grid-sample.ts";
import { reverseSequence } from "./indexing.ts";
import { negativeLogLikelihood } from "./likelihood.ts";
import { concat, reshape } from "./movement.ts";
import { maxUnpool } from "./pooling.ts";
import { recurrentLayer } from "./recurrent.ts";
import { roiAlign } from "./roi-align.ts";
import { logSoftmax } from "./softmax.ts";
import { foldBlocks } from "./transposed-convolution.ts";

// The typed builders of operators that are built from others, with their options.

const numbersOf = (random: Random, count: number, below: number) =>
  Array.from({ length: count }, () => random.integer(below));

const recurrent =
  (kind: "LSTM" | "GRU" | "RNN"): Case =>
  (random) => {
    const gates = { LSTM: 4, GRU: 3, RNN: 1 }[kind];
    const states = kind === "LSTM" ? 2 : 1;
    const [times, count, inputs, hidden] = [size(random), size(random, 2), size(random, 2), size(random, 2)];
    const direction = pick(random, ["forward", "reverse", "bidirectional"] as const);
    const directions = direction === "bidirectional" ? 2 : 1;
    const rows = gates * hidden;
    const lengths = numbersOf(random, count, times).map((length) => length + 1);
    const options = { direction, linearBeforeReset: random.uniform() < 0.5 };
    return {
      shapes: [
        [times, count, inputs],
        [directions, rows, inputs],
        [directions, rows, hidden],
        [directions, 2 * rows],
        ...Array.from({ length: states }, () => [directions, count, hidden]),
      ],
      build: ([x, input, weights, bias, ...start]) => {
        const { sequence, last } = recurrentLayer(
          kind,
          x,
          { input, recurrent: weights, bias },
          { ...options, start, lengths: indices(x, lengths, [count], "int32") },
        );
        const flat = [sequence, ...last].map((value) =>
          reshape(value, [value.shape.reduce((product, length) => product * length, 1)]),
        );
        return concat(flat, 0);
      },
    };
  };

testGradients({
  "LSTM by its builder": recurrent("LSTM"),
  "GRU by its builder": recurrent("GRU"),
  "RNN by its builder": recurrent("RNN"),
  attention: (random) => {
    const [count, groups, width, times] = [size(random, 2), size(random, 2), size(random, 3), size(random)];
    const heads = groups * size(random, 2);
    const options = { causal: random.uniform() < 0.5, scale: pick(random, [undefined, 0.5]) };
    return {
      shapes: [
        [count, heads, times, width],
        [count, groups, times, width],
        [count, groups, times, size(random, 3)],
        [times, times],
      ],
      build: ([q, k, v, mask]) => attention(q, k, v, { mask, ...options }),
    };
  },
  rotaryEmbedding: (random) => {
    const [count, times, half] = [size(random, 2), size(random), size(random, 3)];
    const places = numbersOf(random, count * times, 5);
    const interleaved = random.uniform() < 0.5;
    return {
      shapes: [
        [count, size(random, 2), times, 2 * half],
        [5, half],
        [5, half],
      ],
      build: ([x, cosines, sines]) =>
        rotaryEmbedding(x, cosines, sines, { positions: indices(x, places, [count, times]), interleaved }),
    };
  },
  "gridSample of an affineGrid": (random) => {
    const [count, alignCorners] = [size(random, 2), random.uniform() < 0.5];
    const out = [1 + size(random), 1 + size(random)];
    const mode = pick(random, ["linear", "cubic"] as const);
    const padding = pick(random, ["zeros", "border", "reflection"] as const);
    return {
      shapes: [
        [count, size(random, 2), 1 + size(random), 1 + size(random)],
        [count, 2, 3],
      ],
      build: ([x, theta]) =>
        gridSample(x, affineGrid(theta, out, alignCorners), { mode, padding, alignCorners }),
    };
  },
  roiAlign: (random) => {
    const regions = size(random, 3);
    const images = numbersOf(random, regions, 2);
    const aligned = random.uniform() < 0.5;
    let drawn = 0;
    return {
      shapes: [
        [2, size(random, 2), 5, 6],
        [regions, 4],
      ],
      build: ([x, rois]) =>
        roiAlign(x, rois, indices(x, images, [regions]), { size: [2, 3], spatialScale: 0.5, aligned }),
      draw: (source, input) =>
        input === 0 ? source.normal() : (drawn++ % 4 < 2 ? 0 : 6) + 3 * source.uniform(),
    };
  },
  deformConv: (random) => {
    const [parts, group] = [size(random, 2), size(random, 2)];
    return {
      shapes: [
        [1, 2 * parts * group, 4, 4],
        [2 * group, 2 * parts, 2, 2],
        [1, parts * 8, 3, 3],
        [2 * group],
        [1, parts * 4, 3, 3],
      ],
      build: ([x, weight, offsets, bias, mask]) =>
        deformConv(x, weight, offsets, bias, { group, mask, offsetGroups: parts }),
    };
  },
  foldBlocks: (random) => {
    const options = { strides: [2, 1], pads: [1, 0, 1, 0] };
    return {
      shapes: [[size(random, 2), 4 * size(random, 2), 12]],
      build: ([x]) => square(foldBlocks(x, [4, 5], [2, 2], options)),
    };
  },
  maxUnpool: (random) => {
    const places = [...random.permutation(24)].slice(0, 8);
    return {
      shapes: [[1, 2, 2, 2]],
      build: ([x]) => square(maxUnpool(x, indices(x, places, [1, 2, 2, 2]), [1, 2, 3, 4])),
    };
  },
  reverseSequence: (random) => {
    const [times, count] = [size(random), size(random)];
    const lengths = numbersOf(random, count, times).map((length) => length + 1);
    return {
      shapes: [[times, count, 2]],
      build: ([x]) => square(reverseSequence(x, indices(x, lengths, [count]))),
    };
  },
  negativeLogLikelihood: (random) => {
    const [count, classes] = [1 + size(random), 1 + size(random)];
    const targets = [0, ...numbersOf(random, count - 1, classes)];
    const reduction = pick(random, ["mean", "sum", "none"] as const);
    return {
      shapes: [[count, classes], [classes]],
      build: ([x, weights]) =>
        negativeLogLikelihood(logSoftmax(x), indices(x, targets, [count], "int32"), {
          weights: square(weights),
          ignoreIndex: classes - 1,
          reduction,
        }),
    };
  },
});
