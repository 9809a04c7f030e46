import type { TensorData } from "../onnx/tensor.ts";

/** A tensor as slices along one axis, or as one slice. */
export interface Channels {
  readonly count: number;
  /** The values of a slice, in their order. */
  values(channel: number): Float64Array<ArrayBuffer>;
  /** The slice that the element at an index belongs to. */
  channelOf(index: number): number;
}

/** Slices of a tensor along an axis; all of it as one where no axis is given. */
export function channelsOf({ shape, data }: TensorData, axis: number | undefined): Channels {
  const numbers = data as Float32Array;
  const count = axis === undefined ? 1 : shape[axis];
  const inner = axis === undefined ? numbers.length : shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const channelOf = (index: number) => Math.floor(index / inner) % count;
  return {
    count,
    channelOf,
    values: (channel) => {
      const values = new Float64Array(numbers.length / count);
      let at = 0;
      for (let start = channel * inner; start < numbers.length; start += count * inner)
        for (let index = start; index < start + inner; index++) values[at++] = Number(numbers[index]);
      return values;
    },
  };
}
