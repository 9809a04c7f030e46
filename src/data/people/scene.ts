import { type Random, randomStream } from "../../common/random.ts";
import { cocoJoints } from "../coco-joints.ts";
import { noiseFrom } from "../pixel-noise.ts";
import { Canvas, type Color, type Paint, type Point } from "./canvas.ts";
import { drawFigure, type Figure, type JointName, type Position, sideNames } from "./figure.ts";

// A picture of one person: background and clutter, the figure in its clothes, what stands before it, light and noise. A left
// arm and leg have stripes and the right ones none, so that sides can be told from behind as well.

/** A person's picture and the truth about it. Coordinates are in pixels; pixel (0, 0) has its center at (0.5, 0.5). */
export interface Scene {
  /** [3, size, size] */
  image: Uint8Array<ArrayBuffer>;
  /** [17, 3]: x, y and visibility as in COCO (0: outside the picture, 1: hidden, 2: visible). */
  keypoints: Float32Array<ArrayBuffer>;
  /** Of the person's visible pixels: left, top, width, height. */
  box: readonly [number, number, number, number];
  /** Visible pixels of the person. */
  area: number;
}

const parts = [
  "torso",
  "head",
  ...sideNames.flatMap(
    (side) => [`${side} upper arm`, `${side} forearm`, `${side} thigh`, `${side} shin`] as const,
  ),
] as const;
type Part = (typeof parts)[number];

/** Ids of the painter: the background is 0, a part 1 and up, what stands before the person the last. */
const partId = Object.fromEntries(parts.map((part, index) => [part, index + 1])) as Record<Part, number>;
const lastPart = parts.length;
const occluderId = 255;

/** The parts that a joint is seen on. */
const seenOn = Object.fromEntries(
  cocoJoints.map((name) => {
    const [side, joint] = name.split("_") as [(typeof sideNames)[number], string | undefined];
    const own: Record<string, readonly Part[]> = {
      shoulder: ["torso", `${side} upper arm`],
      elbow: [`${side} upper arm`, `${side} forearm`],
      wrist: [`${side} forearm`],
      hip: ["torso", `${side} thigh`],
      knee: [`${side} thigh`, `${side} shin`],
      ankle: [`${side} shin`],
    };
    return [name, new Set((own[joint ?? ""] ?? ["head"]).map((part) => partId[part]))];
  }),
) as unknown as Record<JointName, ReadonlySet<number>>;

const faceJoints: ReadonlySet<JointName> = new Set([
  "nose",
  "left_eye",
  "right_eye",
  "left_ear",
  "right_ear",
]);

const between = (random: Random, low: number, high: number) => low + (high - low) * random.uniform();
const color = (random: Random): Color => [random.uniform(), random.uniform(), random.uniform()];
const scaled = ([red, green, blue]: Color, by: number): Color => [red * by, green * by, blue * by];

/**
 * The picture number `index` of the seed; the same arguments give the same picture.
 * @param size height and width in pixels
 */
export function drawScene(seed: number, index: number, size: number): Scene {
  for (let attempt = 0; ; attempt++) {
    const scene = attemptScene(randomStream(seed, "people", index, attempt), size);
    // Now and then something hides nearly all of a small figure: no picture of a person.
    if (scene.area >= 0.02 * size * size) return scene;
  }
}

function attemptScene(random: Random, size: number): Scene {
  const canvas = new Canvas(size);
  const angle = between(random, 0, 2 * Math.PI);
  const light = { x: Math.cos(angle), y: Math.sin(angle), strength: between(random, 0.1, 0.35) };
  drawBackground(canvas, random);
  const figure = drawFigure(random);
  const place = placed(figure, random, size);
  drawPerson(canvas, figure, place, light, random);
  if (random.uniform() < 0.3) drawOccluder(canvas, figure, place, random);
  return {
    image: exposed(canvas, random),
    keypoints: keypointsOf(canvas, figure, place),
    ...extentOf(canvas),
  };
}

