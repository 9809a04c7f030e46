import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { RunResult } from "../runs/run.ts";
import { taskRecord, tasks } from "../tasks/index.ts";
import type { EpochRecord, StepRecord } from "../train/records.ts";
import { outcomeLine } from "./output.ts";
import { duration, ProgressDisplay, restoreTerminal, say } from "./progress.ts";

// Standard error is recorded, its width and whether it is a terminal are pretended, and so is the time.

let written = "";
let seconds = 0;

function pretend({ columns }: { columns?: number }) {
  Object.defineProperty(process.stderr, "isTTY", { value: columns !== undefined, configurable: true });
  Object.defineProperty(process.stderr, "columns", { value: columns, configurable: true });
}

beforeEach(() => {
  written = "";
  seconds = 0;
  mock.method(performance, "now", () => 1000 * seconds);
  mock.method(process.stderr, "write", (text: string) => {
    written += text;
    return true;
  });
});

afterEach(() => {
  restoreTerminal();
  mock.restoreAll();
  for (const name of ["isTTY", "columns"] as const)
    delete (process.stderr as Partial<typeof process.stderr>)[name];
});

const step = (number: number) => ({ step: number, loss: 0.5 }) as StepRecord;
const epoch = { metrics: { accuracy: 0.853 } } as unknown as EpochRecord;

/** Follows a run of 40 steps in 4 epochs, a step a second, up to some step. */
function follow(display: ProgressDisplay, label: string, { to, from = 0 }: { to: number; from?: number }) {
  const { onStart, onStep, onEpoch } = display.follow(label, 3);
  onStart!({
    task: taskRecord(tasks.classification),
    totalSteps: 40,
    stepsPerEpoch: 10,
    batchSize: 64,
    finishedSteps: from,
    device: { name: "cpu" },
  });
  for (let number = from + 1; number <= to; number++) {
    seconds++;
    onStep!(step(number));
    if (number % 10 === 0) onEpoch!(epoch, { tensors: {}, model: () => new Uint8Array() });
  }
}

describe("without a terminal", () => {
  test("a plain line for a tenth of the steps, but every few seconds at most: step, epoch, loss, accuracy, speed and time left", () => {
    pretend({});
    follow(new ProgressDisplay({ totalWork: 0 }), "sam (ρ 0.1)", { to: 17 });
    assert.equal(
      written,
      "sam (ρ 0.1): step 5/40 (epoch 1), loss 0.500, 64 images/s, 35 s left\n" +
        "sam (ρ 0.1): step 10/40 (epoch 1), loss 0.500, 64 images/s, 30 s left\n" +
        "sam (ρ 0.1): step 15/40 (epoch 2), loss 0.500, test accuracy 85.3 %, 64 images/s, 25 s left\n",
    );
  });

  test("a long run has a line for each tenth of it, and one after two minutes without", () => {
    const linesOf = (stepSeconds: number) => {
      pretend({});
      written = "";
      const { onStart, onStep } = new ProgressDisplay({ totalWork: 0 }).follow("sgd", 1);
      onStart!({
        task: taskRecord(tasks.classification),
        totalSteps: 1000,
        stepsPerEpoch: 100,
        batchSize: 64,
        finishedSteps: 0,
        device: { name: "cpu" },
      });
      for (let number = 1; number <= 1000; number++) {
        seconds += stepSeconds;
        onStep!(step(number));
      }
      return [...written.matchAll(/step (\d+)\/1000/g)].map(([, number]) => Number(number));
    };
    // 1,000 s: after 5 s, then every 100 steps, rounding aside.
    const [first, ...others] = linesOf(1);
    assert.deepEqual([first, others.length], [5, 9]);
    for (const [index, number] of others.entries()) {
      const expected = 5 + 100 * (index + 1);
      assert.ok(number >= expected && number <= expected + 9, `${number}, not ${expected}`);
    }
    // 10,000 s: a tenth takes 1,000 s, so there are lines between.
    const long = linesOf(10);
    assert.ok(long.length >= 80 && long.length <= 90, String(long.length));
    for (const [index, number] of long.entries()) {
      assert.ok(index === 0 || 10 * (number - long[index - 1]) <= 120);
    }
    // 3 s: nothing but how it ends, which is not said here.
    assert.deepEqual(linesOf(0.003), []);
  });

  test("of several runs, the time left for all counts the work of each by its gradients", () => {
    pretend({});
    const display = new ProgressDisplay({ totalWork: 3 * 40 + 3 * 40 });
    follow(display, "[1/2] a", { to: 40 });
    written = "";
    follow(display, "[2/2] b", { to: 6 });
    assert.match(written, /^\[2\/2\] b: step 5\/40 .*, 35 s left, all 35 s\n$/);
  });

  test("of a resumed run, what was done before counts as done, but not for the speed", () => {
    pretend({});
    const display = new ProgressDisplay({ totalWork: 3 * 40 + 3 * 40 });
    follow(display, "[1/2] a", { from: 20, to: 26 });
    // 15 + 40 steps are left, a second each.
    assert.match(written, /step 25\/40 .*, 64 images\/s, 15 s left, all 55 s\n$/);
  });

  test("a run that ended early leaves no work behind", () => {
    pretend({});
    const display = new ProgressDisplay({ totalWork: 3 * 40 + 3 * 40 });
    follow(display, "[1/2] a", { to: 2 });
    written = "";
    follow(display, "[2/2] b", { to: 6 });
    assert.match(written, /, 35 s left, all 35 s\n$/);
  });
});

