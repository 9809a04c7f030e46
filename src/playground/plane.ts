import { drawingTheme } from "../report/drawing/colors.ts";
import { element } from "./elements.ts";
import { type MethodName, methods } from "./methods.ts";

const { scale } = drawingTheme("light");
const steps = scale.map((color) => [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)));

/** The loss on a plane: points × points, row by row. */
export interface Plane {
  loss: number[];
  points: number;
}

const canvasId = (method: MethodName) => `plane-${method}`;

/** Adds an empty picture for each method. */
export function addPlanes(list: HTMLElement): void {
  for (const { name, label } of methods) {
    const figure = document.createElement("figure");
    const canvas = Object.assign(document.createElement("canvas"), {
      id: canvasId(name),
      width: 150,
      height: 120,
    });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Loss around the weights of ${label}`);
    figure.append(canvas, Object.assign(document.createElement("figcaption"), { textContent: label }));
    list.append(figure);
  }
}

/** Draws the planes that there are with one color scale, and clears the others. */
export function drawPlanes(planes: ReadonlyMap<MethodName, Plane>): void {
  const all = [...planes.values()].flatMap(({ loss }) => loss.filter(Number.isFinite));
  const range = { low: Math.max(1e-3, Math.min(...all)), high: Math.max(...all) };
  for (const { name } of methods) {
    const canvas = element(canvasId(name), HTMLCanvasElement);
    const plane = planes.get(name);
    if (plane) drawPlane(canvas, plane, range);
    else canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
  }
}

/** Draws the loss on a plane, from the lowest value (dark) to the highest (bright), in logarithmic steps. */
function drawPlane(
  canvas: HTMLCanvasElement,
  { loss, points }: Plane,
  { low, high }: { low: number; high: number },
): void {
  const small = new ImageData(points, points);
  const range = Math.log(high / low) || 1;
  for (const [place, value] of loss.entries()) {
    const share = Number.isFinite(value) ? Math.log(Math.max(value, low) / low) / range : 1;
    small.data.set([...colorAt(share), 255], 4 * place);
  }
  const cells = new OffscreenCanvas(points, points);
  cells.getContext("2d")?.putImageData(small, 0, 0);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(cells, 0, 0, canvas.width, canvas.height);
  const [x, y, r] = [canvas.width / 2, canvas.height / 2, 3];
  context.fillStyle = "#ffffff";
  context.beginPath();
  context.arc(x, y, r, 0, 2 * Math.PI);
  context.fill();
}

/** @param share from 0 to 1 */
function colorAt(share: number): number[] {
  const place = Math.min(1, Math.max(0, share)) * (steps.length - 1);
  const from = steps[Math.floor(place)];
  const to = steps[Math.ceil(place)];
  const part = place - Math.floor(place);
  return from.map((value, channel) => Math.round(value + (to[channel] - value) * part));
}
