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
