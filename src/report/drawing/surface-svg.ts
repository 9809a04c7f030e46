import type { PlaneChart } from "./chart.ts";
import { colorScale, isDrawable, scaleTicks } from "./color-scale.ts";
import type { DrawingTheme } from "./colors.ts";
import { textWidth } from "./text-width.ts";
import { escapeText, shown, tick } from "./words.ts";

// A plane's values as a surface in space: points turned, projected, and drawn from the farthest to the nearest. In the
// page this very code draws again while the reader turns it.

export interface View {
  /** Degrees that the surface is turned about its height, and that it is seen from above. */
  azimuth: number;
  elevation: number;
}

export const firstView: View = { azimuth: 35, elevation: 34 };

export interface SurfacePlace {
  width: number;
  height: number;
  /** Where the drawing begins, below a title. */
  top: number;
  fontFamily: string;
}

type Vector = [x: number, y: number, z: number];

/** The surface as the content of an SVG element. Each facet carries the place of its value as `data-value`. */
export function surfaceSvg(plane: PlaneChart, theme: DrawingTheme, view: View, place: SurfacePlace): string {
  const { xs, ys, values, value: axis, paths = [], marks = [] } = plane;
  const scale = colorScale(plane, theme.scale);
  const unit = (coordinates: readonly number[], at: number) => {
    const [from, to] = [Math.min(...coordinates), Math.max(...coordinates)];
    return to > from ? (2 * (at - from)) / (to - from) - 1 : 0;
  };
  const project = projection(view, place);
  const height = (value: number) => 1.1 * scale.share(value) - 0.55;
  const at = (x: number, y: number, z: number): Vector => [unit(xs, x), unit(ys, y), z];
  const facets: { depth: number; svg: string }[] = [];
  for (let i = 0; i + 1 < xs.length; i++) {
    for (let j = 0; j + 1 < ys.length; j++) {
      const corners = [
        [i, j],
        [i + 1, j],
        [i + 1, j + 1],
        [i, j + 1],
      ];
      const heights = corners.map(([a, b]) => values[a * ys.length + b]);
      if (!heights.every((value) => isDrawable(value, axis))) continue;
      const points = corners.map(([a, b], corner) =>
        project(at(xs[a], ys[b], height(Number(heights[corner])))),
      );
      const middle = heights.reduce((sum: number, value) => sum + scale.share(Number(value)), 0) / 4;
      const color = scale.colorAt(middle);
      const outline = points.map(({ x, y }) => `${round(x)},${round(y)}`).join(" ");
      facets.push({
        depth: points.reduce((sum, { depth }) => sum + depth, 0) / 4,
        svg: `<polygon points="${outline}" fill="${color}" stroke="${color}" data-value="${i * ys.length + j}"/>`,
      });
    }
  }
  const over = (x: number, y: number) => height(nearest(plane, x, y)) + 0.02;
  for (const { points, style } of paths) {
    const { color } = theme.lines[style % theme.lines.length];
    for (let index = 1; index < points.length; index++) {
      const [a, b] = [points[index - 1], points[index]].map(([x, y]) => project(at(x, y, over(x, y))));
      facets.push({
        depth: Math.min(a.depth, b.depth) - 0.05,
        svg: `<line x1="${round(a.x)}" y1="${round(a.y)}" x2="${round(b.x)}" y2="${round(b.y)}" stroke="${color}" stroke-width="2.5" stroke-linecap="round"/>`,
      });
    }
  }
  for (const {
    at: [x, y],
    style,
  } of marks) {
    const { color } = theme.lines[style % theme.lines.length];
    const point = project(at(x, y, over(x, y)));
    facets.push({
      depth: point.depth - 0.06,
      svg: `<circle cx="${round(point.x)}" cy="${round(point.y)}" r="5" fill="${color}" stroke="#ffffff"/>`,
    });
  }
  facets.sort((a, b) => b.depth - a.depth);
  const frame = boxSvg(plane, scale, theme, project, view, place);
  return `${frame.behind}<g stroke-width="0.6" stroke-linejoin="round">${facets.map(({ svg }) => svg).join("")}</g>${frame.before}`;
}

/** Turns, tilts and moves into the picture: without perspective, so that equal heights stay equal. */
function projection({ azimuth, elevation }: View, { width, height, top }: SurfacePlace) {
  const [turn, tilt] = [azimuth, elevation].map((degrees) => (degrees * Math.PI) / 180);
  // Half of what a box of 2 × 2 × 1.1 takes in each direction, however it is turned; the rest is for numbers and names.
  const [halfWidth, halfHeight] = [Math.SQRT2, 0.55 * 1.25 * Math.cos(tilt) + Math.SQRT2 * Math.sin(tilt)];
  const size = Math.min((width - 84) / 2 / halfWidth, (height - top - 58) / 2 / halfHeight);
  const [middleX, middleY] = [width / 2, top + 24 + size * halfHeight];
  return ([x, y, z]: Vector) => {
    const across = x * Math.cos(turn) - y * Math.sin(turn);
    const away = x * Math.sin(turn) + y * Math.cos(turn);
    return {
      x: middleX + size * across,
      y: middleY - size * (z * Math.cos(tilt) * 1.25 + away * Math.sin(tilt)),
      depth: away * Math.cos(tilt) - z * Math.sin(tilt),
    };
  };
}

