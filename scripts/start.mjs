// npm start [-- flags]: installs and builds what is missing, then runs the demonstration.
import { startLowland } from "./project.mjs";

startLowland("demo");
