import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command } from "commander";
import * as z from "zod";
import { flags as registry } from "../common/flags.ts";
import { parse } from "../common/schema.ts";
import { addFlags } from "./add-flags.ts";
import { flagsOf } from "./flags.ts";
import { putFlags } from "./put-flags.ts";
import type { Settings } from "./settings.ts";

// A setting in a schema is all it takes.

/** A command with the flags of a schema alone: its help, and documents from arguments. */
function commandFor(schema: z.ZodType, document: Settings = {}) {
  const made = () =>
    addFlags(new Command("try").exitOverride().configureOutput({ writeErr: () => {} }), flagsOf(schema));
  return {
    help: made().configureHelp({ helpWidth: 500 }).helpInformation().replaceAll(/ {2,}/g, " "),
    document(...args: string[]): Settings {
      let given: Settings = {};
      made()
        .action((values: Settings) => {
          given = values;
        })
        .parse(args, { from: "user" });
      return putFlags(schema, document, given);
    },
  };
}

describe("a setting that is added to a schema", () => {
  const schema = z.strictObject({
    warmth: z.number().min(0).max(1).default(0.25).describe("Share of heat that is kept."),
    heating: z
      .strictObject({
        fuelKind: z.enum(["wood", "gas"]).default("wood").describe("What burns."),
        quiet: z.boolean().default(false).describe("Without a fan."),
        vented: z.boolean().default(true).describe("With a chimney."),
        burners: z.array(z.number().int()).optional().describe("Burners that are lit. Left out: every one."),
        rooms: z.record(z.string(), z.number()).default({}).describe("Radiators by room."),
        labels: z
          .union([z.string(), z.array(z.string())])
          .optional()
          .describe("Stickers on it."),
        power: z
          .union([z.enum(["full", "low"]), z.number(), z.record(z.string(), z.number())])
          .default("full")
          .describe("How hot."),
      })
      .prefault({}),
  });
  const { help, document } = commandFor(schema);

  test("has a line in the help, with its default, its choices and its description", () => {
    for (const line of [
      "--warmth <n> share of heat that is kept (default: 0.25)",
      "--heating-fuel-kind <name> what burns (one of wood, gas; default: wood)",
      "--[no-]heating-quiet without a fan",
      "--[no-]heating-vented with a chimney (default: on)",
      "--heating-burners <list> burners that are lit (default: every one)",
      "--heating-rooms <name=n> radiators by room (may be repeated)",
      "--heating-labels <text> stickers on it (may be repeated)",
      "--heating-power <name> how hot (one of full, low; may be repeated; default: full)",
    ]) {
      assert.ok(
        help.split("\n").some((one) => one.trim() === line),
        `${line} in\n${help}`,
      );
    }
  });

  test("gets the flag's value, at its place in the document, beside what is there", () => {
    const args: [string[], Settings][] = [
      [["--warmth", "0.5"], { warmth: 0.5 }],
      [["--heating-fuel-kind", "gas"], { heating: { fuelKind: "gas" } }],
      [["--heating-quiet"], { heating: { quiet: true } }],
      [["--no-heating-vented"], { heating: { vented: false } }],
      [["--heating-burners", "1, 2"], { heating: { burners: [1, 2] } }],
      [
        ["--heating-rooms", "hall=1", "--heating-rooms", "attic=2"],
        { heating: { rooms: { hall: 1, attic: 2 } } },
      ],
      [["--heating-labels", "a", "--heating-labels", "b,c"], { heating: { labels: ["a", "b,c"] } }],
      [["--heating-power", "low"], { heating: { power: "low" } }],
      [["--heating-power", "0.5"], { heating: { power: 0.5 } }],
      [
        ["--heating-power", "hall=0.5", "--heating-power", "attic=1"],
        { heating: { power: { hall: 0.5, attic: 1 } } },
      ],
      [[], {}],
    ];
    for (const [given, expected] of args) {
      assert.deepEqual(document(...given), expected);
      parse(schema, expected);
    }
    assert.deepEqual(
      commandFor(schema, { warmth: 1, heating: { quiet: true } }).document("--no-heating-quiet"),
      {
        warmth: 1,
        heating: { quiet: false },
      },
    );
    assert.deepEqual(commandFor(schema, { heating: "hot" }).document("--heating-quiet"), { heating: "hot" });
  });

  test("is refused by its schema, and by its kind", () => {
    assert.throws(
      () => parse(schema, document("--warmth", "2")),
      /^UserError: warmth is 2; it has to be at most 1$/,
    );
    assert.throws(
      () => parse(schema, document("--heating-fuel-kind", "coal")),
      /^UserError: heating\.fuelKind: there is no "coal"; choose one of wood, gas$/,
    );
    assert.throws(() => document("--warmth", "cold"), /'cold' is invalid\. It has to be a number\.$/);
    assert.throws(
      () => document("--heating-power", "high"),
      /It has to be one of full, low, or a number, or a name and a number/,
    );
    assert.throws(() => document("--heating-rooms", "hall"), /It has to be a name and a number/);
  });

  test("of another name, or with none", () => {
    const { help: other, document: named } = commandFor(
      z.strictObject({
        size: z.strictObject({
          height: z.number().register(registry, { name: "tall", value: "<cm>", help: "how tall" }),
          depth: z.number().register(registry, { flags: "none" }),
        }),
        place: z.strictObject({ room: z.string() }).register(registry, { prefix: "", group: "Where" }),
      }),
    );
    assert.deepEqual(named("--tall", "3", "--room", "hall"), {
      size: { height: 3 },
      place: { room: "hall" },
    });
    assert.match(other, /--tall <cm> how tall\n/);
    assert.match(other, /Where:\n --room <text>/);
    assert.doesNotMatch(other, /depth/);
  });

  test("is not added where its flag is taken, or where it needs one that is declared", () => {
    const height = z.number().register(registry, { name: "size" });
    assert.throws(
      () => flagsOf(z.strictObject({ height, size: z.number() })),
      /^Error: --size is the flag of height and of size$/,
    );
    assert.throws(
      () => flagsOf(z.strictObject({ points: z.array(z.strictObject({ x: z.number() })) })),
      /^Error: the setting points needs flags that are declared, or to be marked to have none$/,
    );
  });
});

