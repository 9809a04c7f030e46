// node scripts/corners.mjs: writes docs/gradients-at-corners.md from the cases that are tested. A test says when it is not current.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, install, root } from "./project.mjs";

install();
build();
const { cornersPage } = await import("../dist/testing/corners-page.js");
writeFileSync(join(root, "docs", "gradients-at-corners.md"), cornersPage());
