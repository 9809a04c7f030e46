/** What waits for calls before it; the turns of several may be in one line. */
export interface Line {
  last: Promise<unknown>;
}

/** Runs calls one after another, in the order they are made. */
export class Turns {
  private readonly line: Line;
  private ended = false;

  constructor(line: Line = { last: Promise.resolve() }) {
    this.line = line;
  }

  /** Starts a call when the calls before it have ended, well or not. */
  take<T>(call: () => T | Promise<T>): Promise<T> {
    if (this.ended) return Promise.reject(new Error("the engine is closed"));
    const result = this.line.last.then(call);
    this.line.last = result.catch(() => {});
    return result;
  }

  /** Takes the last turn. Calls after it are rejected; to end again does nothing. */
  async end(call: () => Promise<void>): Promise<void> {
    if (this.ended) return;
    const result = this.take(call);
    this.ended = true;
    await result;
  }
}