describe("settings of alternatives", () => {
  const family = ["load", "loads"] as const;
  const schema = z.strictObject({
    vehicle: z
      .discriminatedUnion("kind", [
        z.strictObject({
          kind: z.literal("bike"),
          gears: z.number().int().min(1).default(7).describe("Gears."),
          bags: z.number().default(2).describe("Bags.").register(registry, { family }),
          owner: z.string().optional().describe("Whose it is.").register(registry, { kept: true }),
        }),
        z.strictObject({
          kind: z.literal("truck"),
          gears: z.number().int().min(1).default(12).describe("Gears."),
          tons: z.number().default(3).describe("Tons.").register(registry, { family }),
          fast: z.boolean().default(false).describe("Fast."),
          owner: z.string().optional().describe("Whose it is.").register(registry, { kept: true }),
        }),
      ])
      .prefault({ kind: "bike" })
      .describe("What one rides.")
      .register(registry, { prefix: "" }),
  });

  test("say in the help which have them", () => {
    const { help } = commandFor(schema);
    for (const line of [
      "--vehicle <name> what one rides (one of bike, truck; default: bike)",
      "--gears <n> gears (default: bike 7, truck 12)",
      "--[no-]fast fast (truck)",
      "--tons <n> tons (truck; default: 3)",
      "--owner <text> whose it is",
    ]) {
      assert.ok(
        help.split("\n").some((one) => one.trim() === line),
        `${line} in\n${help}`,
      );
    }
  });

  test("go to the chosen one, and what is kept with it", () => {
    const over = (vehicle: Settings | undefined, ...args: string[]) =>
      commandFor(schema, vehicle && { vehicle }).document(...args).vehicle;
    assert.deepEqual(over(undefined, "--bags", "4"), { kind: "bike", bags: 4 });
    assert.deepEqual(over(undefined, "--tons", "4", "--vehicle", "truck"), { kind: "truck", tons: 4 });
    assert.deepEqual(over({ kind: "bike", gears: 3, owner: "Eve" }, "--vehicle", "truck"), {
      kind: "truck",
      owner: "Eve",
    });
    assert.deepEqual(over({ kind: "truck", gears: 3 }, "--vehicle", "truck"), { kind: "truck", gears: 3 });
  });

  test("are refused where none is chosen", () => {
    const { vehicle } = schema.shape;
    const optional = z.strictObject({
      vehicle: vehicle.unwrap().optional().register(registry, { prefix: "" }),
    });
    assert.throws(
      () => parse(optional, commandFor(optional).document("--tons", "1")),
      /^UserError: vehicle\.kind is missing; choose one of bike, truck$/,
    );
  });

  test("are refused for another one", () => {
    const { document } = commandFor(schema);
    assert.throws(
      () => document("--fast"),
      /^UserError: --fast has no meaning for bike; choose --vehicle truck$/,
    );
    assert.throws(
      () => document("--tons", "1"),
      /^UserError: bike: the load is --bags; --tons is for truck$/,
    );
    assert.throws(
      () => parse(schema, document("--vehicle", "tank", "--tons", "1")),
      /^UserError: vehicle\.kind: there is no "tank"; choose one of bike, truck$/,
    );
  });
});
