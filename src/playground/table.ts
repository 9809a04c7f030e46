import type { EpochRecord } from "../index.web.ts";
import { lineStyle } from "../report/drawing/colors.ts";
import { setText } from "./elements.ts";
import { type MethodName, methods } from "./methods.ts";

type Method = (typeof methods)[number];

export interface RowActions {
  model: (method: MethodName) => void;
  run: (method: Method) => void;
  curvature: (method: MethodName) => void;
}

/** The columns of values, and what they are called where there is no room for the table's head. */
const columns = {
  accuracy: "Test accuracy",
  learned: "Wrong labels learned",
  maxSharpness: "MaxS, ρ 0.05",
  curvature: "λ max",
  gradients: "Gradients",
  milliseconds: "ms per step",
} as const;
const nothing = "–";

/** A method's row of the table. */
export class Row {
  private readonly cells: Record<keyof typeof columns, HTMLTableCellElement>;
  private readonly curvatureButton: HTMLButtonElement;
  private readonly modelButton: HTMLButtonElement;
  private readonly runButton: HTMLButtonElement;
  private times: number[] = [];
  private last: EpochRecord | undefined;

  constructor(body: HTMLTableSectionElement, method: Method, actions: RowActions) {
    const row = body.insertRow();
    row.append(headOf(method));
    const cell = (column: keyof typeof columns) => {
      const made = row.insertCell();
      made.dataset.label = columns[column];
      return made;
    };
    this.cells = {
      ...{ accuracy: cell("accuracy"), learned: cell("learned"), maxSharpness: cell("maxSharpness") },
      ...{ curvature: cell("curvature"), gradients: cell("gradients"), milliseconds: cell("milliseconds") },
    };
    this.curvatureButton = button("compute", () => {
      this.curvatureButton.disabled = true;
      this.curvatureButton.textContent = "…";
      actions.curvature(method.name);
    });
    const downloads = row.insertCell();
    this.modelButton = button("model.onnx", () => actions.model(method.name));
    this.runButton = button("run.json", () => actions.run(method));
    this.runButton.title = "Settings of this run, for lowland train --config";
    downloads.append(this.modelButton, this.runButton);
    this.clear();
  }

  step(milliseconds: number): void {
    this.times.push(milliseconds);
    if (this.times.length > 50) this.times.shift();
  }

  epoch(record: EpochRecord): void {
    this.last = record;
    this.showCurvatureButton();
  }

  curvature(largest: number): void {
    this.cells.curvature.textContent = largest.toPrecision(3);
  }

  enable({ model, curvature }: { model: boolean; curvature: boolean }): void {
    this.modelButton.disabled = !model;
    this.runButton.disabled = !model;
    this.curvatureButton.disabled = !curvature;
  }

  clear(): void {
    this.times = [];
    this.last = undefined;
    this.showCurvatureButton();
    this.enable({ model: false, curvature: false });
    this.draw();
  }

  draw(): void {
    const { accuracy, learned, maxSharpness, gradients, milliseconds } = this.cells;
    const { metrics, sharpness, gradientEvaluations } = this.last ?? {};
    setText(accuracy, percent(metrics?.accuracy));
    setText(learned, percent(metrics?.wrongLabelAccuracy));
    setText(maxSharpness, sharpness?.maxSharpness.toPrecision(3) ?? nothing);
    setText(gradients, gradientEvaluations?.toLocaleString("en") ?? nothing);
    const middle = [...this.times].sort((a, b) => a - b)[Math.floor(this.times.length / 2)];
    setText(milliseconds, middle?.toFixed(1) ?? nothing);
  }

  private showCurvatureButton(): void {
    this.curvatureButton.textContent = "compute";
    this.cells.curvature.replaceChildren(this.curvatureButton);
  }
}

export function fillRows(body: HTMLTableSectionElement, actions: RowActions): Record<MethodName, Row> {
  const rows = methods.map((method) => [method.name, new Row(body, method, actions)]);
  return Object.fromEntries(rows) as Record<MethodName, Row>;
}

function headOf({ name, label, note }: Method): HTMLTableCellElement {
  const head = document.createElement("th");
  head.scope = "row";
  head.append(swatch(name), label, Object.assign(document.createElement("small"), { textContent: note }));
  return head;
}

/** A piece of a method's line. */
export function swatch(name: MethodName): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  const { colors, dash } = lineStyle(methods.findIndex((method) => method.name === name));
  const set = (target: SVGElement, values: Record<string, string>) => {
    for (const [key, value] of Object.entries(values)) target.setAttribute(key, value);
  };
  set(svg, { class: "swatch", width: "22", height: "6", "aria-hidden": "true" });
  set(line, { x1: "0", y1: "3", x2: "22", y2: "3", "stroke-width": "2.5" });
  if (dash.length > 0) set(line, { "stroke-dasharray": dash.join(" ") });
  line.style.stroke = `light-dark(${colors.light}, ${colors.dark})`;
  svg.append(line);
  return svg;
}

function button(text: string, action: () => void): HTMLButtonElement {
  const made = Object.assign(document.createElement("button"), { type: "button", className: "link" });
  made.textContent = text;
  made.addEventListener("click", action);
  return made;
}

function percent(share: number | undefined): string {
  return share === undefined ? nothing : `${(100 * share).toFixed(1)} %`;
}

export function saveJson(name: string, document: unknown): void {
  saveFile(name, new Blob([`${JSON.stringify(document, null, 2)}\n`], { type: "application/json" }));
}

/** Hands a file to the visitor. */
export function saveFile(name: string, content: Blob): void {
  const address = URL.createObjectURL(content);
  Object.assign(document.createElement("a"), { href: address, download: name }).click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
