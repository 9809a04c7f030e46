/**
 * Redraws the parts of the page that are out of date, one a frame and a pause between two: no drawing keeps the page
 * from answering for longer than its largest part takes.
 */
export class Redraws<Part extends string> {
  private readonly parts: Readonly<Record<Part, () => void>>;
  private readonly nextFrame: (draw: () => void) => void;
  /** In the order in which they became due. */
  private readonly waiting = new Set<Part>();
  private isScheduled = false;

  constructor(
    parts: Readonly<Record<Part, () => void>>,
    nextFrame: (draw: () => void) => void = frameAfterPause,
  ) {
    this.parts = parts;
    this.nextFrame = nextFrame;
  }

  /** Draws these parts soon. A part that is due already is drawn once. */
  due(...parts: readonly Part[]): void {
    for (const part of parts) this.waiting.add(part);
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || this.waiting.size === 0) return;
    this.isScheduled = true;
    this.nextFrame(() => {
      this.isScheduled = false;
      const [part] = this.waiting;
      this.waiting.delete(part);
      this.parts[part]();
      this.schedule();
    });
  }
}

/** Milliseconds between two parts. */
const pause = 80;

function frameAfterPause(draw: () => void): void {
  setTimeout(() => requestAnimationFrame(draw), pause);
}
