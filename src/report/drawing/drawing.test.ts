import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Script } from "node:vm";
import fc from "fast-check";
import type { BarChart, Chart, LineChart, MatrixChart, PlaneChart } from "./chart.ts";
import { colorScale } from "./color-scale.ts";
import { drawingTheme, schemes } from "./colors.ts";
import { contourLines } from "./contours.ts";
import { renderFigurePage } from "./figure-page.ts";
import { chartOption } from "./option.ts";
import { pageScripts } from "./page-document.ts";
import { writePictures } from "./pictures.ts";
import { svgToPng } from "./png.ts";
import { firstView, surfaceSvg } from "./surface-svg.ts";
import { chartSvg, surfacePicture } from "./svg.ts";
import { chartCsv } from "./table.ts";
import { textWidth, wrapped } from "./text-width.ts";

const root = mkdtempSync(join(tmpdir(), "lowland-drawing-"));
after(() => rmSync(root, { recursive: true, force: true }));

const lines: LineChart = {
  kind: "lines",
  id: "spectrum",
  title: "The largest eigenvalues",
  note: "Of the first 1,000 test images.",
  alternative: "Eigenvalues by rank.",
  x: { name: "rank", whole: true },
  y: { name: "eigenvalue λ, logarithmic", logarithmic: true },
  lines: [
    {
      name: "sgd",
      style: 0,
      points: [
        [1, 60],
        [2, 20],
        [3, 9],
      ],
      band: [
        [1, 50, 70],
        [2, 10, 30],
        [3, 8, 10],
      ],
    },
    {
      name: "sam, ρ 0.1",
      style: 1,
      points: [
        [1, 30],
        [2, 10],
        [3, -1],
      ],
    },
  ],
  references: [{ value: 15, label: "half" }],
};

const bars: BarChart = {
  kind: "bars",
  id: "sharpness",
  title: "Sharpness",
  alternative: "Bars.",
  categories: ["MaxS", "MinS"],
  y: { name: "loss (nats)" },
  series: [
    { name: "one step", style: 0, bars: [{ value: 0.02, low: 0.01, high: 0.03 }, { value: 0.01 }] },
    { name: "many steps", style: 1, bars: [{ value: 0.04 }, undefined] },
  ],
};

const matrix: MatrixChart = {
  kind: "matrix",
  id: "confusion",
  title: "What is taken for what",
  alternative: "A matrix.",
  rowsAre: "given",
  columnsAre: "predicted",
  rows: ["cat", "dog, or wolf", "emu"],
  columns: ["cat", "dog, or wolf", "emu"],
  counts: [
    [40, 0, 0],
    [1, 3, 0],
    [0, 0, 0],
  ],
};

const axis = Array.from({ length: 21 }, (_, index) => -1 + index / 10);
const bowl = (value: (x: number, y: number) => number | null): PlaneChart => ({
  kind: "plane",
  id: "plane",
  title: "Loss around the weights",
  alternative: "A bowl.",
  x: { name: "direction 1" },
  y: { name: "direction 2" },
  value: { name: "loss (nats)" },
  xs: axis,
  ys: axis,
  values: axis.flatMap((x) => axis.map((y) => value(x, y))),
  marks: [{ name: "the weights", style: 1, at: [0, 0] }],
  paths: [
    {
      name: "training",
      style: 2,
      points: [
        [0.9, 0.5],
        [0.2, 0.1],
        [0, 0],
      ],
    },
  ],
});
const plane = bowl((x, y) => 1 + x * x + 2 * y * y);