function drawBackground(canvas: Canvas, random: Random): void {
  const { size, pixels } = canvas;
  const corners = Array.from({ length: 4 }, () => color(random));
  const plane = size * size;
  for (let channel = 0; channel < 3; channel++) {
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const [v, u] = [row / size, column / size];
        const above = corners[0][channel] * (1 - u) + corners[1][channel] * u;
        const below = corners[2][channel] * (1 - u) + corners[3][channel] * u;
        pixels[channel * plane + row * size + column] = above * (1 - v) + below * v;
      }
    }
  }
  const clutter = random.integer(7);
  for (let shape = 0; shape < clutter; shape++) drawClutter(canvas, random, 0);
}

function drawClutter(canvas: Canvas, random: Random, id: number): void {
  const { size } = canvas;
  const point = () => ({ x: between(random, -0.1, 1.1) * size, y: between(random, -0.1, 1.1) * size });
  const paint: Paint = { color: color(random), id };
  const radius = () => between(random, 0.02, 0.12) * size;
  const kind = random.integer(3);
  if (kind === 0) canvas.capsule(point(), point(), [radius() * 0.5, radius() * 0.5], paint);
  else if (kind === 1) canvas.ellipse(point(), [radius(), radius()], between(random, 0, Math.PI), paint);
  else canvas.polygon(rectangle(point(), radius(), radius(), between(random, 0, Math.PI)), paint);
}

function rectangle({ x, y }: Point, halfWidth: number, halfHeight: number, angle: number): Point[] {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const corners = [
    [-halfWidth, -halfHeight],
    [halfWidth, -halfHeight],
    [halfWidth, halfHeight],
    [-halfWidth, halfHeight],
  ];
  return corners.map(([u, v]) => ({ x: x + u * c - v * s, y: y + u * s + v * c }));
}

/** From the figure's space to the picture's. */
interface Place {
  at(position: Position): Point;
  /** Pixels of one height. */
  scale: number;
}

function placed(figure: Figure, random: Random, size: number): Place {
  const angle = (Math.max(-30, Math.min(30, random.normal() * 12)) * Math.PI) / 180;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const turn = ({ x, y }: Position) => ({ x: x * c - y * s, y: x * s + y * c });
  const points = [...Object.values(figure.joints), figure.head].map(turn);
  const [xs, ys] = [points.map(({ x }) => x), points.map(({ y }) => y)];
  const margin = 0.09;
  const [left, right] = [Math.min(...xs) - margin, Math.max(...xs) + margin];
  const [top, bottom] = [Math.min(...ys) - margin, Math.max(...ys) + margin];
  const fill = between(random, 0.6, 0.98);
  const scale = (fill * size) / Math.max(right - left, bottom - top);
  // The figure lies inside; one in ten is cut by a border.
  const beyond = random.uniform() < 0.1 ? 0.25 * size : 0;
  const free = (extent: number) => between(random, -beyond, size - extent * scale + beyond);
  const [offsetX, offsetY] = [free(right - left) - left * scale, free(bottom - top) - top * scale];
  return {
    scale,
    at: (position) => {
      const { x, y } = turn(position);
      return { x: x * scale + offsetX, y: y * scale + offsetY };
    },
  };
}

/** Something to paint, nearer ones later. */
interface Layer {
  depth: number;
  paint(): void;
}

