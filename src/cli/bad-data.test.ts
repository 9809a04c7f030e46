import assert from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { strToU8, zipSync } from "fflate";
import sharp from "sharp";
import { lowland, temporaryFolder } from "../testing/cli.ts";
import { cases } from "../testing/extent.ts";

// What may be wrong with a person's own data, as the command line takes it: one sentence that names the place, exit
// code 2, no run folder, and nothing half written in the cache.

const root = temporaryFolder();
/** Loaded first by a command that is not to be the superuser, who may read everything. */
const asNobody = pathToFileURL(join(root, "nobody.mjs")).href;

let picture: Buffer;
let photograph: Buffer;

before(async () => {
  const pixels = Uint8Array.from({ length: 12 * 12 * 3 }, (_, at) => (at * 37) % 256);
  const drawn = sharp(pixels, { raw: { width: 12, height: 12, channels: 3 } });
  picture = await drawn.clone().png().toBuffer();
  photograph = await drawn.resize(200, 200).jpeg().toBuffer();
  writeFileSync(join(root, "nobody.mjs"), "if (process.getuid?.() === 0) process.seteuid(65534);\n");
});

/** Makes files in the case's folder: pictures, or what is given. */
function make(folder: string, files: Readonly<Record<string, string | Uint8Array | undefined>>): void {
  for (const [name, content = picture] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

/** Some pictures of each class. */
function classes(names: readonly string[], count = 3): Record<string, undefined> {
  return Object.fromEntries(
    names.flatMap((name) =>
      Array.from({ length: count }, (_, index) => [`${name}/${index}.png`, undefined] as const),
    ),
  );
}

/** A PNG that says it is 40,000 pixels high and wide, in a few bytes. */
function bomb(): Uint8Array {
  const bytes = Uint8Array.from(picture);
  const header = new DataView(bytes.buffer, 16);
  header.setUint32(0, 40_000);
  header.setUint32(4, 40_000);
  // The checksum of the header: of its name and its content, CRC-32.
  let crc = ~0;
  for (const byte of bytes.subarray(12, 29)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  header.setUint32(13, ~crc);
  return bytes;
}

/** An array of bytes as NumPy writes it. */
function npy(shape: number[], data: readonly number[]): Uint8Array {
  const header = `{'descr': '|u1', 'fortran_order': False, 'shape': (${shape.join(", ")},), }`.padEnd(117);
  return Uint8Array.of(0x93, ...strToU8("NUMPY"), 1, 0, 118, 0, ...strToU8(`${header}\n`), ...data);
}

interface Mistake {
  /** Makes the data; by default the command gets the folder `data` in it. */
  make: (folder: string) => void;
  data?: string;
  args?: string[];
  message: RegExp;
  /** The command is not the superuser. */
  nobody?: boolean;
}

const mistakes: Record<string, Mistake> = {
  "an empty class folder": {
    make: (folder) => {
      make(folder, classes(["full", "other"]));
      mkdirSync(join(folder, "void"));
    },
    message: /^class "void" in data has no pictures$/,
  },
  "a class in test that training lacks": {
    make: (folder) => make(folder, classes(["train/a", "train/b", "test/a", "test/c"])),
    message: /^data\/test has the class "c", which the training folder lacks; it has a, b$/,
  },
  "a class in validation that training lacks": {
    make: (folder) => make(folder, classes(["train/a", "train/b", "val/c", "test/a"])),
    message: /^data\/val has the class "c", which the training folder lacks; it has a, b$/,
  },
  "an empty folder": {
    make: (folder) => mkdirSync(folder),
    message: /^data has no folder; a data set needs two classes or more, each a folder of pictures$/,
  },
  "pictures without class folders": {
    make: (folder) => make(folder, { "1.png": undefined, "2.png": undefined }),
    message: /^data has no folder; a data set needs two classes or more/,
  },
  "class folders of other files": {
    make: (folder) => make(folder, { "a/notes.txt": "none", "b/notes.txt": "none" }),
    message: /^class "a" in data has no pictures$/,
  },
  "a test folder without pictures": {
    make: (folder) => make(folder, { ...classes(["train/a", "train/b"]), "test/a/notes.txt": "none" }),
    message: /^data\/test has no pictures$/,
  },
  "one class": {
    make: (folder) => make(folder, classes(["only"])),
    message: /^data has one folder, only; a data set needs two classes or more/,
  },
  "two classes that differ by case only": {
    make: (folder) => make(folder, classes(["Cat", "cat"])),
    message: /^data: the classes "Cat" and "cat" differ by case only; rename one$/,
  },
  "a truncated picture": {
    make: (folder) =>
      make(folder, { ...classes(["a", "b"]), "a/cut.jpg": photograph.subarray(0, photograph.length / 2) }),
    message:
      /^data: 1 file cannot be used: data\/a\/cut\.jpg \((it is damaged or cut off|[^)]*(premature|truncated|end of)[^)]*)\); correct or remove them, or skip/i,
  },
  "text that is named .jpg": {
    make: (folder) => make(folder, { ...classes(["a", "b"]), "b/text.jpg": "no picture" }),
    message: /^data: 1 file cannot be used: data\/b\/text\.jpg \(it is no picture in a format that is read\)/,
  },
  "a web page that is named .jpg": {
    make: (folder) => make(folder, { ...classes(["a", "b"]), "b/page.jpg": "<!DOCTYPE html><html>" }),
    message: /data\/b\/page\.jpg \(it is a web page, not a picture\)/,
  },
  "a file of zero bytes": {
    make: (folder) => make(folder, { ...classes(["a", "b"]), "b/empty.png": "" }),
    message: /data\/b\/empty\.png \(the file is empty\)/,
  },
  "a picture of absurd size": {
    make: (folder) => make(folder, { ...classes(["a", "b"]), "b/bomb.png": bomb() }),
    message: /data\/b\/bomb\.png \(it says that it has more than 268 million pixels\)/,
  },
  "twelve bad files in training and test": {
    make: (folder) =>
      make(folder, {
        ...classes(["train/a", "train/b", "test/a", "test/b"]),
        ...Object.fromEntries(
          Array.from({ length: 6 }, (_, index) => [
            [`train/a/bad${index}.png`, "none"],
            [`test/b/bad${index}.png`, "none"],
          ]).flat(),
        ),
      }),
    message:
      /^data: 12 files cannot be used: (?:\S*bad\d\.png \([^)]*\), ){10}and 2 more; correct or remove them/,
  },
  "a picture that is a broken link": {
    make: (folder) => {
      make(folder, classes(["a", "b"]));
      symlinkSync("nowhere.png", join(folder, "a", "link.png"));
    },
    message: /data\/a\/link\.png \(it does not exist\)/,
  },
  "a class that is a broken link": {
    make: (folder) => {
      make(folder, classes(["a", "b"]));
      symlinkSync("nowhere", join(folder, "c"));
    },
    message: /^data\/c is a link that leads nowhere; remove it$/,
  },
  "links in a circle": {
    make: (folder) => {
      make(folder, classes(["a", "b"]));
      symlinkSync("..", join(folder, "b", "up"));
    },
    message: /^data\/b\/up\/b leads back to a folder that it is in, through a link; remove the link$/,
  },
  "a link to itself": {
    make: (folder) => symlinkSync("data", folder),
    message: /^data cannot be read: its symbolic links form a loop$/,
  },
  "a folder that may not be read": {
    make: (folder) => {
      make(folder, classes(["a", "b"]));
      chmodSync(join(folder, "b"), 0o000);
    },
    nobody: true,
    message: /^the folder data\/b cannot be read: permission is denied$/,
  },
  "a path through a file": {
    make: (folder) => make(folder, { "a/1.png": undefined }),
    data: "data/a/1.png/photos",
    message: /^there is no data set and no file or folder "data\/a\/1\.png\/photos"; choose one of /,
  },
  "a file that is no list": {
    make: (folder) => make(folder, { "photos.tar": "none" }),
    data: "data/photos.tar",
    message: /^data\/photos\.tar holds no data that are read; name a folder with/,
  },
  "one picture in a class, so none for a test": {
    make: (folder) => make(folder, { ...classes(["a", "b"]), "c/1.png": undefined }),
    message: /^class "c" has 1 picture; it needs two or more, one of them to test on$/,
  },
  "a test share of everything": {
    make: (folder) => make(folder, classes(["a", "b"])),
    args: ["--test-share", "1"],
    message: /^images\.testShare.* 1/,
  },
  "pictures too small for the network": {
    make: (folder) => make(folder, classes(["a", "b"])),
    args: ["--image-size", "8", "--model", "lenet5"],
    message: /^lenet5 needs images of at least 12×12, got 8×8; choose mlp or cnn$/,
  },
  "fewer pictures than a batch has": {
    make: (folder) => make(folder, classes(["a", "b"])),
    args: ["--batch-size", "64"],
    message: /^batch size 64 is larger than the 4 training samples; choose at most 4/,
  },
  "a list with pictures that are missing": {
    make: (folder) =>
      make(folder, {
        "list.csv": "file,label\n1.png,a\n2.png,a\n3.png,b\n4.png,b\n5.png,b\n",
        ...{ "1.png": undefined, "3.png": undefined, "4.png": undefined },
      }),
    data: "data/list.csv",
    message:
      /^data\/list\.csv: 2 files cannot be used: data\/2\.png \(it does not exist\), data\/5\.png \(it does not exist\); correct or remove/,
  },
  "a list with a picture twice": {
    make: (folder) =>
      make(folder, { "list.csv": "file,label\n1.png,a\n2.png,b\n1.png,b\n", ...{ "1.png": undefined } }),
    data: "data/list.csv",
    message: /^data\/list\.csv, line 4: 1\.png is already listed in line 2; list each picture once/,
  },
  "a list without labels": {
    make: (folder) => make(folder, { "list.csv": "file\n1.png\n" }),
    data: "data/list.csv",
    message: /^data\/list\.csv, line 2: label: .*; the columns are file, label and, if wanted, split$/,
  },
  "a list whose test has a label that training lacks": {
    make: (folder) =>
      make(folder, {
        "list.json": JSON.stringify([
          { file: "1.png", label: 1, split: "train" },
          { file: "2.png", label: 2, split: "train" },
          { file: "3.png", label: 3, split: "test" },
        ]),
      }),
    data: "data/list.json",
    message: /^data\/list\.json: the label "3" has no row with the split "train"$/,
  },
  "labels out of range in arrays": {
    make: (folder) =>
      make(folder, {
        "arrays.npz": zipSync({
          "x_train.npy": npy([2, 1, 1], [1, 2]),
          "y_train.npy": npy([2], [0, 1]),
          "x_test.npy": npy([2, 1, 1], [1, 2]),
          "y_test.npy": npy([2], [0, 2]),
        }),
      }),
    data: "data/arrays.npz",
    message:
      /^data\/arrays\.npz, y_test has the label 2, which data\/arrays\.npz, y_train lacks; its largest is 1$/,
  },
};

