import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { pipeline } from "node:stream/promises";

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

/** Shows the files of a folder on this machine, isolated from other origins, as threads of WebAssembly ask for. */
export async function serveFolder(folder: string, port: number): Promise<Server> {
  const server = createServer(({ method, url = "/" }, response) => {
    if (method !== "GET" && method !== "HEAD") response.writeHead(405).end();
    else answer(folder, url, method === "HEAD", response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "localhost", resolve);
  });
  return server;
}

async function answer(folder: string, url: string, isHead: boolean, response: ServerResponse): Promise<void> {
  const path = fileAt(folder, url);
  const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || !found?.isFile()) {
    response.writeHead(404, { "Content-Type": "text/plain" }).end("There is no such file.\n");
    return;
  }
  response.writeHead(200, {
    "Content-Type": types[extname(path)] ?? "application/octet-stream",
    "Content-Length": found.size,
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "X-Content-Type-Options": "nosniff",
  });
  if (isHead) response.end();
  else await pipeline(createReadStream(path), response);
}

/** The path of an address; nothing for one that leads out of the folder. */
function fileAt(folder: string, url: string): string | undefined {
  try {
    const { pathname } = new URL(url, "http://localhost");
    const path = normalize(join(folder, decodeURIComponent(pathname)));
    if (path !== folder && !path.startsWith(`${folder}${sep}`)) return undefined;
    return pathname.endsWith("/") ? join(path, "index.html") : path;
  } catch {
    return undefined;
  }
}
