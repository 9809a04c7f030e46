// The page of the optimizer study: means with 95 % intervals, and differences to the control paired by seed.

/** Two-sided 95 % points of Student's t distribution for 1 to 9 degrees of freedom. */
const studentT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** The whole page as Markdown. */
export function tableOf(lines, { control, methods, shared, epochs, seeds }) {
  const groups = new Map();
  for (const line of lines) {
    const title = `${line.condition}, ${line.budget}`;
    groups.set(title, [...(groups.get(title) ?? []), line]);
  }
  const sections = [...groups].map(
    ([title, group]) => `## ${title}\n\n${sectionOf(group, control, methods)}`,
  );
  const count = new Set(lines.map(({ seed }) => seed)).size;
  return `# Optimizers compared

\`node studies/optimizers.mjs\` trains and measures all of this and writes this page; the single runs are in
[optimizers.jsonl](optimizers.jsonl). So far ${count} of ${seeds.length} seeds.

Fashion-MNIST, ${shared.limit.toLocaleString("en")} training images, \`${shared.model}\`, batch ${shared.batchSize}, learning rate ${shared.learningRate} → 0 by cosine, momentum 0.9,
weight decay 1e-3, label smoothing ${shared.labelSmoothing}, flips. Bilateral SAM has ρ_max 0.05 and ρ_min 0.05 → 0. At equal epochs every
method has ${epochs}; at equal gradients each has as many as bilateral SAM in ${epochs} epochs. Test accuracy in percent, mean ± 95 %
interval over seeds; the difference is to \`${control}\` (the same total radius), paired by seed. Seconds are of training
alone, with one thread: the median, as other work ran beside it; what a step costs on a machine of its own is told by
\`lowland optimizers\`.

${sections.join("\n\n")}
`;
}

function sectionOf(lines, control, methods) {
  const of = (method) => lines.filter((line) => line.method === method);
  const reference = new Map(of(control).map(({ seed, testAccuracy }) => [seed, testAccuracy]));
  const noisy = lines.some(({ wrongLabelAccuracy }) => wrongLabelAccuracy !== undefined);
  const rows = methods.flatMap((method) => {
    const own = of(method);
    if (own.length === 0) return [];
    const percent = (values) =>
      interval(
        values.map((value) => 100 * value),
        2,
      );
    const paired = own.flatMap(({ seed, testAccuracy }) =>
      reference.has(seed) ? [testAccuracy - reference.get(seed)] : [],
    );
    return [
      [
        method,
        percent(own.map(({ testAccuracy }) => testAccuracy)),
        method === control
          ? ""
          : interval(
              paired.map((value) => 100 * value),
              2,
              { signed: true },
            ),
        ...(noisy ? [percent(own.map(({ wrongLabelAccuracy }) => wrongLabelAccuracy))] : []),
        interval(
          own.map(({ sharpness }) => sharpness.maxSharpness),
          4,
        ),
        own[0].gradientEvaluations.toLocaleString("en"),
        median(own.map(({ seconds }) => seconds)).toFixed(0),
      ],
    ];
  });
  const noise = noisy ? ["wrong labels learnt"] : [];
  const head = ["method", "test accuracy", "difference", ...noise, "MaxS", "gradients", "seconds"];
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** `81.42 ± 0.31`, or `+1.20 ± 0.31`; without an interval where there is one value only. */
function interval(values, digits, { signed = false } = {}) {
  const average = mean(values);
  const text = signed
    ? `${average < 0 ? "−" : "+"}${Math.abs(average).toFixed(digits)}`
    : average.toFixed(digits);
  return values.length < 2 ? text : `${text} ± ${halfWidth(values).toFixed(digits)}`;
}

/** Half of the 95 % interval of a mean. */
function halfWidth(values) {
  const [average, count] = [mean(values), values.length];
  const variance = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / (count - 1);
  return studentT[count - 2] * Math.sqrt(variance / count);
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