function drawPerson(
  canvas: Canvas,
  figure: Figure,
  place: Place,
  light: Paint["light"],
  random: Random,
): void {
  const { joints, radii, neck, head, pelvis } = figure;
  const pixels = (length: number) => length * place.scale;
  const skin = scaled([1, between(random, 0.68, 0.82), between(random, 0.5, 0.68)], between(random, 0.35, 1));
  const [shirt, trousers, hair, shoes] = [
    color(random),
    color(random),
    scaled(color(random), 0.6),
    color(random),
  ];
  const stripes = { color: contrast(shirt), count: 4 };
  const [longSleeves, longTrousers] = [random.uniform() < 0.5, random.uniform() < 0.6];
  const layers: Layer[] = [];
  const layer = (depth: number, paint: () => void) => layers.push({ depth, paint });

  const torsoId = partId.torso;
  const torso: Paint = { color: shirt, id: torsoId, light };
  layer((neck.z + pelvis.z) / 2, () => {
    for (const side of sideNames) {
      const [shoulder, hip] = [joints[`${side}_shoulder`], joints[`${side}_hip`]];
      const inward = mix(shoulder, neck, 0.25);
      canvas.capsule(
        place.at(inward),
        place.at(mix(hip, pelvis, 0.2)),
        [pixels(radii.torso * 0.72), pixels(radii.torso * 0.7)],
        torso,
      );
    }
    canvas.capsule(
      place.at(neck),
      place.at(pelvis),
      [pixels(radii.torso * 0.8), pixels(radii.torso * 0.8)],
      torso,
    );
    canvas.capsule(
      place.at(joints.left_hip),
      place.at(joints.right_hip),
      [pixels(radii.thigh), pixels(radii.thigh)],
      { ...torso, color: trousers },
    );
  });

  for (const side of sideNames) {
    const limb = (
      part: Part,
      from: Position,
      to: Position,
      thick: readonly [number, number],
      dress: Color,
    ) => {
      const paint: Paint = { color: dress, id: partId[part], light, ...(side === "left" && { stripes }) };
      layer((from.z + to.z) / 2, () =>
        canvas.capsule(place.at(from), place.at(to), [pixels(thick[0]), pixels(thick[1])], paint),
      );
    };
    const joint = (name: "shoulder" | "elbow" | "wrist" | "hip" | "knee" | "ankle") =>
      joints[`${side}_${name}`];
    limb(
      `${side} upper arm`,
      joint("shoulder"),
      joint("elbow"),
      [radii.upperArm * 1.15, radii.upperArm],
      shirt,
    );
    limb(
      `${side} forearm`,
      joint("elbow"),
      joint("wrist"),
      [radii.forearm, radii.forearm * 0.8],
      longSleeves ? shirt : skin,
    );
    limb(`${side} thigh`, joint("hip"), joint("knee"), [radii.thigh, radii.thigh * 0.75], trousers);
    limb(
      `${side} shin`,
      joint("knee"),
      joint("ankle"),
      [radii.shin, radii.shin * 0.7],
      longTrousers ? trousers : skin,
    );
    layer(joint("wrist").z + 0.001, () =>
      canvas.ellipse(place.at(joint("wrist")), [pixels(radii.hand), pixels(radii.hand)], 0, {
        color: skin,
        id: partId[`${side} forearm`],
        light,
      }),
    );
    layer(joint("ankle").z + 0.001, () =>
      canvas.ellipse(place.at(joint("ankle")), [pixels(radii.foot), pixels(radii.foot)], 0, {
        color: shoes,
        id: partId[`${side} shin`],
        light,
      }),
    );
  }

  layer(head.z, () => drawHead(canvas, figure, place, { skin, hair, light }));
  for (const { paint } of layers.sort((a, b) => a.depth - b.depth)) paint();
}

function drawHead(
  canvas: Canvas,
  { joints, radii, head, neck }: Figure,
  place: Place,
  { skin, hair, light }: { skin: Color; hair: Color; light: Paint["light"] },
): void {
  const radius = radii.head * place.scale;
  const id = partId.head;
  canvas.capsule(place.at(neck), place.at(head), [radius * 0.5, radius * 0.5], { color: skin, id, light });
  canvas.ellipse(place.at(head), [radius, radius * 1.12], 0, { color: hair, id, light });
  const forward = joints.nose.z - head.z;
  if (forward > 0) {
    const face = mix(head, joints.nose, 0.35);
    const center = place.at({ ...face, y: face.y + 0.15 * radii.head });
    canvas.ellipse(center, [radius * 0.82, radius * 0.9], 0, { color: skin, id, light });
  }
  const dot = (position: Position, size: number, paint: Color) =>
    canvas.ellipse(place.at(position), [size * radius, size * radius], 0, { color: paint, id });
  for (const side of sideNames) {
    if (earIsSeen(joints[`${side}_ear`], head, radii.head))
      dot(joints[`${side}_ear`], 0.25, scaled(skin, 0.85));
    if (joints[`${side}_eye`].z > head.z) dot(joints[`${side}_eye`], 0.19, [0.05, 0.05, 0.1]);
  }
  if (forward > 0) dot(joints.nose, 0.17, scaled(skin, 0.7));
}

