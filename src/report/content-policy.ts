import { createHash } from "node:crypto";

/** The content security policy of a page that loads nothing, and where only these scripts of its own may run. */
export function contentPolicy(scripts: string[]): string {
  const hashes = scripts.map((script) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`);
  return `default-src 'none'; script-src ${hashes.join(" ")}; style-src 'unsafe-inline'; img-src data: blob:`;
}
