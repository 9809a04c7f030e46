/** `1 run`, `3 runs`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/**
 * A text with its control characters written out (`\\n`, `\\x1b`): names in somebody else's file may hold any, and are
 * printed on terminals that obey them.
 */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => {
    const code = character.charCodeAt(0);
    return character === "\n" ? "\\n" : `\\x${code.toString(16).padStart(2, "0")}`;
  });
}
