// How fast a core reads 4 MiB that another core has just written: the tenth percentile of 200 times. Two virtual cores that share
// a cache now may not share one a minute later, and a step with several threads then takes longer. Prints one JSON line.
import { isMainThread, Worker, workerData } from "node:worker_threads";

const bytes = 4 << 20;
const [rest, read, end] = [0, 1, 2];

if (isMainThread) await measure();
else readOnRequest(workerData);

async function measure() {
  const shared = new SharedArrayBuffer(bytes);
  const memory = { shared, request: new SharedArrayBuffer(4), taken: new SharedArrayBuffer(8) };
  const [buffer, request, taken] = viewsOf(memory);
  const other = new Worker(new URL(import.meta.url), { workerData: memory });
  await new Promise((resolve, reject) => other.once("online", resolve).once("error", reject));
  const times = [];
  for (let round = 0; round < 200; round++) {
    buffer.fill(0);
    Atomics.store(request, 0, read);
    const deadline = performance.now() + 10_000;
    while (Atomics.load(request, 0) !== rest)
      if (performance.now() > deadline) throw new Error("the other thread did not answer within 10 seconds");
    times.push(taken[0]);
  }
  Atomics.store(request, 0, end);
  const milliseconds = times.sort((a, b) => a - b)[times.length / 10];
  console.log(JSON.stringify({ bytesPerSecond: bytes / (milliseconds / 1000) }));
}

/** The threads wait by spinning, so that neither begins with a core that slept. */
function readOnRequest(memory) {
  const [buffer, request, taken] = viewsOf(memory);
  while (Atomics.load(request, 0) !== end) {
    if (Atomics.load(request, 0) !== read) continue;
    const start = performance.now();
    // The buffer is zeros: looking for a one reads all of it, as fast as the C library does.
    buffer.includes(1);
    taken[0] = performance.now() - start;
    Atomics.store(request, 0, rest);
  }
}

function viewsOf({ shared, request, taken }) {
  return [Buffer.from(shared), new Int32Array(request), new Float64Array(taken)];
}
