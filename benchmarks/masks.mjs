// A folder of pictures and masks should cost no memory: writing wardrobe in Pascal VOC's format, decoding it once, and an
// epoch of the U-Net from the decoded pixels.
//
//   npm run build && nice node benchmarks/masks.mjs                    # 5,000 scenes of 64×64
//   nice node benchmarks/masks.mjs --count 20000 --size 96 --keep /tmp/scenes
//
// Three phases in processes of their own, as in folder.mjs, with a line of JSON each. --data-dir: Fashion-MNIST's files.
import { existsSync, mkdtempSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  filesOf,
  inPhases,
  openFiles,
  peakMegabytes,
  perProcessorSecond,
  rounded,
  watchedEngine,
} from "./phases.mjs";

const { values: options } = parseArgs({
  options: {
    count: { type: "string", default: "5000" }, // training scenes; a tenth as many are for testing
    size: { type: "string", default: "64" }, // height and width
    "batch-size": { type: "string", default: "32" },
    limit: { type: "string" }, // training scenes of the epoch; default: every one
    model: { type: "string", default: "unet" },
    threads: { type: "string", default: String(cpus().length) },
    keep: { type: "string" }, // folder to keep the scenes and the cache in
    "data-dir": { type: "string" },
    phase: { type: "string" }, // for the processes that this one starts
  },
});
const count = Number(options.count);
const size = Number(options.size);
const root = options.keep ?? mkdtempSync(join(tmpdir(), "lowland-scenes-"));
const scenes = join(root, "scenes");
const cacheFolder = join(root, "cache");
const built = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);

await inPhases(
  { write, decode, epoch },
  {
    phase: options.phase,
    script: import.meta.url,
    root,
    keep: options.keep !== undefined,
    before: () => {},
    about: { count, size },
  },
);

/** Drawing the scenes and writing them in Pascal VOC's format. */
async function write() {
  if (existsSync(scenes)) return { written: 0 };
  const { loadWardrobe } = await built("data/wardrobe/wardrobe.js");
  const { writeVocFolder } = await built("data/sets/voc-writer.js");
  const before = process.cpuUsage();
  const test = Math.ceil(count / 10);
  const places = { dataDirectory: options["data-dir"] };
  await writeVocFolder(scenes, await loadWardrobe({ train: count, test, size }, "wardrobe", places));
  return { written: count + test, ...perProcessorSecond(count + test, before) };
}

async function load(onDecoded) {
  const { loadSamples } = await built("data/catalogue.js");
  return loadSamples("masks", scenes, { images: { size }, cacheFolder, onDecoded });
}

/** Decoding every picture and mask into the cache, and checking the masks. */
async function decode() {
  const before = process.cpuUsage();
  let decoded = 0;
  await load(() => decoded++);
  const bytes = filesOf(cacheFolder).reduce((sum, path) => sum + statSync(path).size, 0);
  return { decoded, ...perProcessorSecond(decoded, before), cacheMegabytes: rounded(bytes / 1e6) };
}

/** One epoch from the cache. */
async function epoch() {
  const { train } = await built("index.js");
  const engine = watchedEngine();
  const started = performance.now();
  const data = await load();
  const loadSeconds = rounded((performance.now() - started) / 1000);
  const loadedMegabytes = peakMegabytes();
  const before = process.cpuUsage();
  const { epochs } = await train({
    ...{ data, task: "segmentation", model: options.model, optimizer: { method: "sgd" } },
    ...{ learningRate: 0.05, epochs: 1, batchSize: Number(options["batch-size"]) },
    ...(options.limit && { limit: Number(options.limit) }),
    threads: Number(options.threads),
    sharpness: { images: 32 },
    onStep: engine.onStep,
  });
  return {
    loadSeconds,
    loadedMegabytes,
    ...engine.result(),
    ...perProcessorSecond(Number(options.limit ?? data.train.count), before),
    examplesPerSecond: Math.round(epochs[0].examplesPerSecond),
    filesOpen: openFiles(cacheFolder),
  };
}
