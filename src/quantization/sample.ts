import { randomStream } from "../common/random.ts";

/**
 * Values that come in batches: all of them while they are fewer than a limit; of more, one of every k in a row. Which one is
 * random, because a fixed one is in the same column of every image whose width divides k.
 */
export class Sample {
  private readonly limit: number;
  private readonly random = randomStream(0, "sample of values");
  private kept: number[] = [];
  private stride = 1;
  private seen = 0;
  /** The place of the value to keep next, among all values. */
  private next = 0;

  /** @param limit an even number: fewer values than this are kept */
  constructor(limit: number) {
    this.limit = limit;
  }

  add(values: ArrayLike<number>): void {
    const end = this.seen + values.length;
    while (this.next < end) {
      this.kept.push(values[this.next - this.seen]);
      if (this.kept.length === this.limit) this.thinOut();
      this.next = this.kept.length * this.stride + this.draw(this.stride);
    }
    this.seen = end;
  }

  get values(): Float64Array<ArrayBuffer> {
    return Float64Array.from(this.kept);
  }

  /** Keeps one of each two values. */
  private thinOut(): void {
    const { kept } = this;
    this.kept = Array.from({ length: this.limit / 2 }, (_, pair) => kept[2 * pair + this.draw(2)]);
    this.stride *= 2;
  }

  /** A random integer below a bound; nothing is drawn where there is one only. */
  private draw(bound: number): number {
    return bound === 1 ? 0 : this.random.integer(bound);
  }
}
