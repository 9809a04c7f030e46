import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { loadDataset } from "../data/catalogue.ts";
import { decodeImage } from "../data/image-file.ts";
import type { Details, Picture } from "../tasks/details.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import type { RunSummary } from "../train/records.ts";
import { readEvaluation, readEvaluationPicture, writeEvaluation } from "./evaluation-record.ts";
import { type TrainOptions, train } from "./train.ts";

const root = temporaryFolder();

const gray: Picture = { channels: 1, height: 2, width: 3, data: Uint8Array.of(0, 50, 100, 150, 200, 255) };
const red: Picture = { channels: 3, height: 1, width: 2, data: Uint8Array.of(255, 250, 0, 1, 2, 3) };
const large: Picture = { channels: 3, height: 300, width: 200, data: new Uint8Array(180_000).fill(90) };

function detailsOf(pictures: readonly Picture[]): Details {
  return {
    tables: [
      {
        ...{ id: "parts", title: "By part", rowsAre: "part", compared: "share" },
        columns: [
          { name: "share", label: "share", unit: "%" },
          { name: "word", label: "word", unit: "" },
        ],
        rows: [
          { name: "left", values: [0.5, "a"] },
          { name: "right", values: [null, null] },
        ],
      },
    ],
    matrices: [
      {
        ...{ id: "pairs", title: "Pairs", rowsAre: "from", columnsAre: "to" },
        ...{ rows: ["a"], columns: ["a", "b"], counts: [[1, 2]] },
      },
    ],
    samples: [
      {
        ...{ id: "odd", title: "Odd ones" },
        columns: [{ name: "size", label: "size", unit: "" }],
        items: pictures.map((picture, index) => ({ index: 10 + index, values: [index], picture })),
      },
    ],
  };
}

const about = { task: "classification", data: "made", samples: 40 };

test("what is written is read; pixels are in files beside it, no larger than needed", async () => {
  const folder = join(root, "written");
  const details = detailsOf([gray, red, large]);
  await writeEvaluation(folder, { ...about, details });
  const record = await readEvaluation(folder);
  assert.deepEqual(
    { ...record!.details, samples: [] },
    { tables: details.tables, matrices: details.matrices, samples: [] },
  );
  assert.deepEqual([record!.task, record!.data, record!.samples], ["classification", "made", 40]);
  const [{ items }] = record!.details.samples;
  assert.deepEqual(
    items.map(({ index, values }) => [index, ...values]),
    [
      [10, 0],
      [11, 1],
      [12, 2],
    ],
  );
  assert.ok(readFileSync(join(folder, "evaluation.json")).length < 4000, "no pixels");
  const decoded = [];
  for (const { picture } of items)
    decoded.push(await decodeImage((await readEvaluationPicture(folder, picture))!));
  assert.deepEqual([...decoded[0].data.subarray(0, 6)], [...gray.data]);
  assert.deepEqual([decoded[0].height, decoded[0].width], [2, 3]);
  assert.deepEqual([...decoded[1].data], [...red.data]);
  assert.deepEqual([decoded[2].height, decoded[2].width], [192, 128]);
});

test("several pictures beside each other have room for each, and a legend", async () => {
  const folder = join(root, "panels");
  const { samples, ...details } = detailsOf([large]);
  const legend = [{ label: "ground" }, { label: "disc", color: "#e6194b" }];
  await writeEvaluation(folder, {
    ...about,
    details: { ...details, samples: samples.map((set) => ({ ...set, panels: 3, legend })) },
  });
  const [set] = (await readEvaluation(folder))!.details.samples;
  assert.deepEqual([set.panels, set.legend], [3, legend]);
  const { height, width } = await decodeImage((await readEvaluationPicture(folder, set.items[0].picture))!);
  assert.deepEqual([height, width], [large.height, large.width], "not shrunk to 192");
});

test("a later evaluation takes the place of an earlier one, pictures too", async () => {
  const folder = join(root, "replaced");
  await writeEvaluation(folder, { ...about, details: detailsOf([gray, red]) });
  await writeEvaluation(folder, { ...about, details: detailsOf([gray]) });
  assert.deepEqual(readdirSync(join(folder, "pictures", "evaluation")), ["odd-10.png"]);
});

