// What the studies of quantization train and quantize: the configuration of every result, committed with its numbers.

/** `cnn` on 5,000 images of Fashion-MNIST: 6 epochs in float, then 4 more from there, in float or as integers. */
const float = {
  ...{ data: "fashion-mnist", model: "cnn", limit: 5000, epochs: 6, evaluateEvery: 6, threads: 1 },
  ...{ learningRate: 0.05, optimizer: { method: "sgd" } },
};
const further = { ...float, epochs: 4, evaluateEvery: 4, learningRate: 0.01 };

/** Learned steps by the widths of weights and activations. */
const learned = [
  [8, 8],
  [4, 4],
  [3, 3],
  [2, 4],
];
/** How steps are learned, by what the form of a result says of it. */
const stepForms = {
  "": {},
  " as published": { firstSteps: "mean", stepLearningRate: 1 },
};
const bilateral = { method: "bilateral-sam" };

/** Each study as a list of results that it needs. */
export const parts = {
  bits: ({ seeds }) =>
    numbers(seeds).flatMap((seed) => {
      const base = { part: "bits", seed, network: "cnn", method: "SGD", start: { ...float, seed } };
      const more = { ...further, seed };
      return [
        { ...base, form: "float, before", further: undefined },
        { ...base, form: "float", further: more },
        { ...base, form: "W8A8 after training", further: more, quantize: [] },
        {
          ...base,
          form: "W8A8 after training, weights within 7 bits",
          ...{ further: more, quantize: ["--weight-range", "7bit"] },
        },
        {
          ...base,
          form: "W4A4 after training",
          ...{ further: more, quantize: ["--weights", "4", "--activations", "4", "--correct-biases"] },
        },
        ...Object.entries(stepForms).flatMap(([name, how]) =>
          learned.map(([weights, activations]) => ({
            ...{ ...base, form: `W${weights}A${activations} learned${name}`, further: more },
            quantization: { weights, activations, ...how },
          })),
        ),
        ...["quantized", "latent"].map((perturb) => ({
          ...{ ...base, method: `bilateral SAM, ${perturb}`, form: "W4A4 learned" },
          ...{ further: { ...more, optimizer: bilateral } },
          quantization: { weights: 4, activations: 4, perturb },
        })),
      ];
    }),
  networks: () => [
    ...["float, before", "W8A8 after training"].map((form) => ({
      ...{ part: "networks", seed: 1, network: "mobilenet-v2", method: "SGD", form },
      start: { ...float, model: "mobilenet-v2:width=0.5", epochs: 8, evaluateEvery: 8, seed: 1 },
      ...(form.startsWith("W8") && { quantize: ["--equalize"] }),
    })),
    {
      ...{ part: "networks", seed: 1, network: "unet", method: "Adam", form: "W8A8 after training" },
      start: {
        ...{ task: "segmentation", data: "wardrobe:train=2000,test=200", model: "unet:width=24,stem=2" },
        ...{ optimizer: { method: "adam" }, learningRate: 0.003, epochs: 3, evaluateEvery: 3, batchSize: 16 },
        ...{ seed: 1, threads: 1, sharpness: { images: 64 } },
      },
      quantize: ["--calibration", "64"],
    },
    {
      ...{
        part: "networks",
        seed: 1,
        network: "simple-baseline-small",
        method: "Adam",
        form: "W8A8 after training",
      },
      start: {
        ...{ task: "pose", data: "people:train=2000,test=200", images: { size: 96 } },
        ...{ model: "simple-baseline-small", optimizer: { method: "adam" }, learningRate: 0.002 },
        ...{ epochs: 3, evaluateEvery: 3, batchSize: 32, seed: 1, threads: 1, sharpness: { images: 64 } },
      },
      quantize: ["--calibration", "64"],
    },
  ],
  latency: ({ seeds }) =>
    numbers(seeds).flatMap((seed) =>
      ["W8A8", "W8A8, weights within 7 bits"].map((form) => ({
        ...{ part: "latency", seed, network: "resnet20", form },
        start: { data: "fashion-mnist", model: "resnet20", seed },
        weightRange: form.includes("7") ? "7bit" : "8bit",
      })),
    ),
  published: ({ model }) => {
    if (!model) throw new Error("which file? name it with --model");
    const dimensions = { "p2o.DynamicDimension.1": 48, "p2o.DynamicDimension.2": 48 };
    return ["W8A8 after training", "W8A8 after training, equalized, ranges of least squared error"].map(
      (form) => ({
        ...{ part: "published", seed: 1, network: "OCR text direction", method: "SGD", form },
        start: {
          ...{ ...float, model: { file: model, dimensions }, limit: 2000, epochs: 1, evaluateEvery: 1 },
          ...{ learningRate: 0.2, batchSize: 32, seed: 1 },
        },
        quantize: form.includes("equalized") ? ["--equalize", "--activation-method", "mse"] : [],
      }),
    );
  },
  flatness: ({ seeds }) =>
    numbers(seeds).flatMap((seed) =>
      Object.entries(methods).flatMap(([method, optimizer]) => {
        const base = { part: "flatness", seed, network: "cnn", method };
        const start = { ...float, optimizer, seed };
        const more = { ...further, optimizer, seed };
        return [
          { ...base, form: "float, before", start },
          { ...base, form: "flatness", start },
          ...[8, 6, 4].map((bits) => ({
            ...{ ...base, form: `W${bits}A${bits} after training`, start },
            quantize: ["--weights", String(bits), "--activations", String(bits)],
          })),
          ...[4, 3].map((bits) => ({
            ...{ ...base, form: `W${bits}A${bits} learned`, start, further: more },
            quantization: { weights: bits, activations: bits },
          })),
          { ...base, form: "float", start, further: more },
        ];
      }),
    ),
};

/** Ways to train the float network. Radii are those of the paper, SAM's also their sum. */
const methods = {
  SGD: { method: "sgd" },
  "SAM, ρ 0.05": { method: "sam", rho: 0.05 },
  "SAM, ρ 0.1": { method: "sam", rho: 0.1 },
  "bilateral SAM": bilateral,
  "bilateral SAM, two-pass": { method: "bilateral-sam", variant: "two-pass" },
  "bilateral SAM, every 4": { method: "bilateral-sam", every: 4 },
  ASAM: { method: "asam" },
};

function numbers(count) {
  return Array.from({ length: count }, (_, index) => index + 1);
}