const quick = [
  "--model",
  "mlp",
  "--epochs",
  "1",
  "--threads",
  "1",
  "--image-size",
  "12",
  "--batch-size",
  "2",
];

const shown = Object.entries(mistakes).filter((_, index) => index % cases(5, 1) === 0);

describe("mistakes in a person's own data", { concurrency: 2 }, () => {
  for (const [name, { make: prepare, data = "data", args = [], message, nobody }] of shown) {
    const skip = nobody && process.platform === "win32" && "permissions are others there";
    test(name, { skip }, async () => {
      const folder = join(root, name);
      mkdirSync(folder, { recursive: true });
      for (const path of [root, folder]) chmodSync(path, 0o755);
      prepare(join(folder, "data"));
      const home = join(folder, "home");
      const { code, stdout, stderr } = await lowland(
        ["train", "--data", data, ...quick, "--optimizer", "sgd", "--out", "run", ...args],
        { cwd: folder, env: { LOWLAND_HOME: home }, ...(nobody && { preload: asNobody }) },
      );
      // Slow machines say how far decoding is.
      const said = stderr.replaceAll(
        /^( {2}.* pictures decoded, .* left|Decoded pictures are kept in .*)\n/gm,
        "",
      );
      assert.match(said, /^lowland: [^\n]+\n$/, "one line");
      assert.doesNotMatch(said, /\. [A-Z]|\.\n$|internal error|\bat .*:\d+:\d+/, "one sentence");
      assert.match(said.slice("lowland: ".length, -1), message);
      assert.deepEqual([code, stdout], [2, ""]);
      assert.ok(!existsSync(join(folder, "run")), "a run folder");
      const kept = existsSync(home) ? readdirSync(home, { recursive: true, encoding: "utf8" }) : [];
      assert.deepEqual(
        kept.filter((file) => file.endsWith(".part")),
        [],
      );
    });
  }
});

