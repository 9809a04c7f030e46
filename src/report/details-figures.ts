import type { DetailMatrix } from "../tasks/details.ts";
import type { MatrixChart } from "./drawing/chart.ts";
import type { Figure } from "./drawing/page-document.ts";
import { fixed } from "./numbers.ts";
import type { Run } from "./read.ts";

/** Pairs off the diagonal that the words for a matrix name. */
const namedPairs = 3;

/** A figure for each matrix of the evaluations, with a chart for each run that has it. */
export function detailFigures(runs: readonly Run[]): Figure[] {
  const found = runs.flatMap((run) =>
    (run.evaluation?.details.matrices ?? []).map((matrix) => ({ run, matrix })),
  );
  const ids = [...new Set(found.map(({ matrix }) => matrix.id))];
  return ids.map((id) => {
    const own = found.filter(({ matrix }) => matrix.id === id);
    const [{ matrix: first }] = own;
    return {
      id,
      title: first.title,
      text: [
        `${first.note ? `${first.note} ` : ""}The deeper the color, the larger the share of the row (by its square root, so that rare pairs show).`,
      ],
      charts: own.map(({ run, matrix }, index) =>
        chartOf(matrix, `${id}-${index + 1}`, runs.length > 1 ? run.label : `${run.label} on the test set`),
      ),
    };
  });
}

function chartOf(matrix: DetailMatrix, id: string, title: string): MatrixChart {
  const { rowsAre, columnsAre, rows, columns, counts } = matrix;
  return {
    ...{ kind: "matrix", id, title, alternative: inWords(matrix) },
    ...{ rowsAre, columnsAre, rows, columns, counts },
  };
}

function inWords({ title, rowsAre, columnsAre, rows, columns, counts }: DetailMatrix): string {
  const cells = counts.flatMap((own, row) => own.map((count, column) => ({ row, column, count })));
  const total = cells.reduce((sum, { count }) => sum + count, 0);
  const onDiagonal = cells.filter(({ row, column }) => row === column);
  const diagonal = onDiagonal.reduce((sum, { count }) => sum + count, 0);
  const pairs = cells
    .filter(({ row, column, count }) => row !== column && count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, namedPairs)
    .map(({ row, column, count }) => `${rows[row]} as ${columns[column]} ${count}`);
  const others = pairs.length > 0 ? ` Most frequent off it: ${pairs.join("; ")}.` : "";
  return `${title}, ${rowsAre} by ${columnsAre}: ${fixed(diagonal, 0)} of ${fixed(total, 0)} on the diagonal.${others}`;
}
