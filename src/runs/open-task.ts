import { randomStream } from "../common/random.ts";
import { type DataSource, subset } from "../data/source.ts";
import { taskNamed } from "../tasks/index.ts";
import type { DataPair, OpenedTask, TaskKind } from "../tasks/task.ts";
import type { RunConfiguration } from "./configuration.ts";

/**
 * The task of a configuration on its data: the training samples that it draws by the seed, and what the task makes of
 * them.
 * @param kind the task's code. Default: Lowland's own
 * @throws UserError for data of another kind, and for settings that do not fit them
 */
export async function openTask(
  configuration: RunConfiguration,
  { train, validation, test }: DataPair,
  kind: TaskKind = taskNamed(configuration.task),
): Promise<OpenedTask> {
  const { limit, seed } = configuration;
  const drawn = limit === undefined ? train : subset(train, limit, randomStream(seed, "subset"));
  const open = async (held: DataSource): Promise<OpenedTask> =>
    kind.open(ownSettings(configuration, kind), { train: drawn, test: held }, seed);
  const opened = await open(test);
  const metadata = { task: kind.name, ...opened.task.metadata };
  return {
    ...opened,
    ...(validation && { validation: (await open(validation)).evaluations[0] }),
    task: { ...opened.task, metadata },
  };
}

/** The part of a document that is the task's. */
function ownSettings(configuration: RunConfiguration, { settings }: TaskKind): Record<string, unknown> {
  return Object.fromEntries(Object.entries(configuration).filter(([name]) => name in settings));
}
