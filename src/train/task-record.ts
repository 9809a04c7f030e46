/** What records say of their task, so that tables, charts and progress lines need nothing else of it. */
export interface TaskRecord {
  /** The kind of problem, such as `classification`. */
  name: string;
  /** What people call several examples: `images`. */
  examples: string;
  loss: LossInfo;
  /** The first one leads. */
  metrics: readonly [MetricInfo, ...MetricInfo[]];
}

/** A number that says how good predictions are, and how people read it. */
export interface MetricInfo {
  /** Its key in records. */
  name: string;
  /** What people call it. */
  label: string;
  /** `%`: a share from 0 to 1, shown in percent. Empty for a plain number. */
  unit: string;
  better: "higher" | "lower";
  /** Decimals that are shown. Default: 1 in percent, else 3. */
  decimals?: number;
  /** What it is, as a sentence fragment, where the label does not say it. */
  meaning?: string;
}

/** What a task minimizes, as people read it. */
export interface LossInfo {
  name: string;
  /** Empty for a plain number. */
  unit: string;
}