/** What the bar showed last. */
function lastLine(): string {
  const drawn = stripVTControlCharacters(written.replaceAll("\x1b[1G", "\n")).split("\n");
  return drawn.filter((text) => /\d\/40/.test(text)).at(-1)!;
}

/** Lets the bar draw, as its timer would. */
const draw = () => say("drawn");

describe("on a terminal", () => {
  const label = "[4/5] bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)";

  test("the bar fills the line and never more, and drops the least needed first", () => {
    const expected: Record<number, RegExp> = {
      160: /^\[4\/5\] bilateral-sam \(paper, ρmax 0\.05, ρmin 0\.05→0\) █+░+ 12\/40 {2}loss 0\.500 {2}test accuracy 85\.3 % {2}64 images\/s {2}28 s left {2}all 28 s$/,
      80: /^\[4\/5\] bilateral-sam █+░+ 12\/40 {2}loss 0\.500 {2}64 images\/s {2}28 s left {2}all 28 s$/,
      60: /^\[4\/5\] █+░+ 12\/40 {2}loss 0\.500 {2}28 s left {2}all 28 s$/,
      36: /^█+░+ 12\/40 {2}28 s left$/,
    };
    for (const [columns, line] of Object.entries(expected)) {
      pretend({ columns: Number(columns) });
      const display = new ProgressDisplay({ totalWork: 3 * 40 });
      follow(display, label, { to: 12 });
      draw();
      assert.match(lastLine(), line, `${columns} columns`);
      assert.ok(lastLine().length < Number(columns), `${lastLine().length} of ${columns} columns`);
      display.close();
      seconds = 0;
    }
  });

  test("before the first step the bar says that the run is being prepared", () => {
    pretend({ columns: 80 });
    new ProgressDisplay({ totalWork: 0 }).follow("[1/2] sgd", 1);
    draw();
    assert.match(stripVTControlCharacters(written), /\[1\/2\] sgd ░+ preparing …$/);
  });

  test("a line passes above the bar, which stays; the cursor is hidden and comes back", () => {
    pretend({ columns: 120 });
    const display = new ProgressDisplay({ totalWork: 0 });
    follow(display, "sgd", { to: 12 });
    assert.ok(written.includes("\x1b[?25l"));
    say("a word");
    assert.match(stripVTControlCharacters(written), /a word\nsgd █/);
    assert.ok(!written.includes("\x1b[?25h"));
    display.done("✓ sgd");
    assert.ok(written.includes("\x1b[?25h"));
    assert.ok(written.endsWith("✓ sgd\n"));
    say("plain again");
    assert.ok(written.endsWith("✓ sgd\nplain again\n"));
  });

  test("the cursor comes back when the process ends with the bar on", () => {
    pretend({ columns: 120 });
    const before = process.listenerCount("exit");
    const display = new ProgressDisplay({ totalWork: 0 });
    follow(display, "sgd", { to: 3 });
    assert.equal(process.listenerCount("exit"), before + 1);
    process.listeners("exit").at(-1)!(0);
    assert.ok(written.includes("\x1b[?25h"));
    assert.equal(process.listenerCount("exit"), before);
  });
});

test("a time is reported in seconds, then minutes, then hours", () => {
  const told = [-1, 0.4, 59.6, 99, 100, 187, 3599, 3600, 3725, 90_000].map(duration);
  assert.deepEqual(told, [
    "0 s",
    "0 s",
    "60 s",
    "99 s",
    "1:40 min",
    "3:07 min",
    "59:59 min",
    "1:00 h",
    "1:02 h",
    "25:00 h",
  ]);
});

test("how a run ended is one line: finished, with steps dropped, stopped, stopped at once, diverged", () => {
  const summary = {
    status: "finished",
    metrics: { accuracy: 0.8125 },
    seconds: 187,
    epochs: 3,
  };
  const task = taskRecord(tasks.classification);
  const line = (result: object) => outcomeLine("sgd", { task, skippedSteps: 0, ...result } as RunResult);
  assert.equal(line({ summary }), "✓ sgd: test accuracy 81.25 %, 3:07 min");
  assert.equal(
    line({ summary, skippedSteps: 2 }),
    "✓ sgd: test accuracy 81.25 %, 3:07 min, 2 steps dropped as not finite",
  );
  assert.equal(
    line({ summary: { ...summary, status: "interrupted" } }),
    "– sgd: test accuracy 81.25 %, 3:07 min, stopped after epoch 3",
  );
  assert.equal(line({}), "– sgd: stopped before the end of its first epoch");
  assert.equal(line({ summary, failure: new Error("step 3 broke") }), "✗ sgd: step 3 broke");
});
