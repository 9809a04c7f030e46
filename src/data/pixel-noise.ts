/** Numbers in [0, 1) for pixels, of which a picture needs tens of thousands (xorshift32, Marsaglia 2003). */
export function noiseFrom(seed: number): () => number {
  let state = seed || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
