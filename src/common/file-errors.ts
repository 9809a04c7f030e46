import { UserError } from "./errors.ts";

/**
 * The system could not read or write a file: the disk is full, a limit is reached, a permission is missing. The message
 * is one sentence that names the file, the reason and what to do. The command line prints it and exits with code 1.
 */
export class FileError extends Error {
  override readonly name = "FileError";
  /** The system's name of the reason, e.g. `ENOSPC`. */
  readonly code: string;

  constructor(message: string, code: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

/**
 * A system's error as a sentence that begins with what could not be done; any other error as it is. A path that can be
 * no file's is the caller's mistake, and becomes a `UserError`.
 */
export function fileError(error: unknown, failed: string): unknown {
  if (!isSystemError(error)) return error;
  const { code } = error;
  const [reason, advice] = reasons[code] ?? [systemReason(error), "check the path and its disk"];
  const sentence = `${failed}: ${reason} (${code}); ${advice}`;
  return wrongPaths.has(code) ? new UserError(sentence) : new FileError(sentence, code, error);
}

/** An error of a system call that nobody has made a sentence of yet; any other error as it is. */
export function explainSystemError(error: unknown): unknown {
  if (!isSystemError(error)) return error;
  const { path, syscall } = error;
  return fileError(error, path === undefined ? `${syscall} failed` : `${syscall} of ${path} failed`);
}

/** Whether a folder cannot be written to because it is the wrong one, and not for what happened while it was. */
export function isWrongPlace({ code = "" }: { code?: string }): boolean {
  return !(code in reasons) || wrongPaths.has(code) || ["EACCES", "EPERM", "EROFS", "ENOENT"].includes(code);
}

/** Why the system could not read a file, as half a sentence. */
export function whyUnreadable(error: Error & { code?: string }): string {
  return reasons[error.code ?? ""]?.[0] ?? systemReason(error);
}

/** Node's message without the code before it, and the system call and its path behind it. */
export function systemReason({ message }: Error): string {
  const [reason] = message.replace(/^[A-Z0-9]+: /, "").split(", ");
  return reason;
}

interface SystemError extends Error {
  code: string;
  syscall: string;
  path?: string;
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && "syscall" in error && typeof (error as SystemError).code === "string";
}

const makeSpace = "make space there and give the command again; a run goes on with --resume";

/** What the system calls a reason, in words, and what to do about it. */
const reasons: Readonly<Partial<Record<string, readonly [reason: string, advice: string]>>> = {
  ENOSPC: ["no space is left on its disk", makeSpace],
  EDQUOT: ["the quota of its disk is used up", makeSpace],
  EFBIG: ["it would be larger than files may be", "raise the limit (ulimit -f) and give the command again"],
  EMFILE: ["too many files are open", "raise the limit (ulimit -n) and give the command again"],
  ENFILE: ["too many files are open on this machine", "close some and give the command again"],
  EIO: ["its disk failed", "check the disk, or name another place"],
  EROFS: ["its file system is read-only", "name another place"],
  EACCES: ["permission is denied", "change its permissions, or name another place"],
  EPERM: ["the operation is not permitted", "change its permissions, or name another place"],
  ENOENT: ["it does not exist", "check the path"],
  EISDIR: ["it is a folder", "name a file"],
  ENOTDIR: ["a part of the path is a file, not a folder", "name another place"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter one"],
  ELOOP: ["its symbolic links form a loop", "name another place"],
};

/** Reasons that lie in the path itself. */
const wrongPaths = new Set(["EISDIR", "ENOTDIR", "ENAMETOOLONG", "ELOOP"]);