describe("what is unusual in a person's own data, and no mistake", () => {
  test("names with spaces, letters of all kinds, emoji, # and %, links, a PNG named .jpg", async () => {
    const folder = join(root, "unusual");
    make(join(folder, "data"), {
      ...classes(["größe 1 #a", "50% %20", "😀"]),
      "😀/a picture ✓ #3 100%.PNG": undefined,
      "😀/named.jpg": undefined,
    });
    cpSync(join(folder, "data", "😀"), join(folder, "elsewhere"), { recursive: true });
    symlinkSync(join(folder, "elsewhere"), join(folder, "data", "linked"));
    const { code, stdout, stderr } = await lowland(
      ["train", "--data", "data", ...quick, "--optimizer", "sgd", "--out", "run", "--json"],
      { cwd: folder, env: { LOWLAND_HOME: join(root, "home") } },
    );
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).status, "finished");
    const model = readFileSync(join(folder, "run", "model.onnx"), "utf8");
    for (const name of ["größe 1 #a", "50% %20", "😀", "linked"])
      assert.ok(model.includes(JSON.stringify(name)));
  });

  test("--on-bad-image skip trains on the others and says how many were left out", async () => {
    const folder = join(root, "skipped");
    make(join(folder, "data"), {
      ...classes(["a", "b"]),
      ...Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`a/bad${index}.jpg`, "none"])),
    });
    const { code, stderr } = await lowland(
      ["train", "--data", "data", ...quick, "--optimizer", "sgd", "--out", "run", "--on-bad-image", "skip"],
      { cwd: folder, env: { LOWLAND_HOME: join(root, "home") } },
    );
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /^data: 11 files cannot be used: (?:\S*bad\d+\.jpg \([^)]*\), ){10}and 1 more; left out$/m,
    );
  });
});
