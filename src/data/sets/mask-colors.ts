import { UserError } from "../../common/errors.ts";

// Tables of colors: which class the pixels of a color in a mask are of.

const hex = /^#[0-9a-f]{6}$/i;

/** Whether a text is a color as `#ff8000`. */
export function isColor(text: string): boolean {
  return hex.test(text);
}

/** `#rrggbb` as a number. */
export function hexColor(text: string): number {
  return Number.parseInt(text.slice(1), 16);
}

/**
 * The classes of a table in its order, each with its color.
 * @param where the table stands, for messages
 * @throws UserError for what is no color, for one of two classes, and for fewer than two classes
 */
export function colorTable(
  colors: Readonly<Record<string, string>>,
  where: string,
): { classNames: string[]; colors: string[] } {
  const entries = Object.entries(colors);
  if (entries.length < 2)
    throw new UserError(
      `${where} has ${entries.length} ${entries.length === 1 ? "class" : "classes"}; segmentation needs two or more`,
    );
  const seen = new Map<string, string>();
  for (const [name, color] of entries) {
    if (!isColor(color))
      throw new UserError(
        `the color of ${name} in ${where} is "${color}"; write it as #ff8000, with two hexadecimal digits each for red, green and blue`,
      );
    const other = seen.get(color.toLowerCase());
    if (other !== undefined)
      throw new UserError(
        `${color} is the color of both ${other} and ${name} in ${where}; give each class its own`,
      );
    seen.set(color.toLowerCase(), name);
  }
  return {
    classNames: entries.map(([name]) => name),
    colors: entries.map(([, color]) => color.toLowerCase()),
  };
}
