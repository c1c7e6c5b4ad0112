// The WebAssembly half of kernel_rates.rs: node kernel_rates.mjs MODULE [FILTER] [--json FILE]
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

const ROUNDS = 11;
const TURN_MS = 5;
// Time for V8 to replace its first, slow code.
const WARM_UP_MS = 30;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { json: { type: "string" } } });
const [file, filter = ""] = positionals;
const { instance } = await WebAssembly.instantiate(readFileSync(file), {});
const kernels = instance.exports;
const text = new TextDecoder();

const cases = [];
for (let index = 0, count = kernels.case_count(); index < count; index++) {
  const bytes = new Uint8Array(kernels.memory.buffer, kernels.case_name(index), kernels.case_name_len(index));
  const name = text.decode(bytes);
  const limit = kernels.case_limit(index);
  if (limit === index || name.includes(filter)) {
    cases.push({ index, name, limit, ops: kernels.case_ops(index), goes: 1, ms: [] });
  }
}
for (const entry of cases) {
  const start = performance.now();
  let goes = 0;
  while (performance.now() - start < WARM_UP_MS) {
    kernels.case_run(entry.index, 1);
    goes++;
  }
  entry.goes = Math.max(1, Math.floor((goes * TURN_MS) / (performance.now() - start)));
}
for (let round = 0; round < ROUNDS; round++) {
  for (const entry of cases) {
    const start = performance.now();
    kernels.case_run(entry.index, entry.goes);
    entry.ms.push((performance.now() - start) / entry.goes);
  }
}
for (const entry of cases) {
  entry.value = entry.ops / entry.ms.toSorted((a, b) => a - b)[(ROUNDS - 1) / 2] / 1e6;
}
const rows = cases.map(({ name, limit, value }) => {
  const ratio = value / cases.find((entry) => entry.index === limit).value;
  console.log(`${name.padEnd(48)} ${value.toFixed(1).padStart(8)} Gop/s ${ratio.toFixed(2).padStart(6)}`);
  return { name, subject: "shoal", value, unit: "Gop/s", ratio };
});
if (values.json !== undefined) {
  writeFileSync(values.json, JSON.stringify(rows, null, 2));
}
