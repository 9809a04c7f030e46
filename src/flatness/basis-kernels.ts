// Two loops over four vectors at a time in WebAssembly, with its operations on 128 bits. JavaScript has none, and takes
// three times as long. The module is assembled here from its instructions (WebAssembly 2.0, chapter 5, "Binary Format").

export const basisTypes = ["float32", "float64"] as const;
export type BasisType = (typeof basisTypes)[number];

/** Vectors that one call multiplies, and rows that one round of its loop takes; rows are a multiple of it. */
export const vectorsAtOnce = 4;
export const rowsAtOnce = 4;

/** Bytes of a page of the memory. */
export const pageBytes = 65_536;

type FourVectors = [v0: number, v1: number, v2: number, v3: number];

/** Vectors, w (float64) and out (float64) are addresses in the memory, in bytes. */
export interface BasisKernels {
  memory: { readonly buffer: ArrayBuffer; grow: (pages: number) => number };
  /** out[j] ← out[j] + ⟨vⱼ, w⟩. */
  dots: (...parameters: [...FourVectors, w: number, out: number, rows: number]) => void;
  /** w ← w + Σ cⱼ·vⱼ. */
  combine: (
    ...parameters: [...FourVectors, w: number, c0: number, c1: number, c2: number, c3: number, rows: number]
  ) => void;
}

/** The part of the standard's interface that is used here; the types of Node and of ES2023 leave it out. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object) => { exports: unknown };
};

const modules = new Map<BasisType, object>();

/** The kernels over vectors of a type, with a memory of their own of one page. */
export function basisKernels(type: BasisType): BasisKernels {
  const module = modules.get(type) ?? new WebAssembly.Module(moduleBytes(type));
  modules.set(type, module);
  return new WebAssembly.Instance(module).exports as BasisKernels;
}

type Code = readonly number[];

const valueTypes = { i32: 0x7f, f64: 0x7c, v128: 0x7b };
const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const constant = (value: number): Code => [0x41, ...signed(value)];
const addI32: Code = [0x6a];
const subI32: Code = [0x6b];
const addF64: Code = [0xa0];
const loadF64 = (offset: number): Code => [0x2b, 3, offset];
const storeF64 = (offset: number): Code => [0x39, 3, offset];
const simd = (...code: number[]): Code => [0xfd, ...code];
const loadPair = (offset: number): Code => simd(0x00, 3, offset);
const loadHalf = (offset: number): Code => simd(0x5d, 2, offset);
const storePair = (offset: number): Code => simd(0x0b, 3, offset);
const promote = simd(0x5f);
const splat = simd(0x14);
const lane = (index: number): Code => simd(0x21, index);
const add = simd(0xf0, 0x01);
const multiply = simd(0xf2, 0x01);
const end: Code = [0x0b];
/** A loop over `body` for as long as the local, from which each round takes `step`, is not 0. */
const countdown = (local: number, step: number, body: Code): Code => [
  ...[0x03, 0x40],
  ...body,
  ...[...get(local), ...constant(step), ...subI32, 0x22, local],
  ...[0x0d, 0],
  ...end,
];
const advance = (local: number, bytes: number): Code => [
  ...[...get(local), ...constant(bytes), ...addI32],
  ...set(local),
];

const four = [0, 1, 2, 3] as const;
const halves = [0, 1] as const;

function moduleBytes(type: BasisType): Uint8Array<ArrayBuffer> {
  const { i32, f64, v128 } = valueTypes;
  const elementBytes = type === "float32" ? 4 : 8;
  /** Two elements of a vector as float64, of the four that a round takes. */
  const pair = (vector: number, half: number): Code => [
    ...get(vector),
    ...(type === "float32" ? [...loadHalf(8 * half), ...promote] : loadPair(16 * half)),
  ];
  const nextRows = (w: number): Code => [
    ...four.flatMap((vector) => advance(vector, rowsAtOnce * elementBytes)),
    ...advance(w, rowsAtOnce * 8),
  ];

  const dots = (): Code => {
    const [w, out, rows, sums, x] = [4, 5, 6, 7, 15];
    const multiplyAdd = (vector: number, half: number): Code => [
      ...get(sums + 2 * vector + half),
      ...[...pair(vector, half), ...get(x + half), ...multiply],
      ...add,
      ...set(sums + 2 * vector + half),
    ];
    return [
      ...countdown(rows, rowsAtOnce, [
        ...halves.flatMap((half) => [...get(w), ...loadPair(16 * half), ...set(x + half)]),
        ...four.flatMap((vector) => halves.flatMap((half) => multiplyAdd(vector, half))),
        ...nextRows(w),
      ]),
      ...four.flatMap((vector) => [
        ...[...get(sums + 2 * vector), ...get(sums + 2 * vector + 1), ...add, ...set(x)],
        ...get(out),
        ...[...get(out), ...loadF64(8 * vector)],
        ...[...get(x), ...lane(0), ...get(x), ...lane(1), ...addF64],
        ...addF64,
        ...storeF64(8 * vector),
      ]),
    ];
  };

  const combine = (): Code => {
    const [w, factors, rows, splats] = [4, 5, 9, 10];
    const term = (vector: number, half: number): Code => [
      ...[...get(splats + vector), ...pair(vector, half), ...multiply],
    ];
    return [
      ...four.flatMap((vector) => [...get(factors + vector), ...splat, ...set(splats + vector)]),
      ...countdown(rows, rowsAtOnce, [
        ...halves.flatMap((half) => [
          ...get(w),
          ...[...get(w), ...loadPair(16 * half)],
          ...[...term(0, half), ...term(1, half), ...add],
          ...add,
          ...[...term(2, half), ...term(3, half), ...add],
          ...add,
          ...storePair(16 * half),
        ]),
        ...nextRows(w),
      ]),
    ];
  };

  const functionType = (...parameters: number[]): Code => [
    0x60,
    ...list(parameters.map((each) => [each])),
    0,
  ];
  const body = (locals: number, code: Code): Code => sized([...list([[locals, v128]]), ...code, ...end]);
  const exported = (name: string, kind: number, index: number): Code => [
    ...list([...new TextEncoder().encode(name)].map((byte) => [byte])),
    ...[kind, index],
  ];
  const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d],
    ...[0x01, 0x00, 0x00, 0x00],
    ...section(1, [
      functionType(i32, i32, i32, i32, i32, i32, i32),
      functionType(i32, i32, i32, i32, i32, f64, f64, f64, f64, i32),
    ]),
    ...section(3, [[0], [1]]),
    ...section(5, [[0x00, 1]]),
    ...section(7, [exported("memory", 2, 0), exported("dots", 0, 0), exported("combine", 0, 1)]),
    ...section(10, [body(10, dots()), body(4, combine())]),
  ]);
}

function list(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function sized(code: Code): Code {
  return [...unsigned(code.length), ...code];
}

/** LEB128. */
function unsigned(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** LEB128 of a number that may be negative. */
function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
