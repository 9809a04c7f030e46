/** A file that is not what it should be, or cannot be read. */
export interface BadFile {
  path: string;
  reason: string;
}

/** What is wrong with files, in a sentence that names ten of them. */
export function describeBad(bad: readonly BadFile[]): string {
  const shown = bad.slice(0, 10).map(({ path, reason }) => `${path} (${reason})`);
  const rest = bad.length > shown.length ? `, and ${bad.length - shown.length} more` : "";
  return `${bad.length} ${bad.length === 1 ? "file cannot" : "files cannot"} be used: ${shown.join(", ")}${rest}`;
}
