import { AssertionError } from "node:assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDataset } from "../../data/catalogue.ts";
import type { DatasetPair } from "../../data/source.ts";
import { writeModel } from "../../onnx/model.ts";
import { assertOneLoss, firstImages } from "../one-loss.ts";
import { generateClassifier } from "./classifiers.ts";
import { packedFile } from "./file.ts";
import type { Failure } from "./findings.ts";
import { Running } from "./reference.ts";

// Random classifiers have one loss: in training, as ONNX Runtime runs the file, and on the surface of flatness.

export interface CheckedClassifier {
  opset: number;
  float: string;
  operators: readonly string[];
  outcome: "same" | "refused" | "engine";
  /** In which words it was refused, by Lowland or by ONNX Runtime. */
  refusal?: string;
  failures: readonly Failure[];
}

/** Of each precision how far two losses may be apart. The file in ONNX Runtime rounds every step of half precision. */
const tolerances = { float64: 1e-5, float32: 1e-4, float16: 2e-2 };

/** ONNX Runtime computes products with dequantized weights in kernels that round what they multiply to 8 bits. */
const quantizedTolerance = 1e-2;

/** A multiple of the batches that are drawn, so that none is left out where a file is for a batch of its own. */
const imageCount = 12;

let digits: Promise<DatasetPair> | undefined;

/** Checks the classifier of a number. */
export async function checkClassifier(seed: number, number: number): Promise<CheckedClassifier> {
  const { model, takesAnyBatch } = generateClassifier(seed, number);
  const { proto, external } = packedFile(model, seed, number, { batch: takesAnyBatch ? "open" : "stated" });
  const { opset, float, nodes } = model;
  const operators = [...new Set(nodes.map(({ operator }) => operator))];
  const found = { opset, float, operators };
  const folder = mkdtempSync(join(tmpdir(), "generated-classifier-"));
  try {
    const path = join(folder, "model.onnx");
    writeFileSync(path, writeModel(proto));
    if (external) writeFileSync(join(folder, external.name), external.bytes);
    const engine = await Running.open(path, false)
      .then((session) => session[Symbol.asyncDispose]())
      .catch(({ message }: Error) => ({ message }));
    if (engine) return { ...found, outcome: "engine", refusal: engine.message, failures: [] };
    digits ??= loadDataset("digits");
    const data = firstImages(await digits, imageCount);
    const isQuantized = operators.includes("DequantizeLinear");
    const tolerance = isQuantized ? quantizedTolerance : tolerances[float];
    const result = await assertOneLoss(path, data, tolerance);
    return result === "same"
      ? { ...found, outcome: "same", failures: [] }
      : { ...found, outcome: "refused", refusal: result.refused, failures: [] };
  } catch (error) {
    const message = error instanceof AssertionError ? error.message : `${(error as Error).stack}`;
    return { ...found, outcome: "same", failures: [{ check: "loss", message }] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
