import type { Command } from "commander";
import { UserError } from "../common/errors.ts";
import { bilateralSamVariants } from "../optim/bilateral-sam.ts";
import { baseNames, defaultsOf, methodsWith, optimizerNames } from "../runs/optimizer-settings.ts";
import { choices, defined, isObject, merged, numberOption, type Settings } from "./settings.ts";

// The flags that say how to train, and how they override the optimizer of a document.

export interface OptimizerFlags {
  optimizer?: string;
  base?: string;
  variant?: string;
  rho?: number;
  rhoMax?: number;
  rhoMin?: number;
  alpha?: number;
  adaptive?: boolean;
  every?: number;
  reuse?: number;
  from?: number;
}

/** The settings of the base update, which every method has. */
export interface BaseFlags {
  momentum?: number;
  nesterov?: boolean;
  weightDecay?: number;
}

export function addBaseFlags(command: Command): Command {
  return command
    .optionsGroup("Optimizer:")
    .option("--momentum <μ>", "momentum of the base optimizer (default: 0.9 for sgd)", numberOption)
    .option("--nesterov", "Nesterov momentum")
    .option(
      "--weight-decay <λ>",
      "weight decay of the base optimizer (default: 0.001 for sgd)",
      numberOption,
    );
}

export function addOptimizerFlags(command: Command): Command {
  return command
    .optionsGroup("Optimizer:")
    .option("--optimizer <name>", `how to train: ${choices(optimizerNames)} (default: bilateral-sam)`)
    .option("--base <name>", `what it goes over: ${choices(baseNames)} (default: sgd)`)
    .option(
      "--rho <ρ>",
      `radius of the ascent (default: ${defaultsOf("rho")
        .map((pair) => pair.join(" "))
        .join(", ")})`,
      numberOption,
    )
    .option("--rho-max <ρ>", "radius of bilateral-sam's ascent (default: 0.05)", numberOption)
    .option(
      "--rho-min <ρ>",
      "radius of bilateral-sam's descent at the peak learning rate, which it follows (default: 0.05)",
      numberOption,
    )
    .option("--variant <name>", `variant of bilateral-sam: ${choices(bilateralSamVariants)} (default: paper)`)
    .option("--adaptive", "radii of bilateral-sam relative to each weight, as asam's")
    .option("--alpha <α>", "share of the orthogonal part that gsam takes off (default: 0.4)", numberOption)
    .option("--every <k>", "the whole method at every k-th step, the base optimizer between", numberOption)
    .option("--reuse <k>", "the whole method at every k-th step, its kept part between", numberOption)
    .option("--from <share>", "the base optimizer alone for this share of training", numberOption);
}

/** A document's optimizer with the flags' settings in place of its own. Throws for flags without a meaning for it. */
export function applyOptimizerFlags(
  given: Settings,
  { optimizer, base, ...flags }: OptimizerFlags,
): Settings {
  const method = optimizer ?? given.method ?? "bilateral-sam";
  // Another method keeps what it goes over, unless it is a base update itself.
  const sameMethod = optimizer === undefined || optimizer === given.method;
  const chosen = sameMethod ? given : defined({ base: isBase(method) ? undefined : given.base });
  requireMeaning(method, { base, ...flags });
  // Every flag has the name of its setting.
  const { rhoMin: high, ...plain } = flags;
  const rhoMin = high === undefined ? undefined : { name: "proportional-to-learning-rate", high };
  const settings = { ...chosen, method, ...defined({ ...plain, rhoMin }) };
  return base === undefined ? settings : { ...settings, base: { name: base } };
}

/** An optimizer with settings of its base update in place of its own. */
export function withBase(optimizer: unknown, flags: BaseFlags): unknown {
  const base = defined({ ...flags });
  if (Object.keys(base).length === 0 || !isObject(optimizer)) return optimizer;
  return { ...optimizer, base: merged(optimizer.base, base) };
}

function requireMeaning(method: unknown, flags: Omit<OptimizerFlags, "optimizer">): void {
  // A method that is not there is the schema's to tell.
  if (!(optimizerNames as readonly unknown[]).includes(method)) return;
  for (const [name, value] of Object.entries(flags)) {
    // Methods that are a base update have no other below them.
    const methods = methodsWith(name).filter((one) => name !== "base" || !isBase(one));
    if (value === undefined || methods.includes(String(method))) continue;
    const own = radii.filter((radius) => methodsWith(radius).includes(String(method))).map(flagOf);
    if ((radii as readonly string[]).includes(name) && own.length > 0) {
      throw new UserError(
        `${method}: the ${own.length > 1 ? "radii are" : "radius is"} ${own.join(" and ")}; ${flagOf(name)} is for ${methods.join(", ")}`,
      );
    }
    throw new UserError(
      `${flagOf(name)} has no meaning for ${method}; choose --optimizer ${methods.join(" or ")}`,
    );
  }
}

const radii = ["rho", "rhoMax", "rhoMin"] as const;

function isBase(method: unknown): boolean {
  return (baseNames as readonly unknown[]).includes(method);
}

function flagOf(setting: string): string {
  return `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
