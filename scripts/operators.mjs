// node scripts/operators.mjs: writes docs/operators.md from the registry of operators. A test says when it is not current.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, install, root } from "./project.mjs";

install();
build();
const { operatorTable } = await import("../dist/testing/operator-table.js");
writeFileSync(join(root, "docs", "operators.md"), operatorTable());
