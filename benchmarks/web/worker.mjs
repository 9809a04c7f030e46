// A contender inside a worker of a page: takes one request, answers with each step and then with the times.
import { timeSteps } from "../training-step.mjs";

/**
 * @param open opens a contender's step, given the library and the settings; what it gives takes a step and gives its loss
 */
export function answer(lowland, open) {
  addEventListener("message", async ({ data: settings }) => {
    const onStep = (steps) => postMessage({ steps });
    try {
      const take = await open(lowland, settings);
      const { losses, milliseconds } = await timeSteps(take, { ...settings, onStep });
      postMessage({ losses: losses.slice(0, 3), milliseconds });
    } catch (error) {
      postMessage({ failed: String(error.message).split("\n")[0] });
    }
  });
}
