// Writes src/onnx/onnx_pb.ts from src/onnx/onnx.proto. Needed only after a change of onnx.proto; downloads the two
// tools named below, which are no dependencies of the project.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { root } from "./project.mjs";

const tools = ["@bufbuild/protoc-gen-es@2.17.0", "@bufbuild/buf@1.75.0"];
const template = {
  version: "v2",
  plugins: [{ local: "protoc-gen-es", out: ".", opt: ["target=ts", "import_extension=ts"] }],
};

const { status } = spawnSync(
  "npx",
  [
    "--yes",
    ...tools.map((tool) => `--package=${tool}`),
    "buf",
    "generate",
    ".",
    "--template",
    JSON.stringify(template),
  ],
  { cwd: join(root, "src", "onnx"), stdio: "inherit" },
);
process.exit(status ?? 1);
