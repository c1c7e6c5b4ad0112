/** Held-out accuracy by the script that shares no code with us. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DIGITS_CSV } from './digits.ts';
import { PYTHON, ROOT } from './environment.ts';

const run = promisify(execFile);

/** Writes the model to a file in `dir`, as its consumer gets it, and evaluates that file. */
export async function heldOutAccuracy(model: Uint8Array, dir: string): Promise<number> {
  const file = join(dir, 'model.safetensors');
  await writeFile(file, model);
  const { stdout } = await run(PYTHON, [join(ROOT, 'tests/eval/evaluate.py'), file, DIGITS_CSV]);
  const accuracy = Number(stdout.trim());
  if (!Number.isFinite(accuracy)) throw new Error(`evaluate.py printed ${JSON.stringify(stdout)}`);
  return accuracy;
}
