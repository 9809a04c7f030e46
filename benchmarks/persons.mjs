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
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

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

const phases = { cut, epoch };
if (options.phase) {
  const result = await phases[options.phase]();
  const { user, system } = process.cpuUsage();
  const processorSeconds = rounded((user + system) / 1e6);
  console.log(
    JSON.stringify({ phase: options.phase, ...result, processorSeconds, peakMegabytes: peakMegabytes() }),
  );
} else {
  console.log(
    JSON.stringify({ count, stored: options.stored, size, processor: cpus()[0].model, cores: cpus().length }),
  );
  try {
    if (!existsSync(folder)) {
      const program = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
      const people = `people:train=${count},test=64,size=${options.stored}`;
      start([program, "data", people, "--out", folder]);
    }
    for (const phase of Object.keys(phases))
      start([fileURLToPath(import.meta.url), ...process.argv.slice(2), "--keep", root, "--phase", phase]);
  } finally {
    if (!options.keep) rmSync(root, { recursive: true });
  }
}

function start(args) {
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
  const { user, system } = process.cpuUsage(before);
  const bytes = readdirSync(cacheFolder).reduce(
    (sum, name) => sum + statSync(join(cacheFolder, name)).size,
    0,
  );
  return {
    decoded,
    picturesPerProcessorSecond: Math.round(decoded / ((user + system) / 1e6)),
    cacheMegabytes: Math.round(bytes / 1e6),
  };
}

/** One epoch from the cache, with every augmentation. */
async function epoch() {
  const catalogue = await import(new URL("../dist/data/catalogue.js", import.meta.url).href);
  const { train } = await import(new URL("../dist/index.js", import.meta.url).href);
  let thread;
  process.on("worker", (worker) => {
    thread ??= worker;
  });
  const started = performance.now();
  const data = await load(catalogue);
  const loadSeconds = rounded((performance.now() - started) / 1000);
  const loadedMegabytes = peakMegabytes();
  let [before, after, steps] = [];
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
    onStep: ({ step }) => {
      after = thread.performance.eventLoopUtilization();
      // The first step has what happens once.
      if (step === 1) before = after;
      steps = step;
    },
  });
  data.close();
  const [idle, active] = [after.idle - before.idle, after.active - before.active];
  return {
    loadSeconds,
    loadedMegabytes,
    steps,
    waiting: rounded(idle / (idle + active)),
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
  const { task } = openTask(parseRun(settings), data);
  const rows = Math.min(1000, data.train.count);
  const before = process.cpuUsage();
  for (let index = 0; index < rows; index++)
    task.row(await data.train.read(index), () => randomStream(1, "augment", 1, index));
  const { user, system } = process.cpuUsage(before);
  data.close();
  return Math.round(rows / ((user + system) / 1e6));
}

/** The most that the process had so far. */
function peakMegabytes() {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function rounded(value) {
  return Math.round(value * 1000) / 1000;
}