type Project = ReturnType<typeof projection>;

/** Floor, height axis and their numbers: what is behind the surface, and the texts, which are before it. */
function boxSvg(
  { x, y, xs, ys, value: axis }: PlaneChart,
  scale: ReturnType<typeof colorScale>,
  theme: DrawingTheme,
  project: Project,
  view: View,
  { fontFamily, width }: SurfacePlace,
) {
  const floor = -0.55;
  const corners: Vector[] = [
    [-1, -1, floor],
    [1, -1, floor],
    [1, 1, floor],
    [-1, 1, floor],
  ];
  const line = (a: Vector, b: Vector, color = theme.line) => {
    const [from, to] = [project(a), project(b)];
    return `<line x1="${round(from.x)}" y1="${round(from.y)}" x2="${round(to.x)}" y2="${round(to.y)}" stroke="${color}"/>`;
  };
  const text = (at: { x: number; y: number }, words: string, anchor: string) =>
    `<text x="${round(at.x)}" y="${round(at.y)}" fill="${theme.muted}" font-size="12" font-family="${fontFamily}" text-anchor="${anchor}">${escapeText(words)}</text>`;
  const floorLines = corners.map((corner, index) => line(corner, corners[(index + 1) % 4]));
  // Numbers stand at the two edges of the floor that are nearest to the reader; heights at the leftmost corner.
  const depths = corners.map((corner) => project(corner).depth);
  const front = depths.indexOf(Math.min(...depths));
  const places = corners.map(project);
  const left = places.reduce((best, place, index) => (place.x < places[best].x ? index : best), 0);
  const labels: string[] = [];
  for (const neighbor of [(front + 1) % 4, (front + 3) % 4]) {
    const alongX = corners[front][1] === corners[neighbor][1];
    const [coordinates, name] = alongX ? [xs, x.brief ?? x.name] : [ys, y.brief ?? y.name];
    const [from, to] = [Math.min(...coordinates), Math.max(...coordinates)];
    const toLeft = places[neighbor].x < places[front].x;
    for (const value of scaleTicks(from, to, false)) {
      const share = (2 * (value - from)) / (to - from) - 1;
      const point: Vector = alongX ? [share, corners[front][1], floor] : [corners[front][0], share, floor];
      const outer: Vector = [point[0] * (alongX ? 1 : 1.04), point[1] * (alongX ? 1.04 : 1), floor];
      labels.push(line(point, outer, theme.muted));
      const end = project(outer);
      labels.push(
        text({ x: end.x + (toLeft ? -4 : 4), y: end.y + 11 }, tick(value), toLeft ? "end" : "start"),
      );
    }
    const middle = project(
      [0, 1].map((part) => (corners[front][part] + corners[neighbor][part]) / 2).concat(floor) as Vector,
    );
    const steep = Math.abs(Math.sin((view.elevation * Math.PI) / 180));
    const reach = textWidth(name, 12) + 4;
    const beside = toLeft ? Math.max(reach, middle.x - 46) : Math.min(width - reach, middle.x + 46);
    labels.push(text({ x: beside, y: middle.y + 26 + 14 * steep }, name, toLeft ? "end" : "start"));
  }
  const base = corners[left];
  const heights = scale.ticks.map((value) => {
    const point: Vector = [base[0], base[1], 1.1 * scale.share(value) - 0.55];
    const end = project(point);
    return `<line x1="${round(end.x - 5)}" y1="${round(end.y)}" x2="${round(end.x)}" y2="${round(end.y)}" stroke="${theme.muted}"/>${text({ x: end.x - 8, y: end.y + 4 }, tick(Number(shown(value, axis).toPrecision(3))), "end")}`;
  });
  const summit = project([base[0], base[1], 0.55]);
  const name = text(
    { x: Math.max(textWidth(axis.name, 12) / 2 + 4, summit.x), y: summit.y - 14 },
    axis.name,
    "middle",
  );
  return {
    behind: floorLines.join("") + line([base[0], base[1], floor], [base[0], base[1], 0.55]),
    before: `<g>${[...labels, ...heights, name].join("")}</g>`,
  };
}

/** The value of the grid point nearest to a place. */
function nearest({ xs, ys, values, value: axis }: PlaneChart, x: number, y: number): number {
  const closest = (coordinates: readonly number[], at: number) =>
    coordinates.reduce(
      (best, one, index) => (Math.abs(one - at) < Math.abs(coordinates[best] - at) ? index : best),
      0,
    );
  const value = values[closest(xs, x) * ys.length + closest(ys, y)];
  return isDrawable(value, axis) ? value : Number.POSITIVE_INFINITY;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
