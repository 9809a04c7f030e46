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
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import sharp from "sharp";

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

const phases = { sharp: sharpAlone, decode, epoch };
if (options.phase) {
  const started = performance.now();
  const result = await phases[options.phase]();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage();
  console.log(
    JSON.stringify({
      phase: options.phase,
      ...result,
      seconds: rounded(seconds),
      processorSeconds: rounded((user + system) / 1e6),
      peakMegabytes: peakMegabytes(),
    }),
  );
} else {
  await makeFolder();
  console.log(
    JSON.stringify({ count, size, stored, distinct, processor: cpus()[0].model, cores: cpus().length }),
  );
  try {
    for (const phase of Object.keys(phases)) {
      const args = [...process.argv.slice(2), "--keep", root, "--phase", phase];
      const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...args], {
        stdio: "inherit",
      });
      if (status !== 0) process.exit(status ?? 1);
    }
  } finally {
    if (!options.keep) rmSync(root, { recursive: true });
  }
}

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
  let thread;
  process.on("worker", (worker) => {
    thread ??= worker;
  });
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
  let [before, after, steps] = [];
  const { summary, epochs } = await lowland.train({
    ...{ data, model, optimizer: lowland.sgd({ momentum: 0.9 }), learningRate: 0.05, epochs: 1 },
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
  const [idle, active] = [after.idle - before.idle, after.active - before.active];
  return {
    loadSeconds,
    loadedMegabytes,
    steps,
    waiting: rounded(idle / (idle + active)),
    examplesPerSecond: Math.round(epochs[0].examplesPerSecond),
    testAccuracy: rounded(summary.metrics.accuracy),
    filesOpen: existsSync("/proc/self/fd") ? openPixelFiles() : undefined,
  };
}

function openPixelFiles() {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith(cacheFolder)).length;
}

/** The most that the process had so far. */
function peakMegabytes() {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

function perProcessorSecond(done, before) {
  const { user, system } = process.cpuUsage(before);
  return { picturesPerProcessorSecond: Math.round(done / ((user + system) / 1e6)) };
}

function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function rounded(value) {
  return Math.round(value * 1000) / 1000;
}
