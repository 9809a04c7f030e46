import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type Browser,
  type BrowserContextOptions,
  type CDPSession,
  chromium,
  type Page,
} from "playwright-core";
import { serveFolder } from "../cli/static-server.ts";
import { executable } from "./chromium.ts";

// The playground in the Chromium of the system, as a visitor has it, and what it costs there.

const site = fileURLToPath(new URL("../playground/site", import.meta.url));

/** Milliseconds that a test waits for anything: a machine may have much other work. */
const patience = 600_000;

export interface Playground {
  browser: Browser;
  page: Page;
  /** Waits for a state of the page. */
  inState(state: string): Promise<unknown>;
  /** The text of the table's cell, both counted from 1. */
  cell(row: number, column: number): Promise<string | null>;
  /** Presses a button, and gives the file that it hands out. */
  downloaded(button: string): Promise<Buffer>;
  close(): Promise<void>;
}

/**
 * Opens the playground.
 * @param hash settings in its address
 * @param prepare is called with the page before it loads
 * @param args further arguments of the browser
 */
export async function openPlayground(
  hash: string,
  {
    prepare,
    args = [],
    ...context
  }: BrowserContextOptions & { prepare?: (page: Page) => Promise<unknown>; args?: readonly string[] } = {},
): Promise<Playground> {
  const server = await serveFolder(site, 0);
  const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", ...args] });
  const size = { viewport: { width: 1280, height: 800 } };
  const page = await (await browser.newContext({ ...size, ...context })).newPage();
  page.setDefaultTimeout(patience);
  const errors: Error[] = [];
  page.on("pageerror", (error) => errors.push(error));
  await prepare?.(page);
  await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/#${hash}`);
  return {
    browser,
    page,
    inState: (state) =>
      page.waitForFunction((wanted) => document.documentElement.dataset.state === wanted, state),
    cell: (row, column) => page.locator(`#rows tr:nth-child(${row}) td:nth-of-type(${column})`).textContent(),
    async downloaded(button) {
      const [download] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
      return readFile(await download.path());
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
      assert.deepEqual(errors, []);
    },
  };
}

/** Inside a `describe`: opens the playground before its tests, and closes it after. */
export function playgroundOfTests(...how: Parameters<typeof openPlayground>): Playground {
  const opened = {} as Playground;
  before(async () => Object.assign(opened, await openPlayground(...how)));
  after(() => opened.close?.());
  return opened;
}

/**
 * Chooses a folder "mine" with 20 red and 20 blue pictures, each in the folder of its color.
 * @param others how many files among the red ones have a picture's name and are none
 */
export async function choosePictures(page: Page, { others = 0 } = {}): Promise<void> {
  await page.evaluate(async (others) => {
    const files: File[] = [];
    const add = (content: BlobPart[], path: string) =>
      files.push(Object.defineProperty(new File(content, path), "webkitRelativePath", { value: path }));
    for (let number = 0; number < 20; number++)
      for (const color of ["red", "blue"]) {
        const canvas = new OffscreenCanvas(20, 20);
        const context = canvas.getContext("2d");
        if (!context) throw new Error("no context");
        context.fillStyle = color;
        context.fillRect(0, 0, 20, number + 1);
        add([await canvas.convertToBlob()], `mine/${color}/${number}.png`);
      }
    for (let number = 0; number < others; number++) add(["no picture"], `mine/red/other-${number}.png`);
    const input = document.getElementById("folder");
    Object.defineProperty(input, "files", { value: files, configurable: true });
    input?.dispatchEvent(new Event("change", { bubbles: true }));
  }, others);
}

/** Of a task of a page's main thread, in milliseconds. */
export interface ThreadTask {
  /** From its begin to its end; on a machine with other work also the time that its thread waited for a processor. */
  wall: number;
  /** What the thread computed in it. */
  cpu: number;
}

