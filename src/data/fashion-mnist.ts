import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import { type DebianPackage, readDebianPackage } from "./debian-package.ts";
import { type DownloadTimeouts, download } from "./download.ts";
import { type Checksums, type Contents, cacheDirectory } from "./files.ts";
import { parseIdx } from "./idx.ts";
import { type DatasetPair, type ImageClasses, imageClasses } from "./source.ts";
import { findFiles, folderSource, type LoadOptions, type Source } from "./sources.ts";

const classNames = [
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
];

/** Where to look and what to expect there. */
export interface Places {
  cacheFolder: string;
  systemFolder: string;
  /** Web folders with the four gzipped files, each ending in "/". */
  addresses: readonly string[];
  timeouts: DownloadTimeouts;
  debian: DebianPackage;
  checksums: Checksums;
}

/** The real places. The addresses are both the publisher's: the bucket of the README over HTTPS, and the repository. */
function realPlaces(): Places {
  const systemFolder = "/usr/share/datasets/fashion-mnist";
  return {
    cacheFolder: join(cacheDirectory(), "fashion-mnist"),
    systemFolder,
    addresses: [
      "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
      "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ],
    timeouts: { answer: 10_000, idle: 30_000 },
    debian: {
      package: "dataset-fashion-mnist",
      folder: systemFolder,
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
  };
}

/**
 * Loads Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf 2017; MIT licence): 60,000 training and 10,000 test images of
 * clothing, 28×28 grey values, 10 classes.
 *
 * Looked for in the cache, the user's `dataDirectory`, the system folder of Debian's package, at the publisher's
 * addresses, and in Debian's package itself; found outside the cache, it is kept there. Every file is checked by
 * SHA-256.
 *
 * @param places other places than the real ones, for tests
 * @throws UserError when `dataDirectory` holds a damaged file
 * @throws DatasetUnavailable when no place has the four files
 */
export async function loadFashionMnist(
  options: LoadOptions = {},
  places: Partial<Places> = {},
): Promise<DatasetPair> {
  const { cacheFolder, systemFolder, addresses, timeouts, debian, checksums } = {
    ...realPlaces(),
    ...places,
  };
  const { dataDirectory, signal } = options;
  const sources: Source[] = [
    folderSource("the system folder", systemFolder, checksums, signal),
    ...addresses.map((address) => ({
      name: new URL(address).host,
      read: () => download(address, checksums, timeouts, options),
    })),
    {
      name: `the distribution's package ${debian.package}`,
      read: () => readDebianPackage(debian, checksums, options),
    },
  ];
  if (dataDirectory !== undefined) {
    const source = folderSource("the data directory", dataDirectory, checksums, signal);
    sources.unshift({ ...source, namedByUser: true });
  }
  const contents = await findFiles("Fashion-MNIST", checksums, cacheFolder, sources, options);
  return { train: assemble(contents, checksums, "train"), test: assemble(contents, checksums, "t10k") };
}

function assemble(contents: Contents, checksums: Checksums, part: "train" | "t10k"): ImageClasses {
  const files = { images: `${part}-images-idx3-ubyte`, labels: `${part}-labels-idx1-ubyte` };
  const { shape, data: images } = parseIdx(contents.get(files.images)!, files.images);
  const { data: labels } = parseIdx(contents.get(files.labels)!, files.labels);
  const [count = 0, height = 0, width = 0] = shape;
  if (shape.length !== 3 || labels.length !== count) {
    throw new UserError(
      `Fashion-MNIST's ${part} images have shape [${shape}], but there are ${labels.length} labels`,
    );
  }
  const size = height * width;
  return imageClasses(
    {
      name: "fashion-mnist",
      channels: 1,
      height,
      width,
      classNames,
      labels: Int32Array.from(labels),
      maximum: 255,
      mean: [0.286],
      deviation: [0.353],
      fingerprint: `${checksums[files.images]} ${checksums[files.labels]}`,
    },
    (index) => images.subarray(index * size, (index + 1) * size) as Uint8Array<ArrayBuffer>,
  );
}
