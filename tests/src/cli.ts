/** The `shoal` command as a consumer and a volunteer use it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT, program } from './environment.ts';

const run = promisify(execFile);

/** Everything but watching ends soon; a command that hangs is a failure. */
const LIMIT_MS = 120_000;

/** Runs a command with `--json` and returns the values that it prints, a line each. */
export async function shoal(...args: string[]): Promise<readonly Record<string, unknown>[]> {
  const { stdout } = await run(program('shoal'), [...args, '--json'], { cwd: ROOT, timeout: LIMIT_MS });
  return stdout
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
