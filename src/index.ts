// The library in Node.
export * from "./library.ts";
export { type WrittenFigures, writeMeasurementFigures } from "./report/figures/write.ts";
