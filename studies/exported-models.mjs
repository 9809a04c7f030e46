// Models exported by PyTorch (fixtures/import/exports.py), imported and differentiated, beside PyTorch's own numbers:
// node studies/exported-models.mjs [PART OF A NAME …]
//
// Without arguments it runs all of them and writes docs/results/exported-models.md.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, install, root } from "../scripts/project.mjs";

install();
build();
const { compareWithPyTorch, exportedModel, exportedModels, exportOf, inFloat64 } = await import(
  "../dist/testing/exported-models.js"
);
const { loadModel, TrainableModel } = await import("../dist/import/load.js");
const { writeModel } = await import("../dist/onnx/model.js");

const wanted = process.argv.slice(2);
const files = exportedModels.filter(
  (file) => wanted.length === 0 || wanted.some((part) => file.includes(part)),
);
/** Gradients of which PyTorch's own float32 knows less than this. */
const isBeyondFloat32 = ({ pytorchFloat32 }) => pytorchFloat32.difference > 1e-3;

const rows = [];
const failed = [];
for (const [index, file] of files.entries()) {
  const { model: name, exporter, opset, modes } = exportOf(file);
  process.stderr.write(`${index + 1} of ${files.length}: ${name}, ${exporter}, opset ${opset}\n`);
  try {
    const bytes = writeModel(exportedModel(file));
    const start = performance.now();
    const model = await loadModel(bytes, { batchSize: 2, dropout: false });
    model.build({ training: true });
    const milliseconds = performance.now() - start;
    for (const mode of modes) {
      const result = await compareWithPyTorch(file, model, mode);
      const row = { name, exporter, opset, milliseconds, parameters: countOf(model), ...result };
      if (isBeyondFloat32(row)) {
        const exact = new TrainableModel(inFloat64(exportedModel(file)), { batchSize: 2, dropout: false });
        row.float64 = (await compareWithPyTorch(file, exact, mode)).difference;
      }
      rows.push(row);
      console.log(
        `${file} ${mode}: loss ${row.loss.toExponential(1)}, worst ${row.worst} ${row.difference.toExponential(1)}` +
          `${row.float64 ? ` (in float64 ${row.float64.toExponential(1)})` : ""} of ${row.compared}, zero ${row.zero} (${row.largestZero.toExponential(1)}), import ${milliseconds.toFixed(0)} ms`,
      );
    }
  } catch (error) {
    failed.push(file);
    console.log(`${file}: ${error.message}`);
  }
}
if (wanted.length === 0) writeFileSync(join(root, "docs", "results", "exported-models.md"), page());
process.exitCode = failed.length > 0 ? 1 : 0;

function countOf(model) {
  const sizes = model.trainable.map(({ shape }) => shape.reduce((product, size) => product * size, 1));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function page() {
  const models = new Set(rows.map(({ name }) => name));
  const worst = rows.reduce((most, row) => (row.difference > most.difference ? row : most));
  const beyond = rows
    .filter(isBeyondFloat32)
    .map(({ name, mode, float64 }) => `${name}, ${mode}: ${float64.toExponential(1)}`);
  const largest = Math.max(
    ...rows.filter((row) => !isBeyondFloat32(row)).map(({ difference }) => difference),
  );
  const head = [
    "model",
    "parameters",
    "exporter",
    "opset",
    "mode",
    "loss",
    "gradients",
    "worst gradient",
    "PyTorch",
    "import",
  ];
  const cells = rows.map((row) => [
    row.name,
    row.parameters.toLocaleString("en"),
    row.exporter,
    row.opset,
    row.mode,
    row.loss.toExponential(0),
    row.zero > 0 ? `${row.compared} + ${row.zero}` : row.compared,
    `\`${row.worst}\` ${row.difference.toExponential(1)}`,
    row.pytorchFloat32.difference.toExponential(1),
    `${Math.round(row.milliseconds)} ms`,
  ]);
  return `# Models exported by PyTorch

\`node studies/exported-models.mjs\` runs all of this and writes this page; the files come from
[fixtures/import/exports.py](../../fixtures/import/exports.py) (PyTorch 2.13, torchvision, timm, transformers), their weights filled in by name.

${models.size} architectures, ${files.length} files${failed.length > 0 ? `, of which ${failed.length} fail: ${failed.join(", ")}` : ", all of which import"}. Loss and the gradient of every parameter in
float32, relative to PyTorch's in float64 (a gradient's difference to its norm, estimated from eight random projections).
The largest difference is ${worst.difference.toExponential(1)}: \`${worst.worst}\` of ${worst.name} (${worst.exporter}, ${worst.mode}). "PyTorch" is the same for
PyTorch's own float32: where that is above 1e-3 too, the gradient is beyond what float32 can tell, and the same graph run in
float64 is compared as well (${beyond.join("; ") || "none here"}; PyTorch's numbers are kept to seven digits). Of the other
${rows.length - beyond.length} rows the largest is ${largest.toExponential(1)}. "148 + 17" gradients: 17 more are zero in exact arithmetic, a bias before BatchNorm for one, and are
below ${Math.max(...rows.map(({ largestZero }) => largestZero)).toExponential(0)} of the norm of all here. "import" is the time from the file's bytes to a graph to train, once, others running beside it.

${[head, head.map(() => "---"), ...cells].map((line) => `| ${line.join(" | ")} |`).join("\n")}
`;
}
