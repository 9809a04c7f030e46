import { UserError } from "../common/errors.ts";
import type { OptionKinds } from "../common/options.ts";
import type { Shape, TensorType } from "../graph/graph.ts";
import type { ValueInfoProto } from "../onnx/onnx_pb.ts";
import { dataTypeName, wideType } from "../onnx/types.ts";

export interface DimensionOptions {
  /** Sizes of symbolic dimensions by name, e.g. `{ sequence: 128 }`. */
  dimensions?: Readonly<Record<string, number>>;
  /**
   * Sizes of the axes of an input of this rank that the file leaves open and `dimensions` does not give, in order; the
   * first is not looked at.
   */
  openSizes?: Shape;
  /** Size of the first axis of every input whose size the file leaves open and `dimensions` does not give. */
  batchSize?: number;
  /** Take `batchSize` even where the file states the size of an input's first axis. */
  anyBatch?: boolean;
}

export const dimensionOptions: OptionKinds<DimensionOptions> = {
  dimensions: "object",
  openSizes: "list",
  batchSize: "number",
  anyBatch: "boolean",
};

/**
 * The type of an input of a file, its symbolic dimensions bound.
 * @throws UserError naming the input and the dimension whose size nobody gave
 */
export function inputType(
  info: ValueInfoProto,
  { dimensions = {}, openSizes, batchSize, anyBatch = false }: DimensionOptions,
): TensorType {
  const subject = `input "${info.name}"`;
  if (info.type?.value.case !== "tensorType") {
    throw new UserError(`${subject}: is no tensor (${info.type?.value.case ?? "no type given"})`);
  }
  const { elemType, shape } = info.type.value.value;
  if (!shape) throw new UserError(`${subject}: the file states no shape; export the model with one`);
  const sizes = shape.dim.map(({ value }, axis) => {
    const stated = value.case === "dimValue" ? Number(value.value) : undefined;
    const isFree = anyBatch && axis === 0 && batchSize !== undefined;
    if (stated !== undefined && stated >= 1 && !isFree) return stated;
    const name = value.case === "dimParam" ? value.value : "";
    const byPlace =
      axis === 0 ? batchSize : openSizes?.length === shape.dim.length ? openSizes[axis] : undefined;
    const size = Object.hasOwn(dimensions, name) ? dimensions[name] : byPlace;
    if (size === undefined) {
      const open = name === "" ? `axis ${axis} has no name and no size` : `axis ${axis} is "${name}"`;
      throw new UserError(
        axis === 0
          ? `${subject}: ${open}; give batchSize`
          : `${subject}: ${open}; ${name === "" ? "write a size into the file" : `give dimensions: { ${JSON.stringify(name)}: … } (--dimension ${name}=…)`}`,
      );
    }
    if (!(Number.isSafeInteger(size) && size >= 1)) {
      throw new UserError(
        `${subject}: axis ${axis} is given the size ${size}; it has to be a whole number above 0`,
      );
    }
    return size;
  });
  return { type: wideType(dataTypeName(elemType, subject)), shape: sizes };
}
