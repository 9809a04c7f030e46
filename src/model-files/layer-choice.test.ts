import assert from "node:assert/strict";
import { test } from "node:test";
import type { LayerChoices } from "../quantization/choices.ts";
import { layersWithin } from "./layer-choice.ts";
import type { FileQuantizer } from "./quantize.ts";

test("a limit of the drop is met with the layers that are given, which keep what they are given", async () => {
  const given: LayerChoices = { "b*": { weights: 3 } };
  const order = ["a", "b1", "c"].map((name) => ({ name, lossRise: 0, metricDrop: 0 }));
  // Each file holds the choices that it was made with.
  const quantizer = {
    quantize: async (layers: LayerChoices) => ({
      bytes: new TextEncoder().encode(JSON.stringify(layers)),
      layers,
    }),
  } as unknown as FileQuantizer;
  const measure = async (file: Uint8Array) => {
    const choices: LayerChoices = JSON.parse(new TextDecoder().decode(file));
    assert.deepEqual(choices["b*"], { weights: 3 });
    assert.ok(!("b1" in choices));
    return { loss: 0, metrics: { accuracy: choices.a === "float" ? 0.9 : 0.5 } };
  };
  const chosen = await layersWithin(0.05, order, {
    ...{ quantizer, measure, given, float: { loss: 0, metrics: { accuracy: 0.92 } } },
    leading: { name: "accuracy", better: "higher" },
  });
  assert.deepEqual(chosen?.choices, { ...given, a: "float", c: { weights: 8, activations: 8 } });
});
