// node scripts/opset-changes.mjs: writes docs/opset-changes.md from the table that the tests iterate over. A test says when it is not current.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, install, root } from "./project.mjs";

install();
build();
const { opsetChangesPage } = await import("../dist/testing/opset-changes-page.js");
writeFileSync(join(root, "docs", "opset-changes.md"), opsetChangesPage());
