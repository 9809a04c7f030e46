import { join } from "node:path";
import { type Command, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { radii } from "../../flatness/radius.ts";
import { curvatures } from "../../flatness/spectrum.ts";
import {
  defaultLargest,
  type FlatnessMeasure,
  type FlatnessOptions,
  flatnessMeasures,
  measureFlatness,
} from "../../measure/flatness.ts";
import { cacheFolder } from "../../measure/measured-model.ts";
import { MeasurementCache } from "../../measure/measurement-cache.ts";
import { writeMeasurementFigures } from "../../report/figures/write.ts";
import { flatnessTables } from "../../report/flatness-table.ts";
import { makeFolder, writeJson } from "../../runs/run-folder.ts";
import { interruptSignal } from "../interrupt.ts";
import {
  addMeasuringFlags,
  type MeasuringFlags,
  numberList,
  openNamedModel,
  withSurfaces,
} from "../measuring-options.ts";
import { outputStyle, printJson } from "../output.ts";
import { duration, followParts, say } from "../progress.ts";
import { numberOption } from "../settings.ts";

const defaultMeasures: readonly FlatnessMeasure[] = ["sharpness", "spectrum"];
const defaultSubset = 1000;

const examples = `
What is measured: sharpness (one-step, multi-step and in random directions), layer-sharpness, batch-sharpness (of each
batch's own loss), spectrum (largest and smallest eigenvalues), trace, density, layer-spectra.
The default takes less than half a minute for a small network: MaxS, MinS and BilS in a plain ball and the ${defaultLargest} largest
eigenvalues. There is more on request, and the command says beforehand how long it takes:
--measure all, --rho-adaptive 0.5, --rho-filter 0.05, --steps 10, --top 50, --bottom 1, --curvature all.
A large eigenvalue takes about 3 products with the Hessian, a small one 4, the first of them up to 22; a product takes as
long as 2 gradients.

Of a quantized model (a run that was trained with --quantize, or a file of lowland quantize) losses are those of the rounded
network. What is moved are the numbers that its integers stand for; with --perturb latent the float weights of a run, which are
rounded afterwards. Rounding has no derivative: steps follow the straight-through gradient, so MaxS is what was found on the
way, and eigenvalues, trace and density are those of the float network with the quantized weights, activations not rounded.

Examples:
  $ lowland flatness runs/noisy-labels/sam-0.1
  $ lowland flatness runs/noisy-labels/sam-0.1 --measure spectrum --top 50 --subset 2000
  $ lowland flatness classifier.onnx --data fashion-mnist --measure all --json > flatness.json
  $ lowland flatness runs/mine --train --measure sharpness --rho 0.05,0.1 --rho-adaptive 1 --steps 50

A command that was stopped goes on where it was when it is given again.`;

/** Seconds from which on a person wants to know how long it takes. */
const worthSaying = 2;

interface FlatnessFlags extends MeasuringFlags {
  measure: FlatnessMeasure[];
  rho: number[];
  rhoAdaptive: number[];
  rhoFilter: number[];
  steps: number;
  directions: number;
  confidence: number;
  curvature: FlatnessOptions["curvatures"];
  top?: number;
  bottom: number;
  layerTop: number;
  tolerance: number;
  maxProducts?: number;
  verify?: boolean;
  traceProducts: number;
  densityProbes: number;
  densitySteps: number;
}

/** `lowland flatness`: how flat the loss is around a model's weights. */
export function flatnessCommand(command: Command): Command {
  command.addOption(
    listOption(
      "--measure <names>",
      `what to measure: all, or of ${flatnessMeasures.join(", ")}, separated by commas`,
      chosen("--measure", flatnessMeasures),
      defaultMeasures,
    ),
  );
  addMeasuringFlags(command, { subset: defaultSubset })
    .addOption(listOption("--rho <list>", "radii ‖ε‖ ≤ ρ, separated by commas", numberList, [0.05]))
    .addOption(listOption("--rho-adaptive <list>", "radii ‖ε/|w|‖ ≤ ρ (scale-invariant)", numberList, []))
    .addOption(listOption("--rho-filter <list>", "radii in units of each filter's norm", numberList, []))
    .option("--steps <n>", "of projected ascent and descent after the one step", numberOption, 5)
    .option("--directions <n>", "random directions", numberOption, 10)
    .option("--confidence <p>", "of the intervals", numberOption, 0.95)
    .addOption(
      listOption(
        "--curvature <names>",
        `of which matrix: all, or of ${curvatures.join(", ")}`,
        chosen("--curvature", curvatures),
        ["hessian"],
      ),
    )
    .option("--top <k>", `largest eigenvalues (default: ${defaultLargest})`, numberOption)
    .option("--bottom <k>", "smallest eigenvalues", numberOption, 0)
    .option("--layer-top <k>", "largest eigenvalues of each layer", numberOption, 5)
    .option("--tolerance <t>", "residual of an eigenpair, relative to the largest |λ|", numberOption, 1e-4)
    .option("--max-products <n>", "products with the matrix at most, for eigenvalues", numberOption)
    .option("--verify", "look once more for equal eigenvalues, from a second start vector")
    .option("--trace-products <n>", "products with the matrix for the trace", numberOption, 60)
    .option("--density-probes <n>", "start vectors for the density", numberOption, 5)
    .option("--density-steps <n>", "Lanczos steps of each of them", numberOption, 50)
    .addHelpText("after", examples);
  return command.action(async (place: string, flags: FlatnessFlags) => {
    const signal = interruptSignal(
      "Stopping after this batch; the same command goes on from here (Ctrl-C again: at once).",
    );
    const options = optionsOf(flags);
    const model = await openNamedModel(place, flags, { subset: defaultSubset, signal });
    const folder = flags.out ?? model.folder;
    const cache = new MeasurementCache(cacheFolder(folder), {
      fingerprints: model.identity.fingerprints,
      description: model.identity.description,
    });
    if (flags.overwrite) await cache.clear();
    const parts = followParts();
    try {
      const record = await withSurfaces(model, flags, (surfaces) =>
        measureFlatness(model, surfaces, cache, options, {
          ...parts,
          signal,
          onEstimate: (seconds) => {
            if (seconds >= worthSaying) say(`About ${duration(seconds)}.`);
          },
        }),
      );
      await makeFolder(folder);
      const file = join(folder, "flatness.json");
      await writeJson(file, record);
      if (parts.found() > 0)
        say(`${parts.found()} parts were measured before (--overwrite: measure them again).`);
      if (!record.determinism.deterministic) {
        say(
          `Warning: the same data gave another loss or gradient the second time (by up to ${record.determinism.largestDifference}).`,
        );
      }
      const { page } = await writeMeasurementFigures(folder, record);
      if (flags.json) printJson(record);
      else {
        process.stdout.write(
          `\n${flatnessTables(record, outputStyle())}\n\nData: ${file}\nPictures: ${page}\n`,
        );
      }
    } finally {
      parts.close();
    }
  });
}

function optionsOf(flags: FlatnessFlags): FlatnessOptions {
  const { measure, rho, rhoAdaptive, rhoFilter, curvature, top, bottom, layerTop, verify = false } = flags;
  const radiiGiven = { plain: rho, adaptive: rhoAdaptive, filter: rhoFilter };
  const isSharpness = measure.some((name) => name.endsWith("sharpness"));
  if (isSharpness && radii.every((radius) => radiiGiven[radius].length === 0)) {
    throw new UserError("there is no radius to measure the sharpness at; give one with --rho");
  }
  if (!(flags.confidence > 0 && flags.confidence < 1)) {
    throw new UserError(`--confidence is ${flags.confidence}; choose a number between 0 and 1`);
  }
  return {
    ...flags,
    measures: measure,
    rho: radiiGiven,
    curvatures: curvature,
    largest: top,
    smallest: bottom,
    layerEigenvalues: layerTop,
    verify,
  };
}

/** An option that is a list, with its default as a person would write it. */
function listOption<T>(
  flags: string,
  description: string,
  parser: (text: string) => T[],
  value: readonly T[],
) {
  return new Option(flags, description)
    .argParser(parser)
    .default([...value], value.length > 0 ? value.join(",") : "none");
}

/** Names separated by commas, or all of them. */
function chosen<T extends string>(option: string, names: readonly T[]) {
  return (text: string): T[] => {
    if (text === "all") return [...names];
    const given = text.split(",").map((name) => name.trim());
    const unknown = given.find((name) => !(names as readonly string[]).includes(name));
    if (unknown !== undefined) {
      throw new UserError(`${option}: there is no "${unknown}"; choose from all, ${names.join(", ")}`);
    }
    return names.filter((name) => given.includes(name));
  };
}
