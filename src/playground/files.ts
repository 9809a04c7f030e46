import type { PlacedPicture } from "../index.web.ts";

/** Pictures that a visitor chose, with paths below the folder that was chosen. */
export interface ChosenFolder {
  name: string;
  files: PlacedPicture[];
}

/** The files of an `<input type="file" webkitdirectory>`. */
export function chosenFolder(files: Iterable<File>): ChosenFolder {
  const placed = [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
  return withoutRoot(placed);
}

/** The files of what was dropped: a folder that holds a folder for each class, or those folders. */
export async function droppedFolder(items: DataTransferItemList): Promise<ChosenFolder> {
  // All are asked for at once: the list is empty after the first pause.
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry() ?? []);
  const placed: PlacedPicture[] = [];
  for (const entry of entries) await walk(entry, "", placed);
  return entries.length === 1 ? withoutRoot(placed) : { name: "pictures", files: placed };
}

function withoutRoot(placed: PlacedPicture[]): ChosenFolder {
  const name = placed[0]?.path.split("/")[0] ?? "pictures";
  const files = placed.map(({ path, file }) => ({ path: path.slice(path.indexOf("/") + 1), file }));
  return { name, files };
}

async function walk(entry: FileSystemEntry, prefix: string, placed: PlacedPicture[]): Promise<void> {
  const path = `${prefix}${entry.name}`;
  if (isFile(entry)) {
    placed.push({ path, file: await new Promise<File>((resolve, reject) => entry.file(resolve, reject)) });
  } else if (isFolder(entry)) {
    const reader = entry.createReader();
    const part = () =>
      new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    // A browser gives them a hundred at a time.
    for (let entries = await part(); entries.length > 0; entries = await part())
      for (const inside of entries) await walk(inside, `${path}/`, placed);
  }
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile;
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;
