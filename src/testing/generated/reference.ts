import { InferenceSession, Tensor } from "onnxruntime-node";
import { writeModel } from "../../onnx/model.ts";
import { isSmallFloat, smallFloatValue } from "../../onnx/small-floats.ts";
import type { TensorData, Tensors } from "../../onnx/tensor.ts";
import { type DataType, dataTypeName, dataTypeNumber, isFloat } from "../../onnx/types.ts";
import type { DrawnModel, DrawnNode, Float, Numbers } from "./drawing.ts";
import { plainFile } from "./file.ts";
import { tensorOf } from "./tensors.ts";

// ONNX Runtime on a model as it was drawn, to compare with: parameters are fed, and floating-point numbers are float64
// where it has kernels for that.

/** A session that has been opened. */
export class Running implements AsyncDisposable {
  private readonly session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.session = session;
  }

  static async open(model: Uint8Array | string, isDouble: boolean): Promise<Running> {
    const options: InferenceSession.SessionOptions = {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      logSeverityLevel: 4,
      graphOptimizationLevel: isDouble ? "basic" : "all",
    };
    // The two forms of the argument are two declarations.
    const session =
      typeof model === "string"
        ? await InferenceSession.create(model, options)
        : await InferenceSession.create(model, options);
    return new Running(session);
  }

  async run(feeds: Tensors): Promise<Record<string, Float64Array>> {
    const tensors = this.session.inputNames.map((name) => {
      const { type, data, shape } = feeds[name];
      return [name, new Tensor(type as Tensor.Type, data as Tensor.DataType, shape)];
    });
    const results = await this.session.run(Object.fromEntries(tensors));
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, numbersOf(tensor)]));
  }

  /** The shapes of the outputs, as far as they are stated. */
  get outputNames(): readonly string[] {
    return this.session.outputNames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.release();
  }
}

function numbersOf({ type, data }: Tensor): Float64Array {
  const isHalf = isSmallFloat(type as DataType) && data instanceof Uint16Array;
  return Float64Array.from(data as ArrayLike<number>, (value) =>
    isHalf ? smallFloatValue(value, "float16") : Number(value),
  );
}

/** A model in which every floating-point number is of one type, but for those whose type the operator states. */
function inType(model: DrawnModel, type: Float): DrawnModel {
  const of = (one: DataType): DataType => (isFloat(one) ? type : one);
  const numbers = <T extends Numbers>(one: T): T => (one.fixedType ? one : { ...one, type: of(one.type) });
  return {
    ...model,
    float: type,
    inputs: model.inputs.map(numbers),
    stored: model.stored.map(numbers),
    nodes: model.nodes.map((node) => nodeInType(node, of)),
    outputs: model.outputs.map((one) => ({ ...one, type: of(one.type) })),
  };
}

function nodeInType(node: DrawnNode, of: (type: DataType) => DataType): DrawnNode {
  const attributes = Object.entries(node.attributes).map(([name, value]) => {
    const isType = ["to", "dtype", "output_datatype"].includes(name) && "int" in value;
    if (isType) return [name, { int: dataTypeNumber(of(dataTypeName(value.int, name))) }];
    if (!("tensor" in value) || !isFloat(value.tensor.type)) return [name, value];
    const { shape, data } = value.tensor;
    const values = Array.from(data as ArrayLike<number>);
    return [name, { tensor: tensorOf({ type: of(value.tensor.type), shape, values }) }];
  });
  return { ...node, attributes: Object.fromEntries(attributes) };
}

/** Operators whose kernels for float64 only refuse, or compute in float32. */
const neverDouble = new Set(["LSTM", "GRU", "RNN", "Shrink", "GroupNormalization"]);

/** Operators that ONNX Runtime has said it has no float64 kernel for, with their opset: asked once each. */
const withoutDouble = new Set<string>();

/** A model as a function of the tensors that a loss is differentiated for. */
export interface Reference extends AsyncDisposable {
  type: "float32" | "float64";
  run(feeds: Tensors): Promise<Record<string, Float64Array>>;
}

/** Opens the model in float64 or, where ONNX Runtime has not all kernels, in float32. */
export async function openReference(model: DrawnModel, fed: ReadonlySet<string>): Promise<Reference> {
  const keyOf = ({ operator }: { operator: string }) => `${operator} ${model.opset}`;
  if (!model.nodes.some((node) => neverDouble.has(node.operator) || withoutDouble.has(keyOf(node)))) {
    try {
      return withType(
        await Running.open(writeModel(plainFile(inType(model, "float64"), fed)), true),
        "float64",
      );
    } catch (error) {
      const { message } = error as Error;
      const operator =
        /implementation for (\w+)\(/.exec(message)?.[1] ?? /op_type[^\w]*(\w+)/i.exec(message)?.[1];
      if (operator) withoutDouble.add(keyOf({ operator }));
    }
  }
  return withType(await Running.open(writeModel(plainFile(inType(model, "float32"), fed)), false), "float32");
}

function withType(running: Running, type: "float32" | "float64"): Reference {
  return {
    type,
    run: (feeds) => running.run(feeds),
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** What a model is fed, by name, in the types of its inputs. */
export function feedsOf(numbers: readonly Numbers[]): Record<string, TensorData> {
  return Object.fromEntries(numbers.map((one) => [one.name, tensorOf(one)]));
}

/** What a program gives. */
export async function runOnce(
  bytes: Uint8Array,
  feeds: Tensors,
  isDouble: boolean,
): Promise<Record<string, Float64Array>> {
  await using session = await Running.open(bytes, isDouble);
  return await session.run(feeds);
}