test("a folder without an evaluation has none; damaged ones and those of later versions are refused", async () => {
  const folder = join(root, "damaged");
  mkdirSync(folder);
  assert.equal(await readEvaluation(folder), undefined);
  await writeEvaluation(folder, { ...about, details: detailsOf([gray]) });
  const path = join(folder, "evaluation.json");
  const record = readJsonFile(folder, "evaluation.json");
  const refused = async (changed: unknown, message: RegExp) => {
    writeFileSync(path, JSON.stringify(changed));
    await assert.rejects(readEvaluation(folder), (error) => {
      assert.ok(error instanceof UserError);
      assert.ok(error.message.startsWith(path), error.message);
      assert.match(error.message, message);
      return true;
    });
  };
  const { tables, matrices, samples } = record.details;
  const withDetails = (details: object) => ({ ...record, details: { ...record.details, ...details } });
  await refused({ ...record, format: 2 }, /is of format 2; this version of Lowland reads formats up to 1/);
  await refused({ ...record, samples: "many" }, /is damaged: samples is "many"; it has to be/);
  await refused(
    withDetails({ tables: [{ ...tables[0], rows: [{ name: "left", values: [1] }] }] }),
    /is damaged: details\.tables\.0: a row has more or fewer values than there are columns/,
  );
  await refused(
    withDetails({ matrices: [{ ...matrices[0], counts: [[1]] }] }),
    /is damaged: details\.matrices\.0: counts has another size than rows and columns/,
  );
  // A record from elsewhere does not make a report read other files.
  const [item] = samples[0].items;
  await refused(
    withDetails({
      samples: [{ ...samples[0], items: [{ ...item, picture: "pictures/evaluation/../../x.png" }] }],
    }),
    /is damaged: details\.samples\.0\.items\.0\.picture/,
  );
  writeFileSync(path, "{");
  await assert.rejects(readEvaluation(folder), /evaluation\.json is damaged: it is not a JSON object/);
});

const quick: TrainOptions = {
  ...{ data: "digits", model: "mlp", epochs: 2, batchSize: 64, limit: 320, threads: 1 },
  ...{ optimizer: { method: "sgd" }, sharpness: { images: 64 } },
};

/** What of an evaluation does not depend on where it is. */
const evaluationIn = (folder: string) => readJsonFile(folder, "evaluation.json");

test("a run keeps the evaluation of its last weights", async () => {
  const { test: held } = await loadDataset("digits");
  const out = join(root, "run");
  const { details, summary } = await train({ ...quick, out });
  const record = (await readEvaluation(out))!;
  assert.deepEqual([record.data, record.samples], ["digits", 360]);
  const [{ counts }] = record.details.matrices;
  const rights = counts.reduce((sum, row, index) => sum + row[index], 0);
  assert.equal(rights / 360, summary!.metrics.accuracy);
  const labels = Array.from(
    { length: 10 },
    (_, label) => held.labels.filter((each) => each === label).length,
  );
  assert.deepEqual(
    counts.map((row) => row.reduce((sum, count) => sum + count)),
    labels,
  );
  assert.deepEqual(record.details.tables, JSON.parse(JSON.stringify(details!.tables)));
  const [{ items }] = details!.samples;
  const losses = items.map(({ values }) => values[3] as number);
  assert.deepEqual(
    losses,
    losses.toSorted((a, b) => b - a),
  );
  assert.ok(losses[0] > summary!.testLoss);
  // The pixels are those of the test image: digits are 0 … 16.
  const { data } = await held.read(items[0].index).image;
  assert.deepEqual(
    [...items[0].picture.data],
    [...data].map((value) => Math.round((255 * value) / 16)),
  );
  for (const { picture } of record.details.samples[0].items) assert.ok(existsSync(join(out, picture)));
});

test("a run that was stopped and resumed ends with the evaluation of one that was not", async () => {
  const out = join(root, "resumed");
  const stop = new AbortController();
  await train({ ...quick, evaluateEvery: 2, out, signal: stop.signal, onEpoch: () => stop.abort() });
  const stopped: RunSummary = readJsonFile(out, "summary.json");
  assert.deepEqual([stopped.status, stopped.epochs], ["interrupted", 1]);
  // Its first epoch was not measured: it was when the run ended.
  const [{ counts }] = evaluationIn(out).details.matrices;
  const rights = counts.reduce((sum: number, row: number[], index: number) => sum + row[index], 0);
  assert.equal(rights / 360, stopped.metrics.accuracy);
  await train({ ...quick, evaluateEvery: 2, out, existing: "resume" });
  assert.deepEqual(evaluationIn(out), evaluationIn(join(root, "run")));
  // Nothing is left to train; the evaluation stays what it was.
  await train({ ...quick, evaluateEvery: 2, out, existing: "resume" });
  assert.deepEqual(evaluationIn(out), evaluationIn(join(root, "run")));
});

test("a run that is overwritten loses its evaluation with everything else", async () => {
  const out = join(root, "overwritten");
  await train({ ...quick, epochs: 1, out });
  const stop = new AbortController();
  stop.abort();
  await train({ ...quick, epochs: 1, out, existing: "overwrite", signal: stop.signal });
  assert.ok(!existsSync(join(out, "evaluation.json")));
  assert.ok(!existsSync(join(out, "pictures", "evaluation")));
});