describe("a matrix", () => {
  const cellColors = (svg: string) =>
    new Set([...svg.matchAll(/fill="(rgb\([\d,]+\))" ecmeta_series/g)].map(([, color]) => color));
  /** The numbers in cells, with their size and the height they stand at. */
  const numbersIn = (svg: string) =>
    [...svg.matchAll(/font-size:(\d+)px[^>]* x="[\d.]+" y="([\d.]+)"[^>]*>(\d+)</g)].map(
      ([, size, y, text]) => ({ size: Number(size), y: Number(y), text }),
    );

  test("colors cells by their share of the row, from the page's color to the first line's", () => {
    for (const [scheme, page, full] of [
      ["light", [255, 255, 255], [0x00, 0x72, 0xb2]],
      ["dark", [0x15, 0x18, 0x1b], [0x4d, 0xb2, 0xec]],
    ] as const) {
      // The square roots of 0, 1/4, 3/4 and 1, between the two colors.
      const expected = [0, 0.5, Math.sqrt(0.75), 1].map((depth) => {
        const channels = page.map((from, index) => Math.round(from + (full[index] - from) * depth));
        return `rgb(${channels.join(",")})`;
      });
      assert.deepEqual([...cellColors(chartSvg(matrix, scheme))].sort(), expected.sort());
    }
  });

  test("writes every count but 0 where all have room, smaller where they need to be, or none", () => {
    const numbers = (height: number) =>
      numbersIn(chartSvg(matrix, "light", { width: 720, height })).map(({ text, size }) => `${text} ${size}`);
    assert.deepEqual(numbers(440), ["40 11", "1 11", "3 11"]);
    assert.deepEqual(numbers(130), ["40 10", "1 10", "3 10"]);
    assert.deepEqual(numbers(120), []);
  });

  test("has its first row at the top, and names rows and columns", () => {
    const svg = chartSvg(matrix, "light");
    const [forty, one, three] = numbersIn(svg).map(({ y }) => y);
    assert.ok(forty < one && one === three, String([forty, one, three]));
    for (const text of ["given", "predicted", "emu", "dog, or wolf"])
      assert.ok(svg.includes(`>${text}</text>`), text);
  });

  test("a cell that is pointed at tells its pair, its count and its share", () => {
    const settings = {
      theme: drawingTheme("light"),
      width: 500,
      height: 300,
      fontFamily: "x",
      titled: false,
    };
    const { tooltip } = chartOption({ ...matrix, rows: ["cat", "<dog>", "emu"] }, settings);
    const { formatter } = tooltip as unknown as { formatter: (item: object) => string };
    assert.equal(
      formatter({ dataIndex: 4 }),
      '<div class="hover">given: &lt;dog&gt;<br>predicted: dog, or wolf<br><strong>3</strong> (75.0 % of the row)</div>',
    );
  });
});

describe("pictures", () => {
  test("name their axes, lines and title, in light and dark", () => {
    const named: [Chart, string[]][] = [
      [
        lines,
        [
          "The largest eigenvalues",
          "Of the first 1,000 test images.",
          "rank",
          "eigenvalue λ, logarithmic",
          "sgd",
          "sam, ρ 0.1",
          "half",
        ],
      ],
      [bars, ["Sharpness", "MaxS", "MinS", "loss (nats)", "one step", "many steps"]],
      [
        plane,
        ["Loss around the weights", "direction 1", "direction 2", "loss (nats)", "the weights", "training"],
      ],
    ];
    for (const scheme of schemes) {
      const { page, lines: styles } = drawingTheme(scheme);
      for (const [chart, texts] of named) {
        const svg = chartSvg(chart, scheme);
        for (const text of texts) assert.ok(svg.includes(`>${text}</text>`), `${chart.id} lacks "${text}"`);
        assert.ok(svg.includes(page) && svg.includes(styles[chart === plane ? 2 : 0].color));
      }
    }
  });

  test("are PNG files of twice their size, with the fonts that come along", async () => {
    const png = await svgToPng(chartSvg(bars, "light", { width: 300, height: 200 }));
    const bytes = Buffer.from(png);
    assert.equal(bytes.subarray(1, 4).toString(), "PNG");
    assert.deepEqual([bytes.readUInt32BE(16), bytes.readUInt32BE(20)], [600, 400]);
    const wordless = await svgToPng(
      chartSvg(bars, "light", { width: 300, height: 200 }).replaceAll(/<text[\s\S]*?<\/text>/g, ""),
    );
    assert.ok(png.length > 1.2 * wordless.length, "no text was drawn");
  });

  test("of a plane are two: from above, and as a surface", async () => {
    const paths = await writePictures(root, [plane]);
    const names = ["plane.light", "plane-surface.light", "plane.dark", "plane-surface.dark"];
    assert.deepEqual(
      paths,
      names.flatMap((name) => [`${name}.svg`, `${name}.png`]).map((name) => join(root, name)),
    );
    assert.ok(readFileSync(paths[2], "utf8").startsWith("<svg"));
  });

  test("have legends above the plot, whatever the names and the width", () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9 ().,]{2,30}[a-z]$/).filter((text) => !text.includes("  "));
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { minLength: 1, maxLength: 7 }),
        fc.integer({ min: 340, max: 1000 }),
        (names, width) => {
          const chart: LineChart = {
            ...lines,
            note: undefined,
            references: [],
            lines: names.map((text, style) => ({
              name: text,
              style,
              points: [
                [1, 2],
                [2, 3],
              ],
            })),
          };
          const svg = chartSvg(chart, "light", { width, height: 440 });
          const heightOf = (text: string) => {
            const escaped = text.replaceAll(/[.()]/g, "\\$&");
            const found = new RegExp(`<text[^>]*translate\\(\\S+ (\\S+)\\)[^>]*>${escaped}</text>`).exec(svg);
            assert.ok(found, `"${text}" is not in the picture`);
            return Number(found[1]);
          };
          const nameOfAxis = heightOf("eigenvalue λ, logarithmic");
          for (const text of names) assert.ok(heightOf(text) <= nameOfAxis - 12, `${text} is over the plot`);
        },
      ),
      { numRuns: 25 },
    );
  });
});

