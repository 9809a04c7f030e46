import { printable } from "./text.ts";

/**
 * A mistake in what the user gave: a setting, a file, a shape. The message is one clear sentence that names the
 * thing, what was got, what was wanted and what to do. The command line prints it without a stack trace and
 * exits with code 2.
 */
export class UserError extends Error {
  override readonly name = "UserError";

  constructor(message: string) {
    super(printable(message));
  }
}

/** What a body gives, or the sentence it was refused with. */
export function attempt<T>(body: () => T): { value?: T; error?: string } {
  try {
    return { value: body() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { error: error.message };
  }
}
