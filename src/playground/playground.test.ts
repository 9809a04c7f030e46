import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseComparison, parseRun } from "../runs/configuration.ts";
import type { DeviceRecord } from "../runtime/proving-engine.ts";
import { axisOf } from "./axis.ts";
import { deviceText } from "./device-text.ts";
import { digitPixels } from "./digit.ts";
import { methods } from "./methods.ts";
import { Redraws } from "./redraws.ts";
import { Rounds } from "./rounds.ts";
import { comparisonDocument, hashOf, runDocument, type Settings, settingsFrom } from "./settings.ts";

// The parts of the playground that need no page.

describe("settings in the address", () => {
  test("are read as they are written", () => {
    const settings: Settings = {
      ...{ data: "pictures", network: "cnn", device: "webgpu" },
      ...{ noise: 15, seed: 7, epochs: 3 },
    };
    assert.deepEqual(settingsFrom(`#${hashOf(settings)}`), settings);
  });

  test("that are missing or out of range have their defaults", () => {
    const defaults = { data: "digits", network: "mlp", device: "cpu", noise: 40, seed: 1, epochs: 20 };
    const wrong = [
      "#noise=61&seed=-1&epochs=0&device=cuda",
      "#noise=&seed=x&epochs=1.5&network=vgg&data=http",
    ];
    for (const hash of ["", ...wrong]) assert.deepEqual(settingsFrom(hash), defaults);
  });
});

test("documents of the page are documents of lowland train and compare", () => {
  const data = { name: "digits", trainImages: 1400 };
  const settings = settingsFrom("#noise=20&seed=5");
  const runs = parseComparison(comparisonDocument(settings, data));
  assert.deepEqual(
    runs.map(({ name }) => name),
    methods.map(({ name }) => name),
  );
  for (const [index, method] of methods.entries())
    assert.deepEqual(runs[index].configuration, parseRun(runDocument(settings, data, method)));
  const clean = parseRun(runDocument({ ...settings, noise: 0 }, data, methods[0]));
  assert.equal(clean.seed, 5);
});

test("documents of an ONNX file and of pictures are documents too", () => {
  const images = { size: 224, channels: 3 } as const;
  const data = { name: "photos", trainImages: 40, images, file: "mine.onnx" };
  const settings = settingsFrom("#data=pictures&network=file&noise=0");
  for (const method of methods) {
    const { model, images: decoded } = parseRun(runDocument(settings, data, method));
    assert.equal(typeof model === "object" && model.file, "mine.onnx");
    assert.deepEqual(decoded, parseRun({ images }).images);
  }
  assert.equal(parseComparison(comparisonDocument(settings, data)).length, methods.length);
});

describe("the axis of a curve", () => {
  const ends = (...values: number[]) => {
    const { min, max, interval } = axisOf(values) ?? assert.fail();
    return [min, max, interval].map((value) => Number(value.toPrecision(6)));
  };

  test("has round ends around its values", () => {
    assert.deepEqual(ends(0.813, 0.94), [0.8, 0.95, 0.05]);
    assert.deepEqual(ends(0.33, 1), [0.2, 1, 0.2]);
    assert.deepEqual(ends(0, 0.06), [0, 0.06, 0.02]);
    assert.equal(axisOf([]), undefined);
  });

  test("of shares stays within 0 and 100 %, also for one value", () => {
    for (let low = 0; low <= 1000; low++)
      for (const high of new Set([low, (low + 1000) / 2, 1000])) {
        const [min, max, interval] = ends(low / 1000, high / 1000);
        assert.ok(min >= 0 && min <= low / 1000 && max >= high / 1000 && max <= 1, `${low}, ${high}`);
        const count = (max - min) / interval;
        assert.ok(Math.abs(count - Math.round(count)) < 1e-6 && count < 5.5, `${low}, ${high}: ${count}`);
      }
  });
});

