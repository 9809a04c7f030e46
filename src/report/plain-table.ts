// What tables on the terminal are made of: columns without lines, and text below them.

/** The characters of a table of cli-table3 that has no lines. */
export const noLines = Object.fromEntries(
  [
    "top",
    "mid",
    "bottom",
    "top-mid",
    "top-left",
    "top-right",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid-mid",
    "right",
    "right-mid",
    "middle",
  ].map((name) => [name, ""]),
);

/** Text in lines of at most N columns. */
export function wrapped(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!;
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}
