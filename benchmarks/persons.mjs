// A folder in COCO's format as a data set: cutting its persons out once, and an epoch of pose estimation from the cache.
//
//   npm run build && node benchmarks/persons.mjs                      # 5,000 generated people in pictures of 192×192
//   nice node benchmarks/persons.mjs --count 20000 --keep /tmp/people
//
// Writes `people` as a folder (`lowland data people --out`), then measures in two processes of their own: loading it
// with an empty cache, and, with the cache warm, one epoch of `simple-baseline-small`. Prints one JSON line each.
// Pictures per second of processor time do not depend on what else the machine does. `waiting` is the share of the epoch
// in which the engine's thread had nothing to do: it waited for the next batch. `peakMegabytes` is the largest memory of
// the whole process. With --keep the folder and the cache stay and are used again.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { filesOf, inPhases, peakMegabytes, perProcessorSecond, rounded, watchedEngine } from "./phases.mjs";

const { values: options } = parseArgs({
  options: {
    count: { type: "string", default: "5000" }, // training persons, a picture each
    stored: { type: "string", default: "192" }, // height and width of the pictures
    size: { type: "string", default: "96" }, // of the network's input
    "batch-size": { type: "string", default: "64" },
    limit: { type: "string" }, // training persons of the epoch, drawn from all; default: every one
    threads: { type: "string", default: String(cpus().length) },
    keep: { type: "string" }, // folder to keep the pictures and the cache in
    phase: { type: "string" }, // for the processes that this one starts
  },
});
const count = Number(options.count);
const size = Number(options.size);
const root = options.keep ?? mkdtempSync(join(tmpdir(), "lowland-people-"));
const folder = join(root, "people");
const cacheFolder = join(root, "cache");

await inPhases(
  { cut, epoch },
  {
    phase: options.phase,
    script: import.meta.url,
    root,
    keep: options.keep,
    before: write,
    about: { count, stored: options.stored, size },
  },
);

function write() {
  if (existsSync(folder)) return;
  const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const people = `people:train=${count},test=64,size=${options.stored}`;
  const args = [program, "data", people, "--out", folder];
  const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] });
  if (status !== 0) process.exit(status ?? 1);
}

async function load(lowland, onProgress) {
  return lowland.loadSamples("persons", folder, { images: { size }, cacheFolder, onDecoded: onProgress });
}

/** Reading the annotations, and cutting every person out of its picture into the cache. */
async function cut() {
  const catalogue = await import(new URL("../dist/data/catalogue.js", import.meta.url).href);
  const before = process.cpuUsage();
  let decoded = 0;
  await load(catalogue, () => decoded++);
  const cost = perProcessorSecond(decoded, before);
  const bytes = filesOf(cacheFolder).reduce((sum, file) => sum + statSync(file).size, 0);
  return { decoded, ...cost, cacheMegabytes: Math.round(bytes / 1e6) };
}

/** One epoch from the cache, with every augmentation. */
async function epoch() {
  const catalogue = await import(new URL("../dist/data/catalogue.js", import.meta.url).href);
  const { train } = await import(new URL("../dist/index.js", import.meta.url).href);
  const engine = watchedEngine();
  const started = performance.now();
  const data = await load(catalogue);
  const loadSeconds = rounded((performance.now() - started) / 1000);
  const loadedMegabytes = peakMegabytes();
  const { epochs } = await train({
    ...{
      task: "pose",
      data,
      images: { size },
      optimizer: { method: "adam" },
      learningRate: 0.002,
      epochs: 1,
    },
    pose: { augmentation: { flip: 0.5, scale: 0.3, rotation: 40 } },
    batchSize: Number(options["batch-size"]),
    ...(options.limit && { limit: Number(options.limit) }),
    threads: Number(options.threads),
    sharpness: { images: 32 },
    onStep: engine.onStep,
  });
  data.close();
  return {
    loadSeconds,
    loadedMegabytes,
    ...engine.result(),
    examplesPerSecond: Math.round(epochs[0].examplesPerSecond),
    rowsPerProcessorSecond: await rowsPerProcessorSecond(data),
  };
}

/** What a training row costs: reading the part, and warping it into the network's input with its heat maps. */
async function rowsPerProcessorSecond(data) {
  const [{ parseRun }, { openTask }, { randomStream }] = await Promise.all(
    ["runs/configuration.js", "runs/open-task.js", "common/random.js"].map(
      (file) => import(new URL(`../dist/${file}`, import.meta.url).href),
    ),
  );
  const settings = {
    task: "pose",
    images: { size },
    pose: { augmentation: { flip: 0.5, scale: 0.3, rotation: 40 } },
  };
  const { task } = await openTask(parseRun(settings), data);
  const rows = Math.min(1000, data.train.count);
  const before = process.cpuUsage();
  for (let index = 0; index < rows; index++)
    task.row(await data.train.read(index), () => randomStream(1, "augment", 1, index));
  const { picturesPerProcessorSecond } = perProcessorSecond(rows, before);
  data.close();
  return picturesPerProcessorSecond;
}
