import { type DatasetPair, type EpochNetwork, openEngine } from "../index.web.ts";
import type { MethodName } from "./methods.ts";

/** Answers what trained networks see in an image. Each is loaded when it is asked first. */
export class Answers {
  private readonly engine = openEngine({ threads: 1 });
  private readonly loaded = new Map<MethodName, { network: EpochNetwork; batch: number }>();

  /**
   * The probabilities of all classes.
   * @param pixels of one image, as the data store it
   */
  async ask(
    method: MethodName,
    network: EpochNetwork,
    { pixels, train }: { pixels: Uint8Array; train: DatasetPair["train"] },
  ): Promise<Float32Array> {
    const batch = await this.load(method, network, train);
    const { channels, height, width } = train;
    const data = new Float32Array(batch * pixels.length);
    data.set(pixels);
    const input = { type: "float32", shape: [batch, channels, height, width], data } as const;
    const { outputs } = await this.engine.run(method, { input });
    const probabilities = outputs.probabilities.data as Float32Array;
    return probabilities.slice(0, probabilities.length / batch);
  }

  private async load(
    method: MethodName,
    network: EpochNetwork,
    train: DatasetPair["train"],
  ): Promise<number> {
    const loaded = this.loaded.get(method);
    if (loaded?.network === network) return loaded.batch;
    const { answeringProgram } = await import("./network-file.ts");
    const { program, batch } = await answeringProgram(network.model(), train);
    await this.engine.load(method, program);
    this.loaded.set(method, { network, batch });
    return batch;
  }
}
