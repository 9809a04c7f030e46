// Vectors over all parameters as Float64Array. Sums are accumulated in float64 whatever type the model computes in.

/** ⟨a, b⟩. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** ‖a‖₂. */
export function norm(a: Float64Array): number {
  return Math.sqrt(dot(a, a));
}

/** target ← target + factor·a. */
export function addScaled(target: Float64Array, factor: number, a: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i] += factor * a[i];
}

/** a ← factor·a, and returns it. */
export function scale(a: Float64Array, factor: number): Float64Array {
  for (let i = 0; i < a.length; i++) a[i] *= factor;
  return a;
}

/** Vᵀw, four vectors at a time: w is read a quarter as often. */
function coefficients(basis: readonly Float64Array[], w: Float64Array): Float64Array {
  const count = basis.length;
  const result = new Float64Array(count);
  let column = 0;
  for (; column + 4 <= count; column += 4) {
    const [a, b, c, d] = [basis[column], basis[column + 1], basis[column + 2], basis[column + 3]];
    let [sumA, sumB, sumC, sumD] = [0, 0, 0, 0];
    for (let i = 0; i < w.length; i++) {
      const x = w[i];
      sumA += a[i] * x;
      sumB += b[i] * x;
      sumC += c[i] * x;
      sumD += d[i] * x;
    }
    result[column] = sumA;
    result[column + 1] = sumB;
    result[column + 2] = sumC;
    result[column + 3] = sumD;
  }
  for (; column < count; column++) result[column] = dot(basis[column], w);
  return result;
}

/** target ← target + factor·V·c over the first c.length vectors of V. */
export function addCombination(
  target: Float64Array,
  factor: number,
  basis: readonly Float64Array[],
  c: ArrayLike<number>,
): void {
  let column = 0;
  for (; column + 4 <= c.length; column += 4) {
    const [a, b, d, e] = [basis[column], basis[column + 1], basis[column + 2], basis[column + 3]];
    const [ca, cb, cd, ce] = [0, 1, 2, 3].map((offset) => factor * c[column + offset]);
    for (let i = 0; i < target.length; i++) target[i] += ca * a[i] + cb * b[i] + cd * d[i] + ce * e[i];
  }
  for (; column < c.length; column++) addScaled(target, factor * c[column], basis[column]);
}

/**
 * Makes w orthogonal to the vectors of an orthonormal V in place, twice over ("twice is enough", Giraud et al. 2005).
 * For more than a few large vectors there is `Basis`.
 */
export function orthogonalize(w: Float64Array, basis: readonly Float64Array[]): void {
  for (let round = 0; round < 2; round++) addCombination(w, -1, basis, coefficients(basis, w));
}

/** Whether every element is a finite number. */
export function allFinite(a: ArrayLike<number>): boolean {
  for (let i = 0; i < a.length; i++) if (!Number.isFinite(a[i])) return false;
  return true;
}
