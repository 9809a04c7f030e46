import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { parseTar } from "nanotar";
import { type DownloadTimeouts, downloadFile } from "../download.ts";
import { type Checksums, type Contents, cacheDirectory, DamagedFile } from "../files.ts";
import { type ImageClasses, imageClasses, measuredNormalization } from "../source.ts";
import type { LoadOptions } from "../sources.ts";
import { findFiles, type Source } from "../sources.ts";
import { type CifarKind, cifarSize, parseCifar } from "./cifar.ts";

/** A published set: its archive, the files of its two parts in it, and what they are to be. */
interface Published {
  name: string;
  archive: string;
  /** SHA-256 of the archive. */
  checksum: string;
  /** The folder inside the archive, which people keep when they unpack it. */
  folder: string;
  train: readonly string[];
  test: readonly string[];
  checksums: Checksums;
  classNames: readonly string[];
}

const names = (text: string) => text.trim().split(/\s+/);

const published: Readonly<Record<CifarKind, Published>> = {
  cifar10: {
    name: "CIFAR-10",
    archive: "cifar-10-binary.tar.gz",
    checksum: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder: "cifar-10-batches-bin",
    train: [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`),
    test: ["test_batch.bin"],
    checksums: {
      "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
      "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
      "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
      "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
      "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
      "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    classNames: names("airplane automobile bird cat deer dog frog horse ship truck"),
  },
  cifar100: {
    name: "CIFAR-100",
    archive: "cifar-100-binary.tar.gz",
    checksum: "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder: "cifar-100-binary",
    train: ["train.bin"],
    test: ["test.bin"],
    checksums: {
      "train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
      "test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    },
    classNames: names(`
      apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
      caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
      flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
      maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
      plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
      snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
      tulip turtle wardrobe whale willow_tree wolf woman worm`),
  },
};

/** Where to look. */
export interface CifarPlaces {
  cacheFolder: string;
  /** A web folder that has the archive, ending in "/". */
  address: string;
  timeouts: DownloadTimeouts;
  /** SHA-256 of the archive. */
  checksum: string;
}

/**
 * Loads CIFAR-10 or CIFAR-100 (A. Krizhevsky 2009) in the binary version: 50,000 training and 10,000 test images of
 * 3×32×32. Looked for in the user's `dataDirectory` (the files, the folder of the archive, or the archive itself), in
 * the cache, and at the publisher's address; what was downloaded is kept in the cache. What the user names is taken as
 * it is, so a part of the set in the same format works; everything else is checked by SHA-256.
 *
 * @param places other places than the real ones, for tests
 * @throws UserError when a file is not in the binary format
 * @throws DatasetUnavailable when no place has the files
 */
export async function loadCifar(
  kind: CifarKind,
  options: LoadOptions = {},
  places: Partial<CifarPlaces> = {},
): Promise<{ train: ImageClasses; test: ImageClasses }> {
  const set = published[kind];
  const { cacheFolder, address, timeouts, checksum } = {
    cacheFolder: join(cacheDirectory(), kind),
    address: "https://www.cs.toronto.edu/~kriz/",
    timeouts: { answer: 10_000, idle: 30_000 },
    checksum: set.checksum,
    ...places,
  };
  const { dataDirectory } = options;
  const own = dataDirectory === undefined ? undefined : await ownFiles(set, dataDirectory);
  if (own) return assemble(kind, own);
  const web: Source = {
    name: new URL(address).host,
    read: async () => {
      const archive = await downloadFile(`${address}${set.archive}`, timeouts, options);
      const got = createHash("sha256").update(archive).digest("hex");
      if (got !== checksum)
        throw new DamagedFile(`${address}${set.archive}`, `has the SHA-256 ${got}, wanted ${checksum}`);
      return unpacked(set, archive);
    },
  };
  const nowhere: Source = {
    name: `the folder ${dataDirectory}`,
    read: () => Promise.reject(new Error(`it holds neither ${set.train[0]} nor ${set.archive}`)),
  };
  const sources = dataDirectory === undefined ? [web] : [nowhere, web];
  return assemble(kind, await findFiles(set.name, set.checksums, cacheFolder, sources, options));
}

/** The files in a folder of the user's, in any of the forms in which people keep them; undefined where there is none. */
async function ownFiles(set: Published, folder: string): Promise<Contents | undefined> {
  for (const place of [folder, join(folder, set.folder)]) {
    const contents: Contents = new Map();
    for (const name of [...set.train, ...set.test]) {
      const bytes = await readFile(join(place, name)).catch(() => undefined);
      if (bytes) contents.set(name, bytes);
    }
    if (contents.size > 0) return contents;
  }
  const archive = await readFile(join(folder, set.archive)).catch(() => undefined);
  return archive && unpacked(set, archive);
}

async function unpacked({ archive, train, test }: Published, bytes: Uint8Array): Promise<Contents> {
  const tar = await promisify(gunzip)(bytes).catch((error: Error) => {
    throw new DamagedFile(archive, `cannot be unpacked: ${error.message}`);
  });
  const contents: Contents = new Map();
  for (const { name, data } of parseTar(tar)) {
    const file = name.slice(name.lastIndexOf("/") + 1);
    if (data && [...train, ...test].includes(file)) contents.set(file, data);
  }
  return contents;
}

function assemble(kind: CifarKind, contents: Contents): { train: ImageClasses; test: ImageClasses } {
  const set = published[kind];
  const part = (files: readonly string[]) => {
    const read = files.flatMap((file) => {
      const bytes = contents.get(file);
      return bytes ? [parseCifar(bytes, kind, file)] : [];
    });
    if (read.length === 0) throw new DamagedFile(set.name, `lacks ${files.join(", ")}`);
    const size = 3 * cifarSize * cifarSize;
    const images = new Uint8Array(read.reduce((sum, { count }) => sum + count, 0) * size);
    let offset = 0;
    for (const each of read) {
      images.set(each.images, offset);
      offset += each.images.length;
    }
    return { images, labels: Int32Array.from(read.flatMap(({ labels }) => [...labels])) };
  };
  const [train, test] = [part(set.train), part(set.test)];
  const normalization = measuredNormalization(train.images, 3, cifarSize * cifarSize, 255);
  const source = ({ images, labels }: ReturnType<typeof part>) =>
    imageClasses(
      {
        name: kind,
        channels: 3,
        height: cifarSize,
        width: cifarSize,
        classNames: set.classNames,
        maximum: 255,
        labels,
        ...normalization,
        fingerprint: createHash("sha256").update(images).update(labels).digest("hex").slice(0, 32),
      },
      (index) => images.subarray(index * 3 * cifarSize ** 2, (index + 1) * 3 * cifarSize ** 2),
    );
  return { train: source(train), test: source(test) };
}
