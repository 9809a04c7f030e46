import { say } from "./progress.ts";

/** Exit code of a command that was stopped by Ctrl-C. */
export const interruptedExitCode = 130;

/**
 * A signal that Ctrl-C (or a polite kill) aborts, so that what was finished is kept; pressed once more it ends the
 * process at once.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const onSignal = () => {
    const now = performance.now();
    if (!controller.signal.aborted) {
      first = now;
      say("\nStopping after this step; what was finished is kept. Press Ctrl-C again to stop at once.");
      controller.abort();
      // One Ctrl-C may arrive twice, from the terminal and from the process that started this one.
    } else if (now - first > 500) {
      process.exit(interruptedExitCode);
    }
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}
