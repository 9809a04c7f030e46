import { restoreTerminal, say } from "./progress.ts";

/** Exit code of a command that was stopped by Ctrl-C. */
export const interruptedExitCode = 130;

/** Milliseconds within which one Ctrl-C may arrive twice: from the terminal, and from the process that started this one. */
const echo = 200;

/**
 * A signal that Ctrl-C (or a polite kill) aborts, so that what was finished is kept; pressed once more it ends the
 * process at once.
 */
export function interruptSignal(
  message = "Stopping after this step; finished epochs are kept (Ctrl-C again: at once).",
): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const onSignal = (name: NodeJS.Signals) => {
    const now = performance.now();
    if (!controller.signal.aborted) {
      first = now;
      say(message);
      controller.abort();
    } else if (now - first > echo) {
      restoreTerminal();
      // By the signal itself: process.exit would wait for the engine's thread to end its step.
      process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
      process.kill(process.pid, name);
    }
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return controller.signal;
}
