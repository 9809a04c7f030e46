import type { Sample } from "./source.ts";

/** Keeps the samples that came first, as long as there is room, so that they need not be made again. */
class KeptSamples<S extends Sample> {
  private readonly samples = new Map<number, S>();
  private room = 2 ** 29;

  get(index: number): S | undefined {
    return this.samples.get(index);
  }

  keep(index: number, sample: S): void {
    const sizes = Object.values(sample).map(({ data }) => (ArrayBuffer.isView(data) ? data.byteLength : 0));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    if (this.samples.has(index) || bytes > this.room) return;
    this.room -= bytes;
    this.samples.set(index, sample);
  }
}

/** Samples are drawn when they are first read; those for which there is no room are drawn again. */
export function drawnOnce<S extends Sample>(draw: (index: number) => S): (index: number) => S {
  const kept = new KeptSamples<S>();
  return (index) => {
    const earlier = kept.get(index);
    if (earlier) return earlier;
    const sample = draw(index);
    kept.keep(index, sample);
    return sample;
  };
}
