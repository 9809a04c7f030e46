import type { Shape } from "../graph/graph.ts";
import type { TensorRole } from "./roles.ts";

/** A floating-point tensor that the file stores. */
export interface ImportedParameter {
  /** In graphs, runs and optimizer states. */
  name: string;
  /** In the file: another one where the name means something else in a training step, as `input` does. */
  storedName: string;
  shape: Shape;
  role: TensorRole;
  trainable: boolean;
  /** Why it is a constant, or else does not train. */
  reason?: string;
  /** What keeps it from training: its part in the model, as far as that is certain or only looks so, or the options. */
  frozenBy?: "role" | "guess" | "options";
  /** The node that no gradient comes back through, where that is why. */
  wall?: { operator: string; node: string };
}
