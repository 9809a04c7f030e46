/**
 * Gives runs their turns, one after the other, so that all have taken the same number of steps and only one computes at a
 * time: the time between its turn and its next request is that of its step.
 */
export class Rounds {
  private readonly steps = new Map<string, number>();
  private readonly queue: { run: string; go: () => void }[] = [];
  /** Steps of each run that are allowed. */
  private limit: number;
  /** Who has the turn. */
  private active: string | undefined;
  private readonly onWaiting: () => void;

  /** @param onWaiting called when no run may take a step */
  constructor(limit: number, onWaiting: () => void) {
    this.limit = limit;
    this.onWaiting = onWaiting;
  }

  /** Adds a run; all are added before the first one asks for its turn. */
  join(run: string): void {
    this.steps.set(run, 0);
  }

  /** The first turn of a run. */
  begin(run: string): Promise<void> {
    return this.enqueue(run);
  }

  /** The next turn of a run whose step is done. */
  next(run: string): Promise<void> {
    this.steps.set(run, (this.steps.get(run) ?? 0) + 1);
    return this.enqueue(run);
  }

  /** A run that has ended. */
  leave(run: string): void {
    this.steps.delete(run);
    this.pass();
  }

  /** Lets the round that has begun be finished, and no more. */
  pause(): void {
    this.limit = this.begunRounds();
  }

  /** Allows so many rounds after the one that has begun. */
  allow(rounds: number): void {
    this.limit = this.begunRounds() + rounds;
    if (this.active === undefined) this.pass();
  }

  private begunRounds(): number {
    return Math.max(0, ...[...this.steps].map(([run, done]) => (run === this.active ? done + 1 : done)));
  }

  private enqueue(run: string): Promise<void> {
    return new Promise((go) => {
      this.queue.push({ run, go });
      // Nobody has the turn when all of them wait for it.
      if (this.queue.length === this.steps.size) this.pass();
    });
  }

  private pass(): void {
    this.active = undefined;
    const [first] = this.queue;
    if (!first) return;
    if ((this.steps.get(first.run) ?? 0) >= this.limit) {
      this.onWaiting();
      return;
    }
    this.queue.shift();
    this.active = first.run;
    first.go();
  }
}
