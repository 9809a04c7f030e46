/** A picture with what was predicted of it. */
export interface ShownMask {
  /** Its place in the data. */
  index: number;
  /** Its own mean IoU. */
  score: number;
  /** [height, width] */
  predicted: Uint8Array;
}

/** Pictures of each kind. */
const shown = 8;
/** Pictures, spread over the data, of which those in the middle are chosen. */
const spread = 64;

/** The best pictures, the worst, and some in the middle. Only their predictions are kept, however many pictures there are. */
export class ShownMasks {
  private best: ShownMask[] = [];
  private worst: ShownMask[] = [];
  private readonly some: ShownMask[] = [];
  private readonly scores: number[] = [];
  private readonly step: number;

  /** @param count of all pictures */
  constructor(count: number) {
    this.step = Math.max(1, Math.floor(count / spread));
  }

  /**
   * @param score of a picture; one without any class has none, and is not shown
   * @param predict gives what was predicted of it
   */
  add(index: number, score: number | null, predict: () => Uint8Array): void {
    if (score === null) return;
    this.scores.push(score);
    let mask: ShownMask | undefined;
    const own = () => {
      mask ??= { index, score, predicted: predict() };
      return mask;
    };
    if (index % this.step === 0) this.some.push(own());
    if (this.best.length < shown || score > this.best[shown - 1].score)
      this.best = [...this.best, own()]
        .sort((a, b) => b.score - a.score || a.index - b.index)
        .slice(0, shown);
    if (this.worst.length < shown || score < this.worst[shown - 1].score)
      this.worst = [...this.worst, own()]
        .sort((a, b) => a.score - b.score || a.index - b.index)
        .slice(0, shown);
  }

  /** The pictures of each kind, in the order in which they are shown. */
  chosen(): Record<"best" | "median" | "worst", readonly ShownMask[]> {
    const sorted = this.scores.toSorted((a, b) => a - b);
    const middle = sorted[Math.floor(sorted.length / 2)];
    const distance = ({ score }: ShownMask) => Math.abs(score - middle);
    const median = this.some
      .toSorted((a, b) => distance(a) - distance(b) || a.index - b.index)
      .slice(0, shown)
      .sort((a, b) => b.score - a.score || a.index - b.index);
    return { best: this.best, median, worst: this.worst };
  }
}
