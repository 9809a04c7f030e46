/** Red, green and blue, 0 … 255. */
export type Color = readonly [red: number, green: number, blue: number];

/** Colors that people tell apart (Sasha Trubetskoy's list). */
const distinct = [
  ...[0xe6194b, 0x3cb44b, 0xffe119, 0x4363d8, 0xf58231, 0x911eb4, 0x42d4f4, 0xf032e6, 0xbfef45, 0xfabed4],
  ...[0x469990, 0xdcbeff, 0x9a6324, 0xfffac8, 0x800000, 0xaaffc3, 0x808000, 0xffd8b1, 0x000075, 0xa9a9a9],
];

/**
 * A color for each class. What is behind everything has none: a first class that is called background, or has no name but
 * its number.
 */
export function classColors(classNames: readonly string[]): (Color | undefined)[] {
  const hasBackground = /^[_\s]*(background|bg|unlabell?ed|void|0)[_\s]*$/i.test(classNames[0] ?? "");
  return classNames.map((_, index) =>
    hasBackground && index === 0 ? undefined : colorAt(index - (hasBackground ? 1 : 0)),
  );
}

/** `#rrggbb` */
export function colorText([red, green, blue]: Color): string {
  return `#${((red << 16) | (green << 8) | blue).toString(16).padStart(6, "0")}`;
}

function colorAt(index: number): Color {
  const color = distinct[index];
  if (color !== undefined) return [color >> 16, (color >> 8) & 255, color & 255];
  // Hues that are far from each other, however many there are.
  const hue = (index * 137.508) % 360;
  const lightness = [0.45, 0.65, 0.8][index % 3];
  const level = (offset: number) => {
    const place = (offset + hue / 30) % 12;
    const amplitude = 0.75 * Math.min(lightness, 1 - lightness);
    return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(place - 3, 9 - place, 1))));
  };
  return [level(0), level(8), level(4)];
}
