import { randomStream } from "../common/random.ts";
import { subset } from "../data/source.ts";
import { tasks } from "../tasks/index.ts";
import type { DataPair, OpenedTask } from "../tasks/task.ts";
import type { RunConfiguration } from "./configuration.ts";

/**
 * The task of a configuration on its data: the training samples that it draws by the seed, and what the task makes of
 * them.
 * @throws UserError for data of another kind, and for settings that do not fit them
 */
export function openTask(configuration: RunConfiguration, { train, test }: DataPair): OpenedTask {
  const { task, limit, seed } = configuration;
  const drawn = limit === undefined ? train : subset(train, limit, randomStream(seed, "subset"));
  return tasks[task].open(configuration, { train: drawn, test }, seed);
}
