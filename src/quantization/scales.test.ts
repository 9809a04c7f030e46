import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import type { TensorData } from "../onnx/tensor.ts";
import { type ActivationMethod, activationQuantizer, observer } from "./activation-ranges.ts";
import { chosenBits } from "./bits.ts";
import { channelsOf } from "./channels.ts";
import { batchNormAffine, foldedLayer } from "./fold-batch-norm.ts";
import { Sample } from "./sample.ts";
import {
  quantizationError,
  quantized,
  roundHalfToEven,
  scaleOfLeastError,
  type WeightMethod,
  weightScales,
} from "./weight-scales.ts";

// Scales, ranges and folding against numbers made from the definitions in float64 (fixtures/quantization/ptq.json; folding was
// compared with PyTorch there).

interface Held {
  shape: number[];
  data: number[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../fixtures/quantization/ptq.json", import.meta.url), "utf8"),
);

/** A tensor of float64 numbers, so that nothing is rounded on the way. */
const tensorOf = ({ shape, data }: Held): TensorData => ({
  type: "float64",
  shape,
  data: Float64Array.from(data),
});

function near(got: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = 1e-12): void {
  assert.equal(got.length, wanted.length);
  for (let index = 0; index < wanted.length; index++) {
    const difference = Math.abs(got[index] - wanted[index]);
    assert.ok(
      difference <= tolerance * Math.max(1, Math.abs(wanted[index])),
      `${got[index]}, ${wanted[index]}`,
    );
  }
}

describe("weights", () => {
  for (const { name, weights, axis, high, perTensor, perChannel } of vectors.weights) {
    for (const [form, along, expected] of [
      ["per tensor", undefined, perTensor],
      ["per channel", axis, perChannel],
    ] as const) {
      const channels = channelsOf(tensorOf(weights), along);
      const scalesBy = (method: WeightMethod) => weightScales(channels, { high, method, percentile: 99 });

      test(`${name}, ${form}: scales, integers, errors`, () => {
        near(scalesBy("min-max"), expected.minMaxScale.data);
        near(scalesBy("percentile"), expected.percentile99Scale.data);
        near(scalesBy("mse"), expected.mseScale.data);
        const scales = scalesBy("min-max");
        const integers = weights.data.map((value: number, index: number) =>
          quantized(value, { scale: scales[channels.channelOf(index)], zeroPoint: 0, low: -high, high }),
        );
        assert.deepEqual(integers.map(positiveZero), expected.minMaxQuantized.data.map(positiveZero));
        for (let channel = 0; channel < channels.count; channel++) {
          const error = (scale: number) =>
            quantizationError(channels.values(channel), { scale, zeroPoint: 0, low: -high, high });
          near([error(scales[channel])], [expected.minMaxError[channel]]);
          near([error(scalesBy("mse")[channel])], [expected.mseError[channel]]);
        }
      });
    }
  }
});

describe("activations", () => {
  const methods = {
    minMax: ["min-max", 100],
    meanOfBatchMinMax: ["mean-min-max", 100],
    percentile99: ["percentile", 99],
    "percentile99.9": ["percentile", 99.9],
    mse: ["mse", 100],
  } as const satisfies Record<string, readonly [ActivationMethod, number]>;

  for (const { name, values, batches, minMaxQuantized, ...expected } of vectors.activations) {
    for (const [key, [method, percentile]] of Object.entries(methods)) {
      test(`${name}: ${method} ${percentile}`, () => {
        const observed = observer({ method, percentile, bits: 8 });
        const size = values.data.length / batches;
        for (let batch = 0; batch < batches; batch++)
          observed.add(values.data.slice(batch * size, (batch + 1) * size));
        const range = observed.range();
        const { low, high, scale, zeroPoint, meanSquaredError } = expected[key];
        near([range.low, range.high], [low, high]);
        const quantizer = activationQuantizer(range, 8);
        near([quantizer.scale], [scale]);
        assert.equal(quantizer.zeroPoint, zeroPoint);
        near([quantizationError(Float64Array.from(values.data), quantizer)], [meanSquaredError]);
        if (key === "minMax")
          assert.deepEqual(
            values.data.map((value: number) => quantized(value, quantizer)),
            minMaxQuantized.data,
          );
      });
    }
  }

  test("many values are thinned out evenly, from the first on", () => {
    const observed = observer({ method: "percentile", percentile: 75, bits: 8 });
    // 3 · 2¹⁸ values in batches of odd sizes: 0, 1, 2, …
    let next = 0;
    for (const size of [100_001, 300_003, 386_428])
      observed.add(Float32Array.from({ length: size }, () => next++));
    const { low, high } = observed.range();
    near([low, high], [next / 4, (3 * next) / 4], 1e-4);
  });

  test("a sample of images has every column as often, whatever their width", () => {
    for (const width of [32, 48, 56]) {
      const sample = new Sample(2 ** 12);
      for (let image = 0; image < 500; image++)
        sample.add(Float32Array.from({ length: width * width }, (_, place) => place % width));
      const { values } = sample;
      assert.ok(values.length >= 2 ** 11 && values.length < 2 ** 12, String(values.length));
      const counts = new Array<number>(width).fill(0);
      for (const column of values) counts[column]++;
      const expected = values.length / width;
      // Six standard deviations of a binomial distribution.
      for (const count of counts)
        assert.ok(Math.abs(count - expected) < 6 * Math.sqrt(expected), `${counts}`);
    }
  });
});

test("the scale of least error is for the integers that there are, one more below 0 than above", () => {
  const values = Float64Array.of(-0.6, -0.3, 0, 0.3, -0.6);
  near([scaleOfLeastError(values, { low: -2, high: 1 })], [0.3]);
  near([scaleOfLeastError(Float64Array.of(0, 0.5, 0.25, 1.25), { low: 0, high: 15 })], [1.25 / 15]);
  assert.equal(scaleOfLeastError(new Float64Array(3), { low: 0, high: 15 }), 0);
});

describe("BatchNorm", () => {
  for (const {
    name,
    kind,
    epsilon,
    weight,
    bias,
    scale,
    shift,
    mean,
    variance,
    ...expected
  } of vectors.folding)
    test(`${name} folds into the layer`, () => {
      const affine = batchNormAffine(
        [scale, shift, mean, variance].map(({ data }: Held) => data),
        epsilon,
      );
      const axis = kind === "transposed" ? 1 : 0;
      const folded = foldedLayer(tensorOf(weight), axis, bias?.data, affine);
      near(folded.weight, expected.foldedWeight.data);
      near(folded.bias, expected.foldedBias.data);
    });
});

test("a tie is rounded to the even neighbor", () => {
  const values = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994, 3.7];
  assert.deepEqual(
    values.map((value) => roundHalfToEven(value) + 0),
    [-2, -2, 0, 0, 2, 2, 0, 4],
  );
});

/** −0 is the same integer as 0. */
function positiveZero(value: number): number {
  return value + 0;
}

test("a layer's own name goes before patterns, also where the name is a number; of patterns the last", () => {
  const bitsOf = chosenBits(["0", "2", "4", "6"], {
    layers: { "*": "float", "2": { weights: 4 }, "4*": { weights: 5 } },
  });
  assert.deepEqual(["0", "2", "4", "6"].map(bitsOf), [
    "float",
    { weights: 4, activations: 8 },
    { weights: 5, activations: 8 },
    "float",
  ]);
});
