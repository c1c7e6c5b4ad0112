/** Keeps a process to one core. */
import { execFileSync } from 'node:child_process';

/** With the threads that it has; later ones inherit it. */
export function pin(pid: number, core: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(core), String(pid)], { stdio: ['ignore', 'ignore', 'inherit'] });
}
