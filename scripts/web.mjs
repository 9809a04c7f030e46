// npm run web [-- flags]: installs and builds what is missing, then shows the playground.
import { startLowland } from "./project.mjs";

startLowland("playground");
