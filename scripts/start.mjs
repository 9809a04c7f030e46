// npm start [-- flags]: installs and builds what is missing, then runs the demonstration.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { build, install, root } from "./project.mjs";

install();
build();
const lowland = spawn(process.execPath, [join(root, "dist/cli/main.js"), "demo", ...process.argv.slice(2)], {
  stdio: "inherit",
});
// Ctrl-C reaches the child through the terminal; this process only waits for it to finish its sentence.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => lowland.kill("SIGTERM"));
lowland.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
