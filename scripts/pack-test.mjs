// Packs the project as it would be published, installs the tarball in an empty folder, and uses it there: as a
// library, from TypeScript, and from the command line.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build, install, root, run, runPackage } from "./project.mjs";

install();
build();
runPackage("publint/src/cli.js", ["--strict"]);
const folder = mkdtempSync(join(tmpdir(), "lowland-pack-"));
try {
  run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder]);
  const [tarball] = readdirSync(folder);
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "user", type: "module", private: true }),
  );
  // As README.md says to, and with nothing else set.
  const { ONNXRUNTIME_NODE_INSTALL: _, ...withoutInstallSetting } = process.env;
  const inFolder = { cwd: folder, env: withoutInstallSetting };
  run(
    "npm",
    ["install", "--ignore-scripts", "--silent", "--no-audit", "--no-fund", `./${tarball}`],
    inFolder,
  );
  writeFileSync(
    join(folder, "use.ts"),
    `import { bilateralSam, sgd, train } from "lowland";
const { summary } = await train({
  data: "digits",
  optimizer: bilateralSam(sgd({ momentum: 0.9 })),
  epochs: 3,
  batchSize: 64,
});
if (!summary || summary.metrics.accuracy < 0.7) throw new Error(\`trained to \${summary?.metrics.accuracy}\`);
console.log(\`library: test accuracy \${summary.metrics.accuracy.toFixed(3)}\`);
`,
  );
  const options = ["--module", "nodenext", "--target", "es2022", "--strict", "--types", "", "--ignoreConfig"];
  run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), ...options, "use.ts"], inFolder);
  run(process.execPath, ["use.js"], inFolder);
  const command = [
    "--no-install",
    "lowland",
    "train",
    "--data",
    "digits",
    "--epochs",
    "1",
    "--json",
    "--out",
    "run",
  ];
  const { stdout, status } = spawnSync("npx", command, { ...inFolder, encoding: "utf8" });
  if (status !== 0 || JSON.parse(stdout).status !== "finished") {
    console.error(`the installed command failed with code ${status}: ${stdout}`);
    process.exit(1);
  }
  console.log("command line: trained and printed its summary");
} finally {
  rmSync(folder, { recursive: true, force: true });
}
