import { digitPixels } from "./digit.ts";
import { element, setText } from "./elements.ts";
import type { Report } from "./messages.ts";
import { methods } from "./methods.ts";
import { swatch } from "./table.ts";

type Answers = Extract<Report, { type: "prediction" }>["probabilities"];

/** Where a visitor draws a digit, and what every network takes it for. */
export class DigitPad {
  private readonly canvas = element("pad", HTMLCanvasElement);
  private readonly list = element("answers");
  private readonly note = element("draw-note");
  private readonly askNetworks: (pixels: Uint8Array, id: number) => void;
  private last: { x: number; y: number } | undefined;
  /** There are networks that know digits. */
  private isReady = false;
  private isDrawn = false;
  /** Of the last question. */
  private id = 0;
  private isAsking = false;
  private isChanged = false;

  constructor(ask: (pixels: Uint8Array, id: number) => void) {
    this.askNetworks = ask;
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = this.placeOf(event);
      this.line(event);
    });
    this.canvas.addEventListener("pointermove", (event) => this.last && this.line(event));
    for (const type of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(type, () => {
        this.last = undefined;
      });
    element("clear").addEventListener("click", () => this.clear());
    this.show({});
  }

  /** There are networks that answer. */
  ready(): void {
    this.isReady = true;
    setText(
      this.note,
      "Draw with the mouse or a finger: every network says what it sees, and how sure it is.",
    );
  }

  /** Asks for what is drawn, if something is and there are networks; while an answer is awaited, once more after it. */
  ask(): void {
    if (!this.isReady || !this.isDrawn) return;
    if (this.isAsking) {
      this.isChanged = true;
      return;
    }
    this.isAsking = true;
    this.isChanged = false;
    this.askNetworks(digitPixels(this.ink()), ++this.id);
  }

  answer(id: number, probabilities: Answers): void {
    if (id !== this.id) return;
    this.isAsking = false;
    this.show(this.isDrawn ? probabilities : {});
    if (this.isChanged) this.ask();
  }

  /** The networks are gone; the drawing stays. */
  forget(): void {
    this.isReady = false;
    this.isAsking = false;
    this.id++;
    setText(this.note, "Networks answer after their first epoch.");
    this.show({});
  }

  private clear(): void {
    this.isDrawn = false;
    this.canvas
      .getContext("2d", { willReadFrequently: true })
      ?.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.show({});
  }

  private line(event: PointerEvent): void {
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!context || !this.last) return;
    const place = this.placeOf(event);
    context.lineWidth = 16;
    context.lineCap = "round";
    context.strokeStyle = "#000000";
    context.beginPath();
    context.moveTo(this.last.x, this.last.y);
    context.lineTo(place.x, place.y);
    context.stroke();
    this.last = place;
    this.isDrawn = true;
    this.ask();
  }

  private placeOf({ clientX, clientY }: PointerEvent) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return {
      x: ((clientX - left) / width) * this.canvas.width,
      y: ((clientY - top) / height) * this.canvas.height,
    };
  }

  private ink(): boolean[] {
    const { width, height } = this.canvas;
    const { data } = this.canvas
      .getContext("2d", { willReadFrequently: true })
      ?.getImageData(0, 0, width, height) ?? {
      data: new Uint8ClampedArray(4 * width * height),
    };
    return Array.from({ length: width * height }, (_, index) => data[4 * index + 3] > 127);
  }

  private show(answers: Answers): void {
    this.list.replaceChildren(
      ...methods.map(({ name, label }) => {
        const item = document.createElement("li");
        const probabilities = answers[name];
        const highest = probabilities ? Math.max(...probabilities) : undefined;
        const digit = probabilities && highest !== undefined ? String(probabilities.indexOf(highest)) : "–";
        const share = highest === undefined ? "" : `${Math.round(100 * highest)} %`;
        item.title = label;
        item.append(
          swatch(name),
          Object.assign(document.createElement("b"), { textContent: digit }),
          Object.assign(document.createElement("span"), { textContent: share }),
        );
        return item;
      }),
    );
  }
}
