import { describe, type TensorType, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { addAll, mul, neg, sub } from "./arithmetic.ts";
import { gather } from "./indexing.ts";
import { reshape } from "./movement.ts";
import { apply, defineOperator, operatorError, requireAtMost } from "./operator.ts";

// d(det A)/dAᵢⱼ is the cofactor (−1)ⁱ⁺ʲ·det(A without row i and column j) (Jacobi), which holds for singular matrices
// too. All minors of a matrix are one gather; their determinants are the operator again.

defineOperator("Det", {
  since: 11,
  infer: ([x]): TensorType[] => {
    const [rows, columns] = x!.shape.slice(-2);
    if (x!.shape.length < 2 || rows !== columns) {
      throw operatorError("Det", x!, `${describe(x!)} is no list of square matrices`);
    }
    return [{ type: x!.type, shape: x!.shape.slice(0, -2) }];
  },
  gradient: ({ inputs: [x], gradient }) => {
    const size = x.shape.at(-1)!;
    requireAtMost("Det", x, (size * (size - 1)) ** 2, "elements of minors");
    const batch = x.shape.slice(0, -2);
    const wide = reshape(gradient, [...batch, 1, 1]);
    const signs = Array.from({ length: size * size }, (_, index) =>
      (Math.floor(index / size) + (index % size)) % 2 === 0 ? 1 : -1,
    );
    const alternating = x.graph.constant(tensorData(signs, [size, size], x.type));
    if (size === 1) return [mul(wide, alternating)];
    const flat = reshape(x, [...batch, size * size]);
    const places = tensorData(minorPlaces(size), [size * size, size - 1, size - 1], "int64");
    const minors = gather(flat, x.graph.constant(places), batch.length);
    return [mul(mul(reshape(det(minors), x.shape), alternating), wide)];
  },
  plain: ([x]) => (x.type === "float64" ? plainDet(x) : undefined),
});

/** The determinant of each of the matrices [..., n, n]. */
export function det(x: Value): Value {
  return apply("Det", [x])[0];
}

/** The determinants by Laplace's expansion along the first row, where there is no kernel. */
function plainDet(x: Value): Value {
  const size = x.shape.at(-1)!;
  const batch = x.shape.slice(0, -2);
  if (size === 1) return reshape(x, batch);
  const flat = reshape(x, [...batch, size * size]);
  const pick = (index: number) => reshape(gather(flat, scalarIndex(x, index), batch.length), batch);
  if (size === 2) return sub(mul(pick(0), pick(3)), mul(pick(1), pick(2)));
  const terms = Array.from({ length: size }, (_, column) => {
    const places = minorPlaces(size).slice(column * (size - 1) ** 2, (column + 1) * (size - 1) ** 2);
    const minor = gather(
      flat,
      x.graph.constant(tensorData(places, [size - 1, size - 1], "int64")),
      batch.length,
    );
    const term = mul(pick(column), plainDet(minor));
    return column % 2 === 0 ? term : neg(term);
  });
  return addAll(terms);
}

function scalarIndex(x: Value, index: number): Value {
  return x.graph.constant(tensorData([index], [], "int64"));
}

/** Where in a flattened n×n matrix the elements of its minors stand, minor after minor. */
function minorPlaces(size: number): number[] {
  const all = Array.from({ length: size }, (_, index) => index);
  return all.flatMap((row) =>
    all.flatMap((column) =>
      all
        .filter((other) => other !== row)
        .flatMap((other) => all.filter((each) => each !== column).map((each) => other * size + each)),
    ),
  );
}
