// node scripts/configuration.mjs: writes docs/configuration.md from the schema of a run. A test says when it is not current.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, install, root } from "./project.mjs";

install();
build();
const { configurationPage } = await import("../dist/testing/configuration-page.js");
writeFileSync(join(root, "docs", "configuration.md"), configurationPage());
