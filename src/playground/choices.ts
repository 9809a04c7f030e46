import { element } from "./elements.ts";
import { type ChosenFolder, chosenFolder, droppedFolder } from "./files.ts";
import { hashOf, type Settings, settingsFrom } from "./settings.ts";

interface ChoiceActions {
  /** The settings are others than before. */
  changed: () => void;
  pictures: (folder: ChosenFolder) => void;
  file: (file: File) => void;
}

const unchosen = {
  pictures: "A folder with a folder for each class.",
  file: "A classifier of images; its last layer is made to fit the data.",
} as const;

/** What a visitor chooses: the form and the address say the same. */
export class Choices {
  settings: Settings;
  private readonly form = element("settings", HTMLFormElement);
  private readonly fields = element("choices", HTMLFieldSetElement);
  private readonly changed: () => void;
  private readonly has = { pictures: false, file: false };

  constructor({ changed, pictures, file }: ChoiceActions) {
    this.settings = settingsFrom(location.hash);
    this.changed = changed;
    this.form.addEventListener("input", ({ target }) => {
      // Files are no settings.
      if (!(target instanceof HTMLInputElement && target.type === "file")) this.read();
    });
    globalThis.addEventListener("hashchange", () => {
      if (this.fields.disabled) return;
      this.settings = settingsFrom(location.hash);
      this.fill();
      changed();
    });
    dropZone("drop", "folder", {
      chosen: (files) => pictures(chosenFolder(files)),
      dropped: async ({ items }) => pictures(await droppedFolder(items)),
    });
    dropZone("drop-file", "file", {
      chosen: ([first]) => file(first),
      dropped: async ({ files: [first] }) => first && file(first),
    });
    this.fill();
  }

  /** What has to be chosen before training; nothing when all is. */
  get missing(): string | undefined {
    const { data, network } = this.settings;
    const missing = [
      ...(data === "pictures" && !this.has.pictures ? ["pictures"] : []),
      ...(network === "file" && !this.has.file ? ["an ONNX file"] : []),
    ];
    return missing.length > 0 ? missing.join(" and ") : undefined;
  }

  /** Shows what was chosen; without a description nothing is. */
  describe(what: "pictures" | "file", description?: string): void {
    this.has[what] = description !== undefined;
    element(`chosen-${what}`).textContent = description ?? unchosen[what];
  }

  enable(isEnabled: boolean): void {
    this.fields.disabled = !isEnabled;
  }

  private read(): void {
    const text = [...new FormData(this.form)].flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value]] : [],
    );
    this.settings = settingsFrom(new URLSearchParams(text).toString());
    history.replaceState(null, "", `#${hashOf(this.settings)}`);
    this.explain();
    this.changed();
  }

  private fill(): void {
    for (const [name, value] of Object.entries(this.settings)) {
      const control = this.form.elements.namedItem(name);
      if (control instanceof HTMLInputElement || control instanceof HTMLSelectElement)
        control.value = String(value);
    }
    this.explain();
  }

  private explain(): void {
    const { noise, data, network } = this.settings;
    element("noise-value").textContent = `${noise} %`;
    element("honest").textContent =
      noise === 0
        ? "Labels are clean: in few epochs the order is reversed, and flatness costs accuracy."
        : "Flat minima learn fewer wrong labels. Bilateral SAM computes three gradients a step, SGD one; on clean labels and in few epochs the order is reversed.";
    element("pictures").hidden = data !== "pictures";
    element("network-file").hidden = network !== "file";
    element("draw").hidden = data !== "digits";
    document.documentElement.dataset.labels = noise === 0 ? "clean" : "noisy";
  }
}

/** A place where files are dropped, with an input to choose them. */
function dropZone(
  zoneId: string,
  inputId: string,
  {
    chosen,
    dropped,
  }: { chosen: (files: File[]) => void; dropped: (transfer: DataTransfer) => Promise<unknown> },
): void {
  const [zone, input] = [element(zoneId), element(inputId, HTMLInputElement)];
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    // The same files again are a choice too: they may have been changed.
    if (files.length > 0) chosen(files);
    input.value = "";
  });
  for (const type of ["dragenter", "dragover"])
    zone.addEventListener(type, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer) dropped(event.dataTransfer);
  });
}
