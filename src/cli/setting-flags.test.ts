import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as z from "zod";
import { isObject } from "../common/objects.ts";
import { parse } from "../common/schema.ts";
import { figuresSchema } from "../paper/configuration.ts";
import { comparisonSchema, runSchema } from "../runs/configuration.ts";
import { importedModel } from "../runs/network-settings.ts";
import { type CommandName, commands, listedCommand } from "./commands.ts";
import type { Flag } from "./flags.ts";
import { putFlags } from "./put-flags.ts";
import { comparisonFlags, figuresFlags, importFlags, runFlags, type SettingFlags } from "./setting-flags.ts";
import type { Settings } from "./settings.ts";

// Every setting of a document has a flag, and the flag reaches that setting and no other.

interface Case {
  flags: readonly Flag[];
  schema: z.ZodType;
  document: (flag: Flag) => Settings;
}

const cases = {
  train: { flags: runFlags, schema: runSchema, document: () => ({}) },
  compare: {
    flags: comparisonFlags,
    schema: comparisonSchema,
    document: ({ of: [[name] = ["sgd"]] }) => ({
      runs: [{ name: "a", optimizer: { method: "sam", base: { name } } }],
    }),
  },
  figures: { flags: figuresFlags, schema: figuresSchema, document: () => ({}) },
  finetune: {
    flags: importFlags,
    schema: importedModel,
    document: () => ({ file: "a.onnx" }),
  },
} satisfies Readonly<Partial<Record<CommandName, Case>>>;

/** Values of flags that are texts. */
const texts: Readonly<Record<string, string>> = {
  data: "digits",
  model: "cnn",
  weights: "a.safetensors",
  "weights-except": "fc.*,bn1.*",
  dimension: "height=64",
  "mask-color": "cat=#ff0000",
  train: "head",
  features: "compute",
  device: "cpu",
  "scale-over": "perturbed",
};
/** What a flag needs beside it. */
const beside: Readonly<Record<string, string[]>> = {
  weights: ["--weights", "b.safetensors"],
  "weights-except": ["--weights", "a.safetensors"],
  normalization: ["--weights", "a.safetensors"],
  cutout: ["--cutout", "3"],
  "cutout-probability": ["--cutout", "3"],
};
/** Settings of documents only. */
const documentsOnly = ["pose.skeleton"];

for (const name of Object.keys(cases) as (keyof typeof cases)[]) {
  const { flags, schema, document }: Case = cases[name];
  describe(name, () => {
    for (const flag of flags) {
      test(`--${flag.name}`, async () => {
        const complete = await commands[name].load();
        const given = (args: string[]) => {
          const made = complete(listedCommand(name));
          let values: SettingFlags = {};
          made.action((...parameters: unknown[]) => {
            values = parameters[made.registeredArguments.length] as SettingFlags;
          });
          made.exitOverride().configureOutput({ writeErr: () => {} });
          made.parse([...made.registeredArguments.map(() => "a.onnx"), ...args], { from: "user" });
          return parse(schema, putFlags(schema, document(flag), values));
        };
        const around = [...choosing(flag, flags), ...(beside[flag.name] ?? [])];
        const before = given(around);
        const changes = (args: string[]) => {
          try {
            return differences(before, given([...around, ...args]));
          } catch {
            return [];
          }
        };
        const accepted = argumentsFor(flag).find((args) => changes(args).length > 0);
        assert.ok(accepted, "no value changes the document");
        for (const path of changes(accepted)) {
          assert.ok(
            `${path}.`.startsWith(`${flag.path.join(".")}.`),
            `${path} is not ${flag.path.join(".")}`,
          );
        }
      });
    }

    test("has a flag for every setting in its JSON schema", () => {
      // `weights` is also a text, which is the file.
      const isCovered = (path: string) =>
        path === "weights" || without.some((one) => `${path}.`.startsWith(`${one}.`));
      const without = [
        ...documentsOnly,
        ...(name === "compare"
          ? ["optimizer", "runs.name", "runs.optimizer", "runs.quantization"]
          : ["file"]),
        // `finetune` sets it by what it starts from.
        "weights.otherHead",
      ];
      const paths = flags.map(({ path, chooses }) => `${path.join(".")}.${chooses ? "name." : ""}`);
      for (const path of settingsIn(z.toJSONSchema(schema, { io: "input" }))) {
        if (isCovered(path)) continue;
        assert.ok(
          paths.some((one) => `${path}.`.startsWith(one)),
          `${path} has no flag`,
        );
      }
    });
  });
}

/** The flags that choose an alternative which has the flag's setting. */
function choosing({ path, of }: Flag, flags: readonly Flag[]): string[] {
  const [alternative] = of.keys();
  if (alternative === undefined) return [];
  const choice = flags
    .filter((one) => one.chooses && one.choices?.includes(alternative))
    .filter((one) => one.path.every((key, index) => path[index] === key) && one.path.length < path.length)
    .at(-1);
  return choice ? [`--${choice.name}`, alternative] : [];
}

/** Values of flags whose choices are in their descriptions, and numbers. */
const others = ["7", "0.3", "3", "frozen", "kl", "balanced", "pad", "imagenet", "rounded", "mean"];

/** Values to try. */
function argumentsFor({ name, value, choices, example }: Flag): string[][] {
  if (value === undefined) return [[`--${name}`], [`--no-${name}`]];
  const known = example ?? texts[name];
  if (known !== undefined) return [[`--${name}`, known]];
  return [...(choices ?? []).map(String), ...others].map((text) => [`--${name}`, text]);
}

/** Paths of what differs, those of elements of lists being that of the list. */
function differences(a: unknown, b: unknown, path: readonly string[] = []): string[] {
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    return a.flatMap((value, index) => differences(value, b[index], path));
  }
  if (isObject(a) && isObject(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => differences(a[key], b[key], [...path, key]));
  }
  return JSON.stringify(a) === JSON.stringify(b) ? [] : [path.join(".")];
}

/** Paths of all values that a JSON schema allows, the constants aside. */
function settingsIn(schema: z.core.JSONSchema.BaseSchema, path: readonly string[] = []): string[] {
  const alternatives = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  const parts = [...alternatives.map((one) => [one, path] as const)];
  if (isObject(schema.items)) parts.push([schema.items as z.core.JSONSchema.BaseSchema, path]);
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    parts.push([property as z.core.JSONSchema.BaseSchema, [...path, key]]);
  }
  if (parts.length === 0) return schema.const === undefined ? [path.join(".")] : [];
  return parts.flatMap(([one, place]) => settingsIn(one as z.core.JSONSchema.BaseSchema, place));
}
