import { drawingTheme } from "../report/drawing/colors.ts";

const { scale } = drawingTheme("light");
const steps = scale.map((color) => [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)));

/**
 * Draws the loss on a plane, from the lowest value (dark) to the highest (bright), in logarithmic steps.
 * @param loss of points × points, row by row
 */
export function drawPlane(
  canvas: HTMLCanvasElement,
  { loss, points }: { loss: readonly number[]; points: number },
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
