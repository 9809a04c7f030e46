import assert from "node:assert/strict";
import { test } from "node:test";
import * as z from "zod";
import { UserError } from "./errors.ts";
import { filledIn, parse, renamed } from "./schema.ts";

const shape = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("circle"), radius: z.number().positive() }),
  z.strictObject({ kind: z.literal("rectangle"), width: z.number(), height: z.number() }),
]);

const drawing = z.strictObject({
  title: z.string().default("untitled"),
  copies: z.number().int().min(1).max(10).default(1),
  color: z.enum(["red", "green"]).default("red"),
  framed: z.boolean().default(false),
  main: shape.prefault({ kind: "circle", radius: 1 }),
  margin: z
    .union([z.number().min(0), z.strictObject({ left: z.number(), right: z.number().default(0) })])
    .default(0),
  others: z.array(shape).min(1).optional(),
});

const message = (document: unknown): string => {
  try {
    parse(drawing, document);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  throw new Error(`${JSON.stringify(document)} was taken`);
};

test("a document comes back with every default filled in, and is itself not changed", () => {
  const document = { main: { kind: "circle", radius: 2 }, margin: { left: 3 } };
  assert.deepEqual(parse(drawing, document), {
    title: "untitled",
    copies: 1,
    color: "red",
    framed: false,
    main: { kind: "circle", radius: 2 },
    margin: { left: 3, right: 0 },
  });
  assert.deepEqual(document, { main: { kind: "circle", radius: 2 }, margin: { left: 3 } });
});

test("the first thing that is wrong is reported in one sentence: where, what was got, what was wanted", () => {
  const sentences: [unknown, string][] = [
    [{ copies: 0 }, "copies is 0; it has to be at least 1"],
    [{ copies: 11 }, "copies is 11; it has to be at most 10"],
    [{ copies: 1.5 }, "copies is 1.5; it has to be a whole number"],
    [{ copies: "2" }, 'copies is "2"; it has to be a finite number'],
    [{ copies: Number.POSITIVE_INFINITY }, "copies is Infinity; it has to be a finite number"],
    [{ copies: Number.NaN }, "copies is NaN; it has to be a finite number"],
    [{ copies: 1n }, "copies is 1; it has to be a finite number"],
    [{ title: 7 }, "title is 7; it has to be a text"],
    [{ framed: "yes" }, 'framed is "yes"; it has to be true or false'],
    [{ color: "blue" }, 'color: there is no "blue"; choose one of red, green'],
    [{ main: { kind: "circle", radius: 0 } }, "main.radius is 0; it has to be more than 0"],
    [{ main: { kind: "circle" } }, "main.radius is missing; it has to be a finite number"],
    [{ main: { kind: "oval" } }, 'main.kind: there is no "oval"; choose one of circle, rectangle'],
    [{ main: {} }, "main.kind is missing; choose one of circle, rectangle"],
    [{ main: "circle" }, 'main is "circle"; it has to be an object of settings'],
    [{ margin: "wide" }, 'margin is "wide"; it has to be a finite number or an object of settings'],
    [{ margin: -1 }, "margin is -1; it has to be at least 0"],
    [{ margin: {} }, "margin.left is missing; it has to be a finite number"],
    [{ others: 5 }, "others is 5; it has to be a list"],
    [{ others: [] }, "others is []; it has to hold at least 1"],
    [
      {
        others: [
          { kind: "circle", radius: 1 },
          { kind: "circle", radius: -1 },
        ],
      },
      "others.1.radius is -1; it has to be more than 0",
    ],
    [[], "the configuration is []; it has to be an object of settings"],
    [null, "the configuration is null; it has to be an object of settings"],
  ];
  for (const [document, sentence] of sentences) assert.equal(message(document), sentence);
});

test("an unknown key is reported with the known ones of its place and the nearest of them", () => {
  assert.equal(
    message({ coppies: 2 }),
    'configuration key "coppies" is not known; the nearest of the known ones ' +
      '(title, copies, color, framed, main, margin, others) is "copies"',
  );
  // Of alternatives, those of the one that the document has chosen.
  assert.equal(
    message({ main: { kind: "circle", radios: 1 } }),
    'configuration key "radios" of main is not known; the nearest of the known ones (kind, radius) is "radius"',
  );
  assert.match(
    message({ main: { kind: "rectangle", width: 1, heigth: 1 } }),
    /\(kind, width, height\) is "height"$/,
  );
  assert.match(
    message({ others: [{ kind: "circle", radius: 1, wide: 1 }] }),
    /"wide" of others\.0 .* is "kind"$/,
  );
  assert.match(message({ margin: { left: 1, rigth: 1 } }), /"rigth" of margin .*\(left, right\) is "right"$/);
});

test("a misspelt key is reported before the key that is missing because of it", () => {
  assert.match(message({ main: { kind: "circle", radius: 1, size: 1 }, copies: 0 }), /"size"/);
});

test("a setting is taken by its earlier name too, and refused by both at once", () => {
  const frame = renamed(z.strictObject({ width: z.number().max(9), color: z.string().default("red") }), {
    breadth: "width",
  });
  const schema = z.strictObject({ frame });
  assert.deepEqual(parse(schema, { frame: { breadth: 3 } }), { frame: { width: 3, color: "red" } });
  assert.deepEqual(parse(schema, { frame: { width: 3 } }), { frame: { width: 3, color: "red" } });
  const refuses = (given: unknown, message: string) =>
    assert.throws(() => parse(schema, { frame: given }), { name: "UserError", message });
  refuses({ breadth: 10 }, "frame.width is 10; it has to be at most 9");
  refuses("wide", 'frame is "wide"; it has to be an object of settings');
  refuses(
    { breadth: 3, width: 4 },
    'configuration key "breadth" of frame is not known; the nearest of the known ones (width, color) is "width"',
  );
});

test("a value of two possible types that is missing is said to be missing", () => {
  const schema = z.object({ id: z.union([z.int(), z.string()]) });
  assert.throws(() => parse(schema, {}), /UserError: id is missing; it has to be a finite number or a text/);
});

test("defaults of settings are filled in at any depth; those of an alternative only where it is chosen", () => {
  const defaults = {
    title: "plan",
    main: { kind: "circle", radius: 2 },
    margin: { left: 1 },
    others: [{ kind: "circle", radius: 3 }],
  };
  const filled = (document: unknown) => filledIn(drawing, document, defaults);
  assert.deepEqual(filled({}), defaults);
  assert.deepEqual(filled({ title: "own", main: {} }), { ...defaults, title: "own" });
  const rectangle = { kind: "rectangle", width: 1, height: 2 };
  assert.deepEqual(filled({ main: rectangle }), { ...defaults, main: rectangle });
  assert.deepEqual(filled({ others: [rectangle], margin: 4 }), {
    ...defaults,
    others: [rectangle],
    margin: 4,
  });
  const nested = z.strictObject({
    page: z
      .strictObject({ size: z.number(), ink: z.strictObject({ red: z.number() }) })
      .prefault({} as never),
  });
  const page = { size: 96, ink: { red: 1 } };
  assert.deepEqual(filledIn(nested, { page: { size: 5 } }, { page }), { page: { ...page, size: 5 } });
  // What is no document stays as it is, for the schema to refuse.
  assert.equal(filledIn(nested, "text", { page }), "text");
  assert.deepEqual(filledIn(nested, { page: 7, other: 1 }, { page }), { page: 7, other: 1 });
});
