import type { Target } from "../lower/target.ts";
import type { Engine, RunOptions, RunResult, Tensors } from "./engine.ts";

/** An engine that is still being opened; what is called meanwhile waits. */
export class OpeningEngine implements Engine {
  private readonly opening: Promise<Engine>;

  constructor(opening: Promise<Engine>) {
    this.opening = opening;
    // Whoever calls hears of it.
    opening.catch(() => {});
  }

  async target(): Promise<Target> {
    return (await this.opening).target();
  }

  async load(program: string, model: Uint8Array | string): Promise<void> {
    return (await this.opening).load(program, model);
  }

  async write(tensors: Tensors): Promise<void> {
    return (await this.opening).write(tensors);
  }

  async read(names?: readonly string[]): Promise<Tensors> {
    return (await this.opening).read(names);
  }

  async run(program: string, feeds?: Tensors, options?: RunOptions): Promise<RunResult> {
    return (await this.opening).run(program, feeds, options);
  }

  async close(): Promise<void> {
    return (await this.opening).close();
  }
}