/** The tasks of the page's main thread while something happens. */
export async function tasksDuring(
  { browser, page }: Pick<Playground, "browser" | "page">,
  action: () => Promise<unknown>,
): Promise<ThreadTask[]> {
  await browser.startTracing(page, { categories: ["toplevel", "blink.user_timing"] });
  // Tells which of the threads it is.
  await page.evaluate(() => performance.mark("main thread"));
  await action();
  // The task that answered is over, and in the trace.
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve)));
  const { traceEvents } = JSON.parse(String(await browser.stopTracing())) as { traceEvents: TraceEvent[] };
  const mark = traceEvents.find(({ name }) => name === "main thread");
  if (!mark) throw new Error("the trace holds no mark of the page");
  return traceEvents
    .filter(
      ({ name, ph, pid, tid }) => ph === "X" && /RunTask$/.test(name) && pid === mark.pid && tid === mark.tid,
    )
    .map(({ dur = 0, tdur = dur }) => ({ wall: dur / 1000, cpu: tdur / 1000 }));
}

/** An event of Chromium's traces; times are microseconds. */
interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  dur?: number;
  /** Of the thread, in the event; Chromium 156 leaves it out of some. */
  tdur?: number;
}

/** What is in use after a garbage collection, in bytes. */
export interface Memory {
  page: number;
  worker: number;
  /** ONNX Runtime's memory, which never shrinks. */
  wasm: number;
}

/** Makes the page's worker keep the memories that WebAssembly gets there, for {@link memoryOf}; before the page loads. */
export function keepWasmMemories(page: Page): Promise<unknown> {
  const kept = `globalThis.wasmMemories = [];
    WebAssembly.Memory = class extends WebAssembly.Memory {
      constructor(limits) {
        super(limits);
        globalThis.wasmMemories.push(this);
      }
    };`;
  return page.route("**/worker.js", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `${kept}\n${await response.text()}` });
  });
}

/** Measures the memory of a page that {@link keepWasmMemories} has prepared, and of its worker. */
export async function memoryOf(page: Page): Promise<Memory> {
  const [worker] = page.workers();
  const sizes = await worker.evaluate(() =>
    (globalThis as unknown as { wasmMemories: WebAssembly.Memory[] }).wasmMemories.map(
      ({ buffer }) => buffer.byteLength,
    ),
  );
  const session = await page.context().newCDPSession(page);
  try {
    const call = await workerCalls(session);
    await session.send("HeapProfiler.collectGarbage");
    await call("HeapProfiler.collectGarbage");
    const used = ({ usedSize, backingStorageSize }: HeapUsage) => usedSize + backingStorageSize;
    const ofWorker = await call("Runtime.getHeapUsage");
    const ofPage = (await session.send("Runtime.getHeapUsage")) as unknown as HeapUsage;
    return { page: used(ofPage), worker: used(ofWorker), wasm: sizes.reduce((sum, size) => sum + size, 0) };
  } finally {
    await session.detach();
  }
}

interface HeapUsage {
  usedSize: number;
  /** Of array buffers. */
  backingStorageSize: number;
}

/**
 * Calls of Chromium's protocol in the page's only worker.
 * @throws Error where one is not answered for {@link patience}
 */
async function workerCalls(session: CDPSession): Promise<(method: string) => Promise<HeapUsage>> {
  const attached = new Promise<string>((resolve) => {
    session.on("Target.attachedToTarget", ({ sessionId }) => resolve(sessionId));
  });
  await session.send("Target.setAutoAttach", {
    ...{ autoAttach: true, waitForDebuggerOnStart: false, flatten: false },
  });
  const sessionId = await attached;
  let last = 0;
  const waiting = new Map<number, (answer: HeapUsage) => void>();
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result } = JSON.parse(message) as { id: number; result: HeapUsage };
    waiting.get(id)?.(result);
  });
  return async (method) => {
    const id = ++last;
    const answer = new Promise<HeapUsage>((resolve, reject) => {
      waiting.set(id, resolve);
      const late = () => reject(new Error(`${method} was not answered in ${patience / 1000} s`));
      setTimeout(late, patience).unref();
    });
    await session.send("Target.sendMessageToTarget", {
      sessionId,
      message: JSON.stringify({ id, method }),
    });
    return answer;
  };
}

/** Seconds that the processors computed for the browser's processes so far. */
export async function processorSeconds(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  try {
    const { processInfo } = await session.send("SystemInfo.getProcessInfo");
    return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  } finally {
    await session.detach();
  }
}
