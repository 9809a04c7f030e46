import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { initWasm, Resvg } from "@resvg/resvg-wasm";

const require = createRequire(import.meta.url);
let ready: Promise<Uint8Array[]> | undefined;

/** An SVG document as a PNG picture, `scale` times as large. Its texts are set in DejaVu Sans, on every machine. */
export async function svgToPng(svg: string, scale = 2): Promise<Uint8Array> {
  ready ??= prepare();
  const fontBuffers = await ready;
  const options = { fontBuffers, defaultFontFamily: "DejaVu Sans", sansSerifFamily: "DejaVu Sans" };
  const renderer = new Resvg(svg, { font: options, fitTo: { mode: "zoom", value: scale } });
  const image = renderer.render();
  try {
    return image.asPng();
  } finally {
    image.free();
    renderer.free();
  }
}

/** The renderer, which is WebAssembly and so the same everywhere, and the bytes of its fonts. */
async function prepare(): Promise<Uint8Array[]> {
  await initWasm(await readFile(require.resolve("@resvg/resvg-wasm/index_bg.wasm")));
  return Promise.all([
    readFile(require.resolve("dejavu-fonts-ttf/ttf/DejaVuSans.ttf")),
    readFile(require.resolve("dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf")),
  ]);
}