test("contours of a bowl are ellipses of their levels, without the border", () => {
  const found = contourLines(plane);
  assert.ok(found.length >= 8);
  for (const { level, lines: drawn } of found) {
    for (const [x, y] of drawn.flat()) {
      assert.ok(Math.abs(1 + x * x + 2 * y * y - level) < 0.03, `(${x}, ${y}) is not at ${level}`);
    }
  }
  assert.deepEqual(contourLines(bowl(() => 3)), []);
  assert.deepEqual(contourLines(bowl(() => null)), []);
});

test("colors go from low to high, on logarithmic scales too", () => {
  const { scale: colors } = drawingTheme("light");
  for (const logarithmic of [false, true]) {
    const scale = colorScale(
      { values: [1, null, 10, 100, Number.POSITIVE_INFINITY], value: { name: "loss", logarithmic } },
      colors,
    );
    assert.deepEqual([scale.low, scale.high, scale.share(1), scale.share(100)], [1, 100, 0, 1]);
    assert.equal(scale.share(10), logarithmic ? 0.5 : 9 / 99);
    assert.deepEqual([scale.color(1), scale.color(1e6)], ["rgb(68,1,84)", "rgb(253,231,37)"]);
    assert.ok(scale.ticks.every((tick) => tick >= 1 && tick <= 100) && scale.ticks.length >= 3);
  }
});

test("a surface has a facet for each four neighbors that have values, the nearest drawn last", () => {
  const place = { width: 600, height: 400, top: 0, fontFamily: "sans-serif" };
  const theme = drawingTheme("light");
  const facets = (chart: PlaneChart, view = firstView) =>
    [...surfaceSvg(chart, theme, view, place).matchAll(/data-value="(\d+)"/g)].map(([, at]) => Number(at));
  assert.equal(facets(plane).length, 400);
  assert.equal(facets(bowl((x, y) => (x === 0 && y === 0 ? null : 1))).length, 396);
  // Turned by nothing, y goes away from the reader.
  const order = facets(
    bowl(() => 1),
    { azimuth: 0, elevation: 30 },
  ).map((at) => at % 21);
  assert.deepEqual(
    order,
    [...order].sort((a, b) => b - a),
  );
  assert.ok(surfacePicture(plane, "dark").includes("Loss around the weights"));
});

test("data comes as CSV, with what needs quotes in quotes", () => {
  assert.deepEqual(chartCsv(lines).split("\r\n").slice(0, 3), [
    'line,rank,"eigenvalue λ, logarithmic",low,high',
    "sgd,1,60,50,70",
    "sgd,2,20,10,30",
  ]);
  assert.equal(chartCsv(bars).split("\r\n")[2], "MaxS,many steps,0.04,,");
  assert.equal(chartCsv(plane).split("\r\n").length, 1 + 441 + 3 + 1 + 1);
  const [head, , , , row] = chartCsv(matrix).split("\r\n");
  assert.deepEqual([head, row], ["given,predicted,count", '"dog, or wolf",cat,1']);
});

test("text is as wide as DejaVu Sans sets it, and lines hold what fits", () => {
  assert.equal(textWidth("mm", 100), 194);
  for (const line of wrapped("some words that do not fit into one line of this width", 120, 12)) {
    assert.ok(textWidth(line, 12) <= 120, line);
  }
});

