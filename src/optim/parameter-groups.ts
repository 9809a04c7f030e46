import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";

/** What a parameter is to its layer; `step`: the distance between the numbers that quantized weights or activations take. */
export const parameterKinds = ["weight", "bias", "norm-weight", "norm-bias", "step"] as const;
export type ParameterKind = (typeof parameterKinds)[number];

/** How one parameter is treated. */
export interface ParameterSettings {
  /** Factors of the run's learning rate, weight decay and radii. */
  learningRate: number;
  weightDecay: number;
  rho: number;
  /** Whether it takes part in the perturbations and in the norms that scale them. */
  perturbed: boolean;
  /** A frozen parameter keeps its value, and no gradient of it is computed. */
  frozen: boolean;
}

/** Settings for some of the parameters; what is left out stays as it is. */
export interface ParameterGroup extends Partial<ParameterSettings> {
  /** The parameters of these names: `*` stands for any characters, as in `layer1.*` or `*.bias`. */
  names?: string | readonly string[];
  /** The parameters of these kinds. With `names` as well, those that fit both. */
  kinds?: ParameterKind | readonly ParameterKind[];
}

const parameterGroup: OptionKinds<ParameterGroup> = {
  names: "any",
  kinds: "any",
  learningRate: "number",
  weightDecay: "number",
  rho: "number",
  perturbed: "boolean",
  frozen: "boolean",
};

/** Which parameters are perturbed, by a name of its own. */
export const perturbChoices = ["all", "norm-only", "no-bias-no-norm"] as const;
export type Perturb = (typeof perturbChoices)[number];

export const defaultSettings: ParameterSettings = {
  learningRate: 1,
  weightDecay: 1,
  rho: 1,
  perturbed: true,
  frozen: false,
};

/**
 * The settings of every parameter, by its name. Later groups override earlier ones. Steps of quantizers are neither decayed
 * nor perturbed unless a group perturbs them.
 * `perturb` sets who is perturbed before the groups do: `"all"` (default), `"norm-only"` (SAM-ON, arXiv 2306.04226:
 * the normalization layers' scales and shifts), or `"no-bias-no-norm"`.
 * @param rates factors of the learning rate by name, which groups with factors of their own override
 * @throws UserError for a group that fits no parameter, and for factors below 0
 */
export function resolveGroups(
  parameters: readonly { name: string; kind: ParameterKind }[],
  groups: readonly ParameterGroup[] = [],
  perturb: Perturb = "all",
  rates: ReadonlyMap<string, number> = new Map(),
): Map<string, ParameterSettings> {
  if (!perturbChoices.includes(perturb)) {
    throw new UserError(`perturb is ${perturb}; choose one of ${perturbChoices.join(", ")}`);
  }
  const settings = new Map(
    parameters.map(({ name, kind }) => [
      name,
      {
        ...defaultSettings,
        learningRate: rates.get(name) ?? defaultSettings.learningRate,
        // A step that decays takes its integers with it.
        weightDecay: kind === "step" ? 0 : defaultSettings.weightDecay,
        perturbed: isPerturbed(kind, perturb),
      },
    ]),
  );
  for (const group of groups) {
    const { names, kinds, ...changes } = readOptions("parameter group", group, parameterGroup);
    const label = JSON.stringify({ names, kinds });
    for (const key of ["learningRate", "weightDecay", "rho"] as const) {
      const factor = changes[key];
      if (factor !== undefined && !(factor >= 0 && Number.isFinite(factor))) {
        throw new UserError(`parameter group ${label}: ${key} is ${factor}; it has to be 0 or more`);
      }
    }
    const fitting = parameters.filter(({ name, kind }) => fitsNames(name, names) && fitsKinds(kind, kinds));
    if (fitting.length === 0) {
      throw new UserError(
        `parameter group ${label} fits no parameter; there are ${parameters.map(({ name }) => name).join(", ")}`,
      );
    }
    for (const { name } of fitting) Object.assign(settings.get(name)!, changes);
  }
  return settings;
}

function isPerturbed(kind: ParameterKind, perturb: Perturb): boolean {
  if (kind === "step") return false;
  if (perturb === "all") return true;
  return perturb === "norm-only" ? kind.startsWith("norm") : kind === "weight";
}

/** Whether a name fits one of the patterns, where `*` stands for any characters; every name does when there are none. */
export function fitsNames(name: string, patterns: ParameterGroup["names"]): boolean {
  if (patterns === undefined) return true;
  return [patterns].flat().some((pattern) => {
    const literal = pattern.split("*").map((part) => part.replace(/[.\\+?^${}()|[\]]/g, "\\$&"));
    return new RegExp(`^${literal.join(".*")}$`).test(name);
  });
}

function fitsKinds(kind: ParameterKind, kinds: ParameterGroup["kinds"]): boolean {
  return kinds === undefined || [kinds].flat().includes(kind);
}
