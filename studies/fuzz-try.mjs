import { build } from "../scripts/project.mjs";
build();
const { checkModel } = await import("../dist/testing/generated/checks.js");
const [from, to] = process.argv.slice(2).map(Number);
const t0 = performance.now();
const kinds = new Map(); const tot={};
for (let n = from; n < (to ?? from + 1); n++) {
  const r = await checkModel(1, n).catch(e => ({outcome:"crash", refusal: e.stack, failures: [], operators: [], gradients: {}}));
  tot[r.outcome]=(tot[r.outcome]??0)+1;
  for (const [k,v] of Object.entries(r.gradients)) tot[k]=(tot[k]??0)+v;
  if (r.refusal) console.log(n, r.outcome, r.opset, r.float, r.operators.join(), r.refusal.replace(/\s+/g," ").slice(0, 300));
  for (const f of r.failures) if (f.check!=="roles") console.log(n, f.check, r.opset, r.float, r.packing?.join("+"), r.operators.join(), f.message.slice(0, 600));
  for (const f of r.failures) tot[f.check]=(tot[f.check]??0)+1;
}
console.log(tot, ((to-from)/((performance.now()-t0)/1000)).toFixed(1), "models/s");
process.exit(0);
