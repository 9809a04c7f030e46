import { squaresName, type Target } from "../lower/target.ts";
import { firstDifference } from "./agreement.ts";
import type { Engine, RunOptions, RunResult, Tensors } from "./engine.ts";
import { type ProofOptions, proveSteps, type Trial } from "./proof.ts";
import { copied, DeviceError, type DeviceRecord, type ProvingEngine } from "./proving-engine.ts";
import { Turns } from "./turns.ts";

export interface DeviceEngineOptions extends ProofOptions {
  /** What it runs on. */
  record: DeviceRecord;
  device: Engine;
  /** Opens an engine on the CPU, which checks the device, and takes over where that fails. */
  openCpu: () => Engine;
  /** Gets a sentence about each program that runs on the CPU because the device computes it wrong. */
  onNote?: (note: string) => void;
}

/**
 * An engine on a device that has to prove itself. Training steps are proven by {@link prove} before the first of them. Each
 * other program is compared with the CPU in its first run, and stays on the CPU where the two do not agree.
 *
 * A device that fails rejects with {@link DeviceError}; {@link fallBack} then goes on with the CPU.
 */
export class DeviceEngine implements ProvingEngine {
  private readonly options: DeviceEngineOptions;
  private readonly turns = new Turns();
  private readonly unproven = new Map<string, Uint8Array | string>();
  private readonly onCpu = new Set<string>();
  private cpu: Engine | undefined;
  /** Whether the CPU's store is that of the device. */
  private inStep = false;
  private record: DeviceRecord;

  constructor(options: DeviceEngineOptions) {
    this.options = options;
    this.record = options.record;
  }

  get where(): DeviceRecord {
    return this.record;
  }

  target(): Promise<Target> {
    return this.turns.take(() => this.current.target());
  }

  load(program: string, model: Uint8Array | string): Promise<void> {
    return this.turns.take(async () => {
      this.onCpu.delete(program);
      if (this.hasFallenBack) return this.checking().load(program, model);
      try {
        await this.options.device.load(program, model);
        this.unproven.set(program, model);
      } catch (error) {
        await this.moveToCpu(program, model, `cannot run "${program}": ${messageOf(error)}`);
      }
    });
  }

  write(tensors: Tensors): Promise<void> {
    return this.turns.take(async () => {
      this.inStep = false;
      await this.attempt(() => this.current.write(tensors));
    });
  }

  read(names?: readonly string[]): Promise<Tensors> {
    return this.turns.take(() => this.attempt(() => this.current.read(names)));
  }

  run(program: string, feeds: Tensors = {}, options: RunOptions = {}): Promise<RunResult> {
    return this.turns.take(async () => {
      const model = this.unproven.get(program);
      if (model !== undefined) await this.compare(program, model, feeds, options);
      if (this.onCpu.has(program)) return this.runOnCpu(program, feeds, options);
      const result = await this.attempt(() => this.current.run(program, feeds, options));
      if (result.advanced) this.inStep = false;
      return result;
    });
  }

  close(): Promise<void> {
    return this.turns.end(async () => {
      await this.closeCpu();
      if (!this.hasFallenBack) await this.options.device.close();
    });
  }

  prove(trial: Trial): Promise<string | undefined> {
    return this.turns.take(async () => {
      this.inStep = false;
      const { device, mustBeFaster } = this.options;
      try {
        const fault = await proveSteps(device, this.checking(), trial, { mustBeFaster });
        for (const { step } of trial.steps) this.unproven.delete(step);
        return fault && `${this.name} ${fault}`;
      } catch (error) {
        return `${this.name} cannot take a training step: ${messageOf(error)}`;
      } finally {
        // The memory of training steps on the CPU.
        if (this.onCpu.size === 0) await this.closeCpu();
      }
    });
  }

  fallBack(reason: string, tensors: Tensors): Promise<void> {
    return this.turns.take(async () => {
      this.unproven.clear();
      this.onCpu.clear();
      await this.closeCpu();
      // A device that was lost may not be able to end well.
      await this.options.device.close().catch(() => {});
      this.cpu = this.options.openCpu();
      this.record = { name: "cpu", reason };
      await this.cpu.write(tensors);
    });
  }

  /** As messages call it. */
  get name(): string {
    const { name, adapter } = this.options.record;
    return adapter === undefined ? name : `${name} (${adapter})`;
  }

  private get hasFallenBack(): boolean {
    return this.record.reason !== undefined;
  }

  private get current(): Engine {
    return this.hasFallenBack ? this.checking() : this.options.device;
  }

  private checking(): Engine {
    this.cpu ??= this.options.openCpu();
    return this.cpu;
  }

  private async closeCpu(): Promise<void> {
    await this.cpu?.close();
    this.cpu = undefined;
    this.inStep = false;
  }

  /** What fails on the device is the device's fault. */
  private async attempt<T>(call: () => Promise<T>): Promise<T> {
    if (this.hasFallenBack) return call();
    try {
      return await call();
    } catch (error) {
      throw new DeviceError(`${this.name} failed: ${messageOf(error)}`);
    }
  }

  /** Runs a program on both, and from then on only on the CPU if they do not agree. */
  private async compare(
    program: string,
    model: Uint8Array | string,
    feeds: Tensors,
    { stored }: RunOptions,
  ): Promise<void> {
    const cpu = await this.cpuInStep();
    await cpu.load(compared, model);
    const { outputs: expected } = await cpu.run(compared, copied(feeds), { stored });
    this.unproven.delete(program);
    let fault: string | undefined;
    try {
      const { outputs } = await this.options.device.run(program, copied(feeds), { stored });
      const difference = firstDifference(outputs, expected);
      fault = difference && `computes ${difference} of "${program}" wrong`;
    } catch (error) {
      fault = `cannot run "${program}": ${messageOf(error)}`;
    }
    if (fault !== undefined) await this.moveToCpu(program, model, fault);
  }

  private async moveToCpu(program: string, model: Uint8Array | string, fault: string): Promise<void> {
    await this.checking().load(program, model);
    this.onCpu.add(program);
    this.options.onNote?.(`${this.name} ${fault}; it runs on the CPU`);
  }

  private async runOnCpu(program: string, feeds: Tensors, options: RunOptions): Promise<RunResult> {
    const cpu = await this.cpuInStep();
    const { outputs, advanced } = await cpu.run(program, feeds, options);
    if (advanced) {
      const tensors = await cpu.read();
      await this.attempt(() => this.options.device.write(tensors));
    }
    const { [squaresName]: _, ...others } = outputs;
    return { outputs: others, advanced };
  }

  /** The CPU's engine, with what the device stores. */
  private async cpuInStep(): Promise<Engine> {
    const cpu = this.checking();
    if (!this.inStep) await cpu.write(await this.attempt(() => this.options.device.read()));
    this.inStep = true;
    return cpu;
  }
}

/** The CPU's name of the program that is compared: it keeps one of them. */
const compared = "compared with a device";

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