describe("what a page says of the device", () => {
  const records = (...devices: DeviceRecord[]) =>
    new Map(devices.map((device, index) => [methods[index].name, device]));
  const gpu = { name: "webgpu", adapter: "a GPU" };
  const cpu = { name: "cpu", reason: "webgpu (a GPU) computes a training step wrong" };

  test("is which methods run where, once that is known", () => {
    assert.match(deviceText("cpu", new Map()), /^WebAssembly/);
    assert.match(deviceText("webgpu", new Map()), /^Tested first/);
    assert.equal(deviceText("webgpu", records(gpu)), "On webgpu (a GPU): SGD.");
    assert.equal(
      deviceText("webgpu", records(gpu, gpu, gpu, gpu)),
      "On webgpu (a GPU), which passed its test.",
    );
    assert.equal(
      deviceText("webgpu", records(cpu, cpu, cpu, cpu)),
      "On the CPU: the GPU did not pass its test.",
    );
    assert.equal(
      deviceText("webgpu", records(gpu, gpu, gpu, cpu)),
      "On webgpu (a GPU): SGD; SAM, ρ 0.05; SAM, ρ 0.1. On the CPU: bilateral SAM.",
    );
  });
});

describe("redrawing", () => {
  /** Parts that tell when they are drawn, and frames that come when they are asked for. */
  function begin() {
    const drawn: string[] = [];
    const frames: (() => void)[] = [];
    const part = (name: string) => () => drawn.push(name);
    const redraws = new Redraws({ a: part("a"), b: part("b") }, (draw) => frames.push(draw));
    return { drawn, frames, redraws, frame: () => frames.shift()?.() };
  }

  test("draws one part a frame, and a part that is due twice once", () => {
    const { drawn, frames, redraws, frame } = begin();
    redraws.due("b", "a");
    redraws.due("b");
    assert.deepEqual([drawn.join(""), frames.length], ["", 1]);
    frame();
    assert.equal(drawn.join(""), "b");
    frame();
    assert.equal(drawn.join(""), "ba");
    assert.equal(frames.length, 0);
  });

  test("lets no part wait for another that is due again and again", () => {
    const { drawn, redraws, frame } = begin();
    for (let round = 0; round < 4; round++) {
      redraws.due("a", "b");
      frame();
    }
    assert.equal(drawn.join(""), "abab");
  });
});

describe("a drawn digit", () => {
  const drawing = (size: number, isInk: (x: number, y: number) => boolean) =>
    Array.from({ length: size * size }, (_, place) => isInk(place % size, Math.floor(place / size)));

  test("fills the image wherever it is drawn and however large", () => {
    const square = (from: number, to: number) =>
      digitPixels(drawing(160, (x, y) => x >= from && x < to && y >= from && y < to));
    assert.deepEqual([...square(10, 74)], new Array(64).fill(16));
    assert.deepEqual(square(20, 148), square(10, 74));
  });

  test("keeps its form: a tall one stays in the middle", () => {
    const pixels = digitPixels(drawing(160, (x, y) => x < 16 && y < 64));
    for (let row = 0; row < 8; row++)
      assert.deepEqual([...pixels.subarray(8 * row, 8 * row + 8)], [0, 0, 0, 16, 16, 0, 0, 0]);
  });

  test("that is none is empty", () => {
    assert.deepEqual([...digitPixels(drawing(160, () => false))], new Array(64).fill(0));
  });
});

describe("rounds", () => {
  /** Runs that take steps as they may, and the order in which they did. */
  function begin(limit: number) {
    const steps: string[] = [];
    let waits = 0;
    const rounds = new Rounds(limit, () => waits++);
    const names = ["a", "b", "c"];
    for (const name of names) rounds.join(name);
    const ended = names.map(async (name, index) => {
      await rounds.begin(name);
      // The last ones end earlier.
      for (let step = 0; step < 4 - index; step++) {
        steps.push(name);
        await rounds.next(name);
      }
      rounds.leave(name);
    });
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    return { rounds, steps, settle, ended: Promise.all(ended), waits: () => waits };
  }

  test("go by turns, also when some end", async () => {
    const { steps, ended } = begin(Number.POSITIVE_INFINITY);
    await ended;
    assert.equal(steps.join(""), "abcabcaba");
  });

  test("stop where all have taken the same number of steps", async () => {
    const { rounds, steps, settle, ended, waits } = begin(1);
    await settle();
    assert.deepEqual([steps.join(""), waits()], ["abc", 1]);
    rounds.allow(1);
    await settle();
    assert.deepEqual([steps.join(""), waits()], ["abcabc", 2]);
    rounds.allow(Number.POSITIVE_INFINITY);
    await ended;
    assert.equal(steps.join(""), "abcabcaba");
  });

  test("end the round that has begun when they are paused in it", async () => {
    const { rounds, steps, settle } = begin(Number.POSITIVE_INFINITY);
    // The first run has the turn.
    rounds.pause();
    await settle();
    assert.equal(steps.join(""), "abc");
  });
});
