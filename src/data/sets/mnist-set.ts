import { join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { type DebianPackage, readDebianPackage } from "../debian-package.ts";
import { type DownloadTimeouts, download } from "../download.ts";
import { type Checksums, type Contents, cacheDirectory } from "../files.ts";
import { parseIdx } from "../idx.ts";
import { type DatasetPair, type ImageClasses, imageClasses } from "../source.ts";
import { findFiles, folderSource, type LoadOptions, type Source } from "../sources.ts";

// MNIST and Fashion-MNIST: four IDX files each, 60,000 training and 10,000 test images of 28×28 gray values, 10 classes.

export type MnistKind = "fashion-mnist" | "mnist";

/** A published set: what its files are to be, and where they may come from. */
interface Published {
  name: string;
  classNames: readonly string[];
  /** Of the training images, on the 0 … 1 scale. */
  mean: number;
  deviation: number;
  /** Web folders with the four gzipped files, each ending in "/". */
  addresses: readonly string[];
  /** The package of the distribution that has the files, if there is one. */
  debian?: DebianPackage;
  checksums: Checksums;
}

const published: Readonly<Record<MnistKind, Published>> = {
  "fashion-mnist": {
    name: "Fashion-MNIST",
    classNames: [
      "T-shirt/top",
      "Trouser",
      "Pullover",
      "Dress",
      "Coat",
      "Sandal",
      "Shirt",
      "Sneaker",
      "Bag",
      "Ankle boot",
    ],
    mean: 0.286,
    deviation: 0.353,
    // Both are the publisher's: the bucket of the README over HTTPS, and the repository.
    addresses: [
      "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ],
    debian: {
      package: "dataset-fashion-mnist",
      folder: "/usr/share/datasets/fashion-mnist",
      aptGet: "apt-get",
      dpkgDeb: "dpkg-deb",
      timeout: 300_000,
    },
    checksums: {
      "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
      "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
      "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
      "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
  },
  mnist: {
    name: "MNIST",
    classNames: Array.from({ length: 10 }, (_, digit) => String(digit)),
    mean: 0.1307,
    deviation: 0.3081,
    // The publisher's own address asks for a password; these mirrors are those of torchvision and of TensorFlow.
    addresses: [
      "https://ossci-datasets.s3.amazonaws.com/mnist/",
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    checksums: {
      "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
      "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
      "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
      "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
  },
};

/** Where to look and what to expect there. */
export interface MnistPlaces extends Pick<Published, "addresses" | "debian" | "checksums"> {
  cacheFolder: string;
  timeouts: DownloadTimeouts;
}

/**
 * Loads Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf 2017; MIT license) or MNIST (Y. LeCun, C. Cortes, C. Burges).
 *
 * Looked for in the cache, the user's `dataDirectory`, the system folder of Debian's package where there is one, on the
 * web, and in Debian's package itself; found outside the cache, it is kept there. Every file is checked by SHA-256.
 *
 * @param places other places than the real ones, for tests
 * @throws UserError when `dataDirectory` holds a damaged file
 * @throws DatasetUnavailable when no place has the four files
 */
export async function loadMnist(
  kind: MnistKind,
  options: LoadOptions = {},
  places: Partial<MnistPlaces> = {},
): Promise<DatasetPair> {
  const set = published[kind];
  const { cacheFolder, addresses, timeouts, debian, checksums } = {
    ...set,
    cacheFolder: join(cacheDirectory(), kind),
    timeouts: { answer: 10_000, idle: 30_000 },
    ...places,
  };
  const { dataDirectory, signal } = options;
  const folder = (name: string, path: string) => folderSource(name, path, checksums, signal);
  const sources: Source[] = [
    ...(dataDirectory === undefined
      ? []
      : [{ ...folder("the data directory", dataDirectory), namedByUser: true }]),
    ...(debian ? [folder("the system folder", debian.folder)] : []),
    ...addresses.map((address) => ({
      name: new URL(address).host,
      read: () => download(address, checksums, timeouts, options),
    })),
    ...(debian
      ? [
          {
            name: `the distribution's package ${debian.package}`,
            read: () => readDebianPackage(debian, checksums, options),
          },
        ]
      : []),
  ];
  const contents = await findFiles(set.name, checksums, cacheFolder, sources, options);
  const part = (files: "train" | "t10k") => assemble(kind, contents, checksums, files);
  return { train: part("train"), test: part("t10k") };
}

function assemble(
  kind: MnistKind,
  contents: Contents,
  checksums: Checksums,
  part: "train" | "t10k",
): ImageClasses {
  const { name, classNames, mean, deviation } = published[kind];
  const files = { images: `${part}-images-idx3-ubyte`, labels: `${part}-labels-idx1-ubyte` };
  const { shape, data: images } = parseIdx(contents.get(files.images)!, files.images);
  const { data: labels } = parseIdx(contents.get(files.labels)!, files.labels);
  const [count = 0, height = 0, width = 0] = shape;
  if (shape.length !== 3 || labels.length !== count) {
    throw new UserError(
      `${name}'s ${part} images have shape [${shape}], but there are ${labels.length} labels`,
    );
  }
  const size = height * width;
  return imageClasses(
    {
      name: kind,
      channels: 1,
      height,
      width,
      classNames,
      labels: Int32Array.from(labels),
      maximum: 255,
      mean: [mean],
      deviation: [deviation],
      fingerprint: `${checksums[files.images]} ${checksums[files.labels]}`,
    },
    (index) => images.subarray(index * size, (index + 1) * size) as Uint8Array<ArrayBuffer>,
  );
}
