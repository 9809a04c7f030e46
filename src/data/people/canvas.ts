// A small painter with exact edges: shapes are signed distances, their edges a pixel wide. Beside the colors it keeps which
// shape is on top of each pixel, so that masks and visibility are known and not guessed.

export type Color = readonly [red: number, green: number, blue: number];

/** A point of the picture in pixels; pixel (0, 0) has its center at (0.5, 0.5). */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** How a shape is painted. */
export interface Paint {
  readonly color: Color;
  /** What the picture's top layer says where the shape covers a pixel by half or more; at most 255. */
  readonly id: number;
  /** Direction that light comes from, as a unit vector in the picture, and how much of the color depends on it (0 … 1). */
  readonly light?: { readonly x: number; readonly y: number; readonly strength: number };
  /** Stripes across a limb: their color, and how many fit along it. */
  readonly stripes?: { readonly color: Color; readonly count: number };
}

export class Canvas {
  /** [3, size, size], 0 … 1. */
  readonly pixels: Float32Array;
  /** [size, size]: the id of the shape on top, 0 for the background. */
  readonly top: Uint8Array;
  readonly size: number;
  /** Where the last distance was measured: offset from the shape's middle in radii, and the share of the way along a limb. */
  private readonly hit = { dx: 0, dy: 0, t: 0 };

  constructor(size: number) {
    this.size = size;
    this.pixels = new Float32Array(3 * size * size);
    this.top = new Uint8Array(size * size);
  }

  /** A limb: all points within a radius of the line from `from` to `to`; the radius goes from one to the other. */
  capsule(from: Point, to: Point, radii: readonly [number, number], paint: Paint): void {
    const [along, across] = [to.x - from.x, to.y - from.y];
    const squared = Math.max(along * along + across * across, 1e-9);
    const widest = Math.max(...radii);
    this.paint(
      bounds([from, to], widest),
      (x, y) => {
        const t = Math.min(1, Math.max(0, ((x - from.x) * along + (y - from.y) * across) / squared));
        const [dx, dy] = [x - from.x - t * along, y - from.y - t * across];
        const radius = radii[0] + (radii[1] - radii[0]) * t;
        this.mark(dx / radius, dy / radius, t);
        return Math.sqrt(dx * dx + dy * dy) - radius;
      },
      paint,
    );
  }

  /** An ellipse of half axes `radii`, turned by `angle` (radians, clockwise on screen). */
  ellipse(center: Point, radii: readonly [number, number], angle: number, paint: Paint): void {
    const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
    const smallest = Math.min(...radii);
    this.paint(
      bounds([center], Math.max(...radii)),
      (x, y) => {
        const [ox, oy] = [x - center.x, y - center.y];
        const [u, v] = [(ox * cosine + oy * sine) / radii[0], (oy * cosine - ox * sine) / radii[1]];
        this.mark(ox / radii[0], oy / radii[1], 0);
        return (Math.sqrt(u * u + v * v) - 1) * smallest;
      },
      paint,
    );
  }

  /** A convex polygon, its corners clockwise on screen. */
  polygon(corners: readonly Point[], paint: Paint): void {
    const edges = corners.map((corner, index) => {
      const next = corners[(index + 1) % corners.length];
      const length = Math.max(Math.hypot(next.x - corner.x, next.y - corner.y), 1e-9);
      return { corner, nx: (next.y - corner.y) / length, ny: (corner.x - next.x) / length };
    });
    const center = mean(corners);
    const reach = Math.max(...corners.map(({ x, y }) => Math.hypot(x - center.x, y - center.y)));
    this.paint(
      bounds(corners, 1),
      (x, y) => {
        let distance = Number.NEGATIVE_INFINITY;
        for (const { corner, nx, ny } of edges)
          distance = Math.max(distance, (x - corner.x) * nx + (y - corner.y) * ny);
        this.mark((x - center.x) / reach, (y - center.y) / reach, 0);
        return distance;
      },
      paint,
    );
  }

  private mark(dx: number, dy: number, t: number): void {
    this.hit.dx = dx;
    this.hit.dy = dy;
    this.hit.t = t;
  }

  private paint(
    [left, top, right, bottom]: readonly [number, number, number, number],
    distanceAt: (x: number, y: number) => number,
    { color, id, light, stripes }: Paint,
  ): void {
    const { size, pixels } = this;
    const plane = size * size;
    for (let row = Math.max(0, top); row < Math.min(size, bottom); row++) {
      for (let column = Math.max(0, left); column < Math.min(size, right); column++) {
        const cover = Math.min(1, 0.5 - distanceAt(column + 0.5, row + 0.5));
        if (cover <= 0) continue;
        const { dx, dy, t } = this.hit;
        const striped = stripes && Math.floor(t * stripes.count * 2) % 2 === 1;
        const base = striped ? stripes.color : color;
        const shade = light ? 1 + light.strength * (dx * light.x + dy * light.y) : 1;
        const at = row * size + column;
        for (let channel = 0; channel < 3; channel++) {
          const index = channel * plane + at;
          pixels[index] += cover * (base[channel] * shade - pixels[index]);
        }
        if (cover >= 0.5) this.top[at] = id;
      }
    }
  }
}

/** The pixels that points and a radius around them may touch: left, top, right, bottom; the last two are beyond. */
function bounds(points: readonly Point[], radius: number): readonly [number, number, number, number] {
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  return [
    Math.floor(Math.min(...xs) - radius - 1),
    Math.floor(Math.min(...ys) - radius - 1),
    Math.ceil(Math.max(...xs) + radius + 1),
    Math.ceil(Math.max(...ys) + radius + 1),
  ];
}

function mean(points: readonly Point[]): Point {
  const sum = (of: (point: Point) => number) => points.reduce((all, point) => all + of(point), 0);
  return { x: sum(({ x }) => x) / points.length, y: sum(({ y }) => y) / points.length };
}
