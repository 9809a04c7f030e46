// Contenders that take turns, round after round, with the time that is left; and tables of what they found.
import { medianOf } from "./measured.mjs";

/**
 * Every contender measures every case in every round; every other round begins with the last contender.
 * @param contenders by name, functions of a case to what they find
 * @param guess seconds for a case, before anything is measured
 * @param between called after each round but the last; `betweenSeconds` is what it takes
 * @param skips whether a contender leaves a case out, by what was found of the case so far
 * @param say says in a few words what was found
 * @returns for each case, by contender, what was found in each round
 */
export async function takeTurns({
  cases,
  contenders,
  rounds,
  guess,
  between,
  betweenSeconds = 0,
  skips,
  say,
}) {
  const names = Object.keys(contenders);
  const found = cases.map(() => Object.fromEntries(names.map((name) => [name, []])));
  const lasted = cases.map(() => ({}));
  const leftOf = (index) =>
    names.flatMap((name) =>
      skips?.(name, found[index]) ? [] : Array(rounds - found[index][name].length).fill(name),
    );
  const secondsLeft = (round) =>
    cases.reduce(
      (sum, each, index) => {
        const known = lasted[index];
        const one = (name) => known[name] ?? Object.values(known)[0] ?? guess(each);
        return leftOf(index).reduce((all, name) => all + one(name), sum);
      },
      betweenSeconds * (rounds - 1 - round),
    );
  console.error(`${minutes(secondsLeft(0))} in all, by a first guess`);
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    if (round > 0) await between?.();
    for (const [index, each] of cases.entries()) {
      for (const name of round % 2 === 0 ? names : names.toReversed()) {
        if (skips?.(name, found[index])) continue;
        const start = performance.now();
        const result = await contenders[name](each);
        lasted[index][name] = (performance.now() - start) / 1000;
        found[index][name].push(result);
        done++;
        const total = done + cases.reduce((sum, _, at) => sum + leftOf(at).length, 0);
        const left = minutes(secondsLeft(round));
        console.error(
          `${done}/${total}  ${Object.values(each).join(" ")}, ${name}: ${say(result)}; ${left} left`,
        );
      }
    }
  }
  return found;
}

/** The median, the least and the most of the rounds' medians. */
export function spreadOf(results) {
  const medians = results.map(({ milliseconds }) => medianOf(milliseconds));
  return { median: medianOf(medians), least: Math.min(...medians), most: Math.max(...medians) };
}

/** A table as Markdown. @param columns by their heads, functions of a row to a cell */
export function tableOf(columns, rows) {
  const heads = Object.keys(columns);
  const table = [heads, ...rows.map((row) => Object.values(columns).map((cell) => cell(row)))];
  const widths = heads.map((_, at) => Math.max(...table.map((cells) => cells[at].length)));
  const line = (cells) => `| ${cells.map((cell, at) => cell.padEnd(widths[at])).join(" | ")} |`;
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [line(table[0]), rule, ...table.slice(1).map(line)].join("\n");
}

export function minutes(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

export function milliseconds(value) {
  return value < 100 ? value.toFixed(1) : String(Math.round(value));
}

export function timeOf({ median, least, most }) {
  return `${milliseconds(median)} (${milliseconds(least)}–${milliseconds(most)})`;
}