describe("lines that have points at different places", () => {
  const theme = drawingTheme("light");
  const settings = { theme, width: 600, height: 400, fontFamily: "serif", titled: false };
  const chart: LineChart = {
    ...lines,
    x: { name: "gradients" },
    y: { name: "%", percent: true },
    lines: [
      {
        name: "short",
        style: 0,
        points: [
          [1, 0.5],
          [2, 0.75],
        ],
      },
      {
        name: "long",
        style: 3,
        points: [
          [2, 0.25],
          [4, 0.5],
          [6, 0.625],
        ],
      },
    ],
    references: [],
  };
  /** The rows of the hover text at a place. */
  const hovered = (at: number, hidden: readonly string[] = []) => {
    const { tooltip } = chartOption(chart, { ...settings, hidden });
    const { formatter } = tooltip as unknown as { formatter: (items: object[]) => string };
    const [, heading, table] = /^<div class="hover">(.*?)<table>(.*)<\/table>/.exec(
      formatter([{ axisValue: at }]),
    )!;
    return [
      heading,
      ...table
        .split("</tr>")
        .filter((row) => row !== "")
        .map((row) => row.replaceAll(/<[^>]+>/g, " ").trim()),
    ];
  };

  test("are read at their latest one, the highest first, and say where they have ended", () => {
    assert.deepEqual(hovered(2), ["gradients: 2", "■  short  75.0 %", "■  long  25.0 %"]);
    assert.deepEqual(hovered(1), ["gradients: 1", "■  short  50.0 %"]);
    assert.deepEqual(hovered(4), ["gradients: 4", "■  short  75.0 % (ended)", "■  long  50.0 %"]);
    assert.deepEqual(hovered(6, ["short"]), ["gradients: 6", "■  long  62.5 %"]);
  });

  test("that are hidden leave the axes to the others", () => {
    const option = chartOption(chart, { ...settings, legend: false, hidden: ["long"] });
    assert.deepEqual(option.legend, { ...(option.legend as object), show: false, selected: { long: false } });
    assert.deepEqual([1, 2], [(option.xAxis as { min: number }).min, (option.xAxis as { max: number }).max]);
    assert.equal((chartOption(chart, settings).xAxis as { max: number }).max, 6);
  });
});

describe("the page", () => {
  test("of small charts has one legend of buttons, and axes to choose from", async () => {
    const views = [{ x: { name: "seconds" }, lines: lines.lines }];
    const charts = [
      { ...lines, views },
      { ...lines, id: "second", lines: lines.lines.slice(1) },
    ];
    const figure = { id: "one", title: "One", text: ["Words."], charts, compact: true };
    const page = renderFigurePage({ title: "t", lead: "l", figures: [figure] }, []);
    const buttons = [...page.matchAll(/<button type="button" aria-pressed="true" data-line="([^"]*)"/g)];
    assert.deepEqual(
      buttons.map(([, name]) => name),
      ["sgd", "sam, ρ 0.1"],
    );
    const radios = [...page.matchAll(/<input type="radio" name="axis-one" value="([^"]*)"( checked)?>/g)];
    assert.deepEqual(
      radios.map(([, name, checked]) => [name, checked]),
      [
        ["rank", " checked"],
        ["seconds", undefined],
      ],
    );
    assert.doesNotMatch(page, /data-download="csv"/);
  });

  test("loads nothing, runs only its own scripts, and holds the charts' data", async () => {
    const title = 'A <b>"title"</b> & more';
    const page = renderFigurePage(
      {
        title,
        lead: "</script><script>",
        figures: [{ id: "one", title: "One", text: ["Words."], charts: [lines, bars, plane] }],
      },
      await pageScripts(),
    );
    const scripts = [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, code]) => code);
    assert.equal(scripts.length, 2);
    for (const code of scripts) {
      new Script(code);
      assert.ok(page.includes(`sha256-${createHash("sha256").update(code).digest("base64")}`));
    }
    assert.match(page, /default-src 'none'/);
    assert.doesNotMatch(
      page.slice(page.indexOf("<body>"), page.indexOf('<script type="application/json"')),
      /<b>|<script>|src=|href=/,
    );
    const data = JSON.parse(/id="page-data">([\s\S]*?)<\/script>/.exec(page)![1]);
    assert.deepEqual(data.charts, JSON.parse(JSON.stringify([lines, bars, plane])));
    assert.deepEqual(Object.keys(data.contours), ["plane"]);
  });

  test("has drawing code whose files do not share a name, as one script holds them", async () => {
    const [, code] = await pageScripts();
    const names = [...code.matchAll(/^(?:function|const|let) (\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(
      names.filter((name, index) => names.indexOf(name) !== index),
      [],
    );
    assert.ok(names.includes("chartOption") && names.includes("surfaceSvg"));
  });
});
