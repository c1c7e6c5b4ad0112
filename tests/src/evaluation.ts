/** Held-out accuracy by the script that shares no code with us. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DIGITS_CSV } from './digits.ts';
import { PYTHON, ROOT } from './environment.ts';

const run = promisify(execFile);

/** Accuracy, 0 to 1, of a model in a safetensors file. */
export async function heldOutAccuracy(file: string): Promise<number> {
  const { stdout } = await run(PYTHON, [join(ROOT, 'tests/eval/evaluate.py'), file, DIGITS_CSV]);
  const accuracy = Number(stdout.trim());
  if (!Number.isFinite(accuracy)) throw new Error(`evaluate.py printed ${JSON.stringify(stdout)}`);
  return accuracy;
}
