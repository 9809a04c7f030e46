/**
 * `step:epochs=30,gamma=0.2` as a name and its options, which are still texts. An option without `=` has the text "",
 * so the reader can say what it has to be.
 */
export function readNamedOptions(text: string): { name: string; options: Record<string, string> } {
  const [name, ...rest] = text.split(":");
  const pairs = rest.length === 0 ? [] : rest.join(":").split(",");
  return {
    name,
    options: Object.fromEntries(
      pairs.map((pair) => {
        const [option, ...value] = pair.split("=");
        return [option, value.join("=")];
      }),
    ),
  };
}
