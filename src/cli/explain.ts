import { CommanderError } from "commander";
import { UserError } from "../common/errors.ts";
import { explainSystemError, FileError } from "../common/file-errors.ts";
import { printable } from "../common/text.ts";
import { DatasetUnavailable } from "../data/sources.ts";
import { interruptedExitCode } from "./interrupt.ts";

// Exit codes: 0 done; 1 the run failed; 2 a mistake in what was given; 130 stopped by Ctrl-C.

/** The exit code for what a command threw, and what to say about it on standard error, if anything. */
export function explain(thrown: unknown): { code: number; text?: string } {
  const error = explainSystemError(thrown);
  // commander has said what is wrong itself.
  if (error instanceof CommanderError) return { code: error.exitCode === 0 ? 0 : 2 };
  if (error instanceof UserError) return { code: 2, text: error.message };
  if (error instanceof DatasetUnavailable) return { code: 1, text: error.message };
  if (error instanceof FileError) return { code: 1, text: printable(error.message) };
  if (error instanceof Error && error.name === "AbortError") return { code: interruptedExitCode };
  if (isOutOfMemory(error)) {
    return {
      code: 1,
      text: "there is not enough memory for this computation; choose a smaller --batch-size, split it with --micro-batches, train with --recompute, or use fewer images",
    };
  }
  return {
    code: 1,
    text: `an internal error occurred, which is a bug in Lowland: ${error instanceof Error ? error.stack : error}`,
  };
}

/** commander's message as this program's: `error: … is invalid. It has to be a number.` has two sentences. */
export function oneSentence(text: string): string {
  return text
    .trim()
    .replace(/^error: /, "lowland: ")
    .replace(/\s+\(Did you mean (.*)\?\)$/, "; did you mean $1?")
    .replace(/\. ([A-Z])/, (_, letter: string) => `: ${letter.toLowerCase()}`)
    .replace(/\.?$/, "\n");
}

/** As Node, V8 and ONNX Runtime say it. */
function isOutOfMemory(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  return (
    code === "ERR_WORKER_OUT_OF_MEMORY" ||
    /bad[ _]alloc|Failed to allocate memory|Array buffer allocation failed/.test(error.message)
  );
}
