// Floating-point numbers of 16 bits as float32, which holds every one of them exactly.

/** bfloat16: the upper half of a float32. */
export function fromBfloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = Uint32Array.from(bits, (half) => half << 16);
  return new Float32Array(words.buffer);
}

/** IEEE 754 binary16: sign, 5 bits of exponent, 10 bits of fraction. */
export function fromFloat16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(bits, (half) => {
    const sign = half >>> 15 === 1 ? -1 : 1;
    const exponent = (half >>> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  });
}
