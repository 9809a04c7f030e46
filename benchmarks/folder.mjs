// A folder of pictures that is larger than memory should hold: decoding it once, and an epoch from the decoded pixels.
//
//   npm run build && node benchmarks/folder.mjs                       # 5,000 pictures of 224×224
//   nice node benchmarks/folder.mjs --count 50000 --keep /tmp/pictures
//
// Makes a folder of JPEG files in 10 classes: `--distinct` pictures are drawn, the other names are hard links to them.
// Then three processes of their own: sharp alone in a bare loop; loading the folder with an empty cache; and, with the
// cache warm, one epoch of a small convolutional network. Prints one JSON line each. Pictures per second of processor
// time do not depend on what else the machine does. `waiting` is the share of the epoch in which the engine's thread had
// nothing to do: it waited for the next batch. `peakMegabytes` is the largest memory of the whole process, so
// with ONNX Runtime's and, in the epoch, one batch in the step and one ahead. With --keep the folder and the cache stay
// and are used again.
import { existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, statSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";
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
    count: { type: "string", default: "5000" }, // pictures
    size: { type: "string", default: "224" }, // height and width, of the files and in training
    stored: { type: "string" }, // height and width of the files, where they differ
    distinct: { type: "string", default: "500" }, // pictures that are drawn
    "batch-size": { type: "string", default: "32" },
    limit: { type: "string" }, // training pictures of the epoch, drawn from all; default: every one
    "test-share": { type: "string", default: "0.2" },
    threads: { type: "string", default: String(cpus().length) },
    keep: { type: "string" }, // folder to keep the pictures and the cache in
    dist: { type: "string", default: "../dist" }, // the build to measure
    phase: { type: "string" }, // for the processes that this one starts
  },
});
const count = Number(options.count);
const size = Number(options.size);
const stored = Number(options.stored ?? size);
const distinct = Math.min(count, Number(options.distinct));
const classes = 10;
const root = options.keep ?? mkdtempSync(join(tmpdir(), "lowland-pictures-"));
const pictures = join(root, "pictures");
const cacheFolder = join(root, "cache");

await inPhases(
  { sharp: sharpAlone, decode, epoch },
  {
    phase: options.phase,
    script: import.meta.url,
    root,
    keep: options.keep !== undefined,
    before: makeFolder,
    about: { count, size, stored, distinct },
  },
);

/** Pictures with broad shapes and some noise: as many bytes as photographs have. */
async function makeFolder() {
  if (existsSync(pictures)) return;
  const drawn = [];
  for (let index = 0; index < count; index++) {
    const folder = join(pictures, `class ${index % classes}`);
    if (index < classes) mkdirSync(folder, { recursive: true });
    const path = join(folder, `${String(index).padStart(6, "0")}.jpg`);
    if (index < distinct) {
      await sharp(pixelsOf(index), { raw: { width: stored, height: stored, channels: 3 } })
        .jpeg({ quality: 90 })
        .toFile(path);
      drawn.push(path);
    } else
      linkSync(
        drawn[(index % classes) + classes * (Math.floor(index / classes) % Math.floor(distinct / classes))],
        path,
      );
  }
}

function pixelsOf(index) {
  const pixels = new Uint8Array(stored * stored * 3);
  const [turn, scale] = [(index % classes) / classes, 8 + (index % 37)];
  for (let at = 0; at < pixels.length; at++) {
    const [column, row] = [Math.floor(at / 3) % stored, Math.floor(at / 3 / stored)];
    const wave = Math.sin(
      (column * Math.cos(turn * Math.PI) + row * Math.sin(turn * Math.PI)) / scale + (at % 3),
    );
    pixels[at] = 127 + 90 * wave + 30 * (Math.random() - 0.5);
  }
  return pixels;
}

/** What decoding costs at the least: sharp to raw pixels of that size, with as many under way. */
async function sharpAlone() {
  const paths = filesOf(pictures).slice(0, 2000);
  const before = process.cpuUsage();
  const ahead = 2 * cpus().length;
  let next = 0;
  await Promise.all(
    Array.from({ length: ahead }, async () => {
      while (next < paths.length) {
        const bytes = readFileSync(paths[next++]);
        await sharp(bytes).resize({ width: size, height: size, kernel: "linear" }).raw().toBuffer();
      }
    }),
  );
  return perProcessorSecond(paths.length, before);
}

async function load(onDecoded) {
  const { loadDataset } = await import(new URL(`${options.dist}/index.js`, import.meta.url).href);
  return loadDataset(pictures, {
    images: { size, testShare: Number(options["test-share"]) },
    cacheFolder,
    onDecoded,
  });
}

/** Listing the folder and decoding every file into the cache. */
async function decode() {
  const before = process.cpuUsage();
  let decoded = 0;
  await load(() => decoded++);
  const bytes = filesOf(cacheFolder).reduce((sum, path) => sum + statSync(path).size, 0);
  return { decoded, ...perProcessorSecond(decoded, before), cacheMegabytes: Math.round(bytes / 1e6) };
}

/** One epoch from the cache. */
async function epoch() {
  const lowland = await import(new URL(`${options.dist}/index.js`, import.meta.url).href);
  const { batchNorm, conv2d, flatten, globalAveragePool, linear, maxPool, relu, sequential } = lowland.nn;
  const engine = watchedEngine();
  const started = performance.now();
  const data = await load();
  const loadSeconds = rounded((performance.now() - started) / 1000);
  const loadedMegabytes = peakMegabytes();
  const model = sequential({
    conv1: conv2d(3, 16, 5, { stride: 4, padding: 2 }),
    bn1: batchNorm(16),
    relu1: relu(),
    pool: maxPool(2),
    conv2: conv2d(16, 32, 3, { padding: 1 }),
    bn2: batchNorm(32),
    relu2: relu(),
    conv3: conv2d(32, 64, 3, { stride: 2, padding: 1 }),
    relu3: relu(),
    pool2: globalAveragePool(),
    flatten: flatten(),
    fc: linear(64, classes),
  });
  const { summary, epochs } = await lowland.train({
    ...{ data, model, optimizer: lowland.sgd({ momentum: 0.9 }), learningRate: 0.05, epochs: 1 },
    batchSize: Number(options["batch-size"]),
    ...(options.limit && { limit: Number(options.limit) }),
    threads: Number(options.threads),
    sharpness: { images: 32 },
    onStep: engine.onStep,
  });
  return {
    loadSeconds,
    loadedMegabytes,
    ...engine.result(),
    examplesPerSecond: Math.round(epochs[0].examplesPerSecond),
    testAccuracy: rounded(summary.metrics.accuracy),
    filesOpen: openFiles(cacheFolder),
  };
}
