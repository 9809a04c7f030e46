import { build, install } from "../scripts/project.mjs";

install();
build();
const { compareWithPyTorch, exportedModel, exportedModels, exportOf } = await import(
  "../dist/testing/exported-models.js"
);
const { loadModel } = await import("../dist/import/load.js");
const { writeModel } = await import("../dist/onnx/model.js");

const wanted = process.argv.slice(2);
const files = exportedModels.filter(
  (file) => wanted.length === 0 || wanted.some((part) => file.includes(part)),
);
const rows = [];
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
      const row = { name, exporter, opset, milliseconds, parameters: model.parameters, ...result };
      rows.push(row);
      console.log(
        `${file} ${mode}: loss ${row.loss.toExponential(1)}, worst ${row.worst} ${row.difference.toExponential(1)}` +
          ` of ${row.compared}, zero ${row.zero} (${row.largestZero.toExponential(1)}), import ${milliseconds.toFixed(0)} ms`,
      );
    }
  } catch (error) {
    console.log(`${file}: ${error.message}`);
  }
}
