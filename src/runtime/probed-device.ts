/** Whether a device can be opened, and what it is. */
export type ProbedDevice =
  /** Its name, where the driver says it. */
  { opened: true; adapter?: string } | { opened: false; reason: string; advice: string };
