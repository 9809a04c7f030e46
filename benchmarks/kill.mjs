// Kills training runs at random moments and resumes them: does each end as if it had never been killed?
//
//   npm run build && node benchmarks/kill.mjs [kills per optimizer, default 20]
//
// For SGD, SAM and bilateral SAM with momentum, a moving average of the weights, warm-up and cosine, and augmentation:
// one run to the end, then runs that are killed (SIGKILL) after a random time and resumed. Compares the bytes of the
// network and of the averaged network. Prints one JSON line an optimizer; exits with 1 on a difference.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const lowland = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const kills = Number(process.argv[2] ?? 20);
const folder = mkdtempSync(join(tmpdir(), "lowland-kill-"));

const shared = {
  data: "digits",
  model: "cnn",
  epochs: 12,
  batchSize: 128,
  augmentation: { crop: 1, cutout: { size: 2 } },
  schedule: { name: "warm-up", epochs: 2 },
  averaging: { name: "exponential", decay: 0.99 },
  threads: 1,
};

let allEqual = true;
for (const method of ["sgd", "sam", "bilateral-sam"]) {
  const config = join(folder, `${method}.json`);
  writeFileSync(config, JSON.stringify({ ...shared, optimizer: { method } }));
  const train = (out, ...flags) => [
    lowland,
    "train",
    "--config",
    config,
    "--out",
    join(folder, out),
    "--json",
    ...flags,
  ];
  const started = performance.now();
  finish(train(`${method}-whole`));
  const duration = performance.now() - started;
  let [equal, resumed] = [0, 0];
  for (let kill = 0; kill < kills; kill++) {
    const out = `${method}-killed`;
    rmSync(join(folder, out), { recursive: true, force: true });
    resumed += (await killAfter(Math.random() * duration, train(out))) ? 1 : 0;
    finish(train(out, "--resume"));
    if (sameFiles(`${method}-whole`, out)) equal++;
  }
  allEqual &&= equal === kills;
  console.log(
    JSON.stringify({
      method,
      kills,
      killedBeforeTheEnd: resumed,
      equal,
      secondsOfARun: Math.round(duration / 100) / 10,
    }),
  );
}
rmSync(folder, { recursive: true, force: true });
process.exit(allEqual ? 0 : 1);

/** Runs to the end. */
function finish(args) {
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`exit code ${status}: ${stderr}`);
}

/** Starts a run and kills it; whether that was before it had ended by itself. */
function killAfter(milliseconds, args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { stdio: "ignore" });
    const timer = setTimeout(() => child.kill("SIGKILL"), milliseconds);
    child.on("exit", (_code, signal) => {
      clearTimeout(timer);
      resolve(signal === "SIGKILL");
    });
  });
}

function sameFiles(one, other) {
  return ["model.onnx", "model-average.onnx"].every((name) =>
    readFileSync(join(folder, one, name)).equals(readFileSync(join(folder, other, name))),
  );
}
