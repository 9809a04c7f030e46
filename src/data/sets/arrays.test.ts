import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { UserError } from "../../common/errors.ts";
import { loadArrays } from "./arrays.ts";

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
async function folderOf(files: Record<string, Uint8Array>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-arrays-"));
  folders.push(folder);
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  return folder;
}

/** A file as `numpy.save` writes it. */
function npy(descr: string, shape: readonly number[], data: ArrayBufferView): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.map((size) => `${size},`).join(" ")}), }`;
  const bytes = Buffer.alloc(10);
  bytes.write("\x93NUMPY\x01\x00", "latin1");
  bytes.writeUInt16LE(header.length, 8);
  return Buffer.concat([
    bytes,
    Buffer.from(header),
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ]);
}

const idx = (shape: number[], data: number[]) =>
  Uint8Array.of(0, 0, 8, shape.length, ...shape.flatMap((size) => [0, 0, 0, size]), ...data);
const counting = (count: number) => Uint8Array.from({ length: count }, (_, index) => index * 3);

const four = (images: Uint8Array, held: Uint8Array, labels: Uint8Array, heldLabels: Uint8Array) => ({
  "x_train.npy": images,
  "y_train.npy": labels,
  "x_test.npy": held,
  "y_test.npy": heldLabels,
});
const rightLabels = [npy("<i8", [2], BigInt64Array.of(2n, 0n)), npy("|u1", [1], Uint8Array.of(1))] as const;

describe("images and labels as arrays", () => {
  test("NumPy's archive and files, channels last, first or none", async () => {
    const layouts: [shape: number[], size: number[], first: number[]][] = [
      [
        [2, 2],
        [1, 2, 2],
        [0, 3, 6, 9],
      ],
      [
        [1, 2, 2],
        [1, 2, 2],
        [0, 3, 6, 9],
      ],
      [
        [3, 1, 2],
        [3, 1, 2],
        [0, 3, 6, 9, 12, 15],
      ],
      [
        [2, 5, 3],
        [3, 2, 5],
        [
          0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 3, 12, 21, 30, 39, 48, 57, 66, 75, 84, 6, 15, 24, 33, 42, 51,
          60, 69, 78, 87,
        ],
      ],
    ];
    for (const [shape, size, first] of layouts) {
      const elements = shape.reduce((a, b) => a * b);
      const files = four(
        npy("|u1", [2, ...shape], counting(2 * elements)),
        npy("|u1", [1, ...shape], counting(elements)),
        ...rightLabels,
      );
      const folder = await folderOf({ ...files, "all.npz": zipSync(files) });
      for (const path of [join(folder, "all.npz"), folder]) {
        const loaded = await loadArrays(path);
        assert.ok(loaded);
        const { train, test: held } = loaded;
        assert.deepEqual([train.channels, train.height, train.width], size);
        assert.deepEqual([...train.read(0).image.data], first);
        assert.deepEqual(
          [[...train.labels], [...held.labels], train.classNames],
          [[2, 0], [1], ["0", "1", "2"]],
        );
        const pixels = counting(2 * elements);
        const mean = pixels.reduce((sum, value) => sum + value, 0) / pixels.length / 255;
        assert.ok(Math.abs(train.mean.reduce((a, b) => a + b) / train.mean.length - mean) < 1e-12);
        assert.deepEqual(held.mean, train.mean);
      }
    }
  });

  test("IDX files, gzipped or not", async () => {
    const files = {
      "train-images-idx3-ubyte.gz": gzipSync(idx([2, 1, 2], [1, 2, 3, 4])),
      "train-labels-idx1-ubyte": idx([2], [0, 1]),
      "t10k-images-idx3-ubyte": idx([1, 1, 2], [5, 6]),
      "t10k-labels-idx1-ubyte": idx([1], [1]),
    };
    const loaded = await loadArrays(await folderOf(files));
    assert.deepEqual([...(loaded?.train.read(1).image.data ?? [])], [3, 4]);
    assert.deepEqual([...(loaded?.test.labels ?? [])], [1]);
    await assert.rejects(
      loadArrays(await folderOf({ "train-images-idx3-ubyte": idx([2, 1, 2], [1, 2, 3, 4]) })),
      /has no IDX file of train labels/,
    );
  });

  test("a folder without arrays is none", async () => {
    assert.equal(await loadArrays(await folderOf({ "a.png": Uint8Array.of(1) })), undefined);
    await assert.rejects(loadArrays(join(tmpdir(), "lowland-none")), /there is no file or folder/);
  });

  const images = npy("|u1", [2, 2, 2], counting(8));
  const held = npy("|u1", [1, 2, 2], counting(4));
  const [labels, heldLabels] = rightLabels;
  const refused: Record<string, [files: Record<string, Uint8Array>, message: RegExp]> = {
    "images that are floats": [
      four(npy("<f4", [2, 2, 2], new Float32Array(8)), held, labels, heldLabels),
      /x_train\.npy holds float32; images have to be uint8/,
    ],
    "images of two channels": [
      four(npy("|u1", [2, 2, 1, 2], counting(8)), held, labels, heldLabels),
      /has the shape \[2, 2, 1, 2\]; images are/,
    ],
    "test images of another size": [
      four(images, npy("|u1", [1, 2, 3], counting(6)), labels, heldLabels),
      /x_test\.npy holds images of 1×2×3, .*x_train\.npy of 1×2×2/,
    ],
    "too few labels": [
      four(images, held, npy("|u1", [1], Uint8Array.of(0)), heldLabels),
      /y_train\.npy has the shape \[1\]; .* has 2 images, so \[2\] was expected/,
    ],
    "labels below 0": [
      four(images, held, npy("|i1", [2], Int8Array.of(0, -1)), heldLabels),
      /y_train\.npy: label 1 is -1/,
    ],
    "labels between numbers": [
      four(images, held, npy("<f4", [2], Float32Array.of(0, 0.5)), heldLabels),
      /y_train\.npy: label 1 is 0\.5/,
    ],
    "a test label that training lacks": [
      four(images, held, labels, npy("|u1", [1], Uint8Array.of(3))),
      /y_test\.npy has the label 3, which .* lacks; its largest is 2/,
    ],
    "a missing array": [{ "x_train.npy": images }, /has no file y_train\.npy or/],
  };
  for (const [name, [files, message]] of Object.entries(refused)) {
    test(`refused: ${name}`, async () =>
      assert.rejects(
        loadArrays(await folderOf(files)),
        (error) => error instanceof UserError && message.test(error.message),
      ));
  }

  test("refused: an archive of other arrays", async () => {
    const folder = await folderOf({ "a.npz": zipSync({ "z.npy": images }) });
    await assert.rejects(loadArrays(join(folder, "a.npz")), /holds the arrays z; one called x_train or/);
  });
});
