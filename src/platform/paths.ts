// Paths of a page's own files and addresses, as Node's module has them for the system's.

/** Without a query or fragment, which addresses may have. */
export function basename(path: string): string {
  return (/([^/]*)\/*$/.exec(path.replace(/[?#].*$/, "")) ?? ["", ""])[1];
}

export function dirname(path: string): string {
  const at = path.replace(/\/+$/, "").lastIndexOf("/");
  return at < 0 ? "." : path.slice(0, Math.max(at, 1));
}

export function extname(path: string): string {
  return /[^/](\.[^./]*)$/.exec(basename(path))?.[1] ?? "";
}

export function join(...paths: string[]): string {
  return paths.filter((path) => path !== "" && path !== ".").join("/");
}

export function resolve(path: string): string {
  return path;
}