function earIsSeen(ear: Position, head: Position, radius: number): boolean {
  return ear.z > head.z - 0.45 * radius;
}

function drawOccluder(canvas: Canvas, { joints }: Figure, place: Place, random: Random): void {
  const names = cocoJoints.slice(5);
  const over = place.at(joints[names[random.integer(names.length)]]);
  const half = () => between(random, 0.04, 0.14) * canvas.size;
  const paint: Paint = { color: color(random), id: occluderId };
  const angle = between(random, 0, Math.PI);
  if (random.uniform() < 0.5) canvas.ellipse(over, [half(), half()], angle, paint);
  else canvas.polygon(rectangle(over, half(), half(), angle), paint);
}

/** The picture as bytes: under a light of some brightness and tint, with the camera's noise. */
function exposed({ pixels, size }: Canvas, random: Random): Uint8Array<ArrayBuffer> {
  const brightness = between(random, 0.55, 1.15);
  // Uniform numbers of the same deviation look like normal ones.
  const noise = between(random, 0, 0.04) * Math.sqrt(12);
  const next = noiseFrom(random.integer(2 ** 32));
  const bytes = new Uint8Array(pixels.length);
  const plane = size * size;
  for (let channel = 0; channel < 3; channel++) {
    const gain = brightness * between(random, 0.85, 1.15);
    for (let at = channel * plane; at < (channel + 1) * plane; at++) {
      const value = gain * pixels[at] + noise * (next() - 0.5);
      bytes[at] = Math.round(255 * Math.min(1, Math.max(0, value)));
    }
  }
  return bytes;
}

function keypointsOf({ top, size }: Canvas, figure: Figure, place: Place): Float32Array<ArrayBuffer> {
  const keypoints = new Float32Array(cocoJoints.length * 3);
  for (const [index, name] of cocoJoints.entries()) {
    const { x, y } = place.at(figure.joints[name]);
    if (x < 0 || y < 0 || x >= size || y >= size) continue;
    const on = top[Math.floor(y) * size + Math.floor(x)];
    const visible = seenOn[name].has(on) && (!faceJoints.has(name) || facesViewer(figure, name));
    keypoints.set([x, y, visible ? 2 : 1], index * 3);
  }
  return keypoints;
}

function facesViewer({ joints, head, radii }: Figure, name: JointName): boolean {
  return name.endsWith("ear") ? earIsSeen(joints[name], head, radii.head) : joints[name].z > head.z;
}

function extentOf({ top, size }: Canvas): Pick<Scene, "box" | "area"> {
  let [left, above, right, below, area] = [size, size, 0, 0, 0];
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const id = top[row * size + column];
      if (id === 0 || id > lastPart) continue;
      area++;
      left = Math.min(left, column);
      right = Math.max(right, column + 1);
      above = Math.min(above, row);
      below = Math.max(below, row + 1);
    }
  }
  return { area, box: [left, above, Math.max(0, right - left), Math.max(0, below - above)] };
}

function contrast([red, green, blue]: Color): Color {
  const bright = 0.3 * red + 0.59 * green + 0.11 * blue;
  return bright > 0.5 ? [0.08, 0.08, 0.12] : [0.95, 0.95, 0.9];
}

function mix(a: Position, b: Position, t: number): Position {
  return { x: a.x + t * (b.x - a.x), y: a.y + t * (b.y - a.y), z: a.z + t * (b.z - a.z) };
}
