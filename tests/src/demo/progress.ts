/** The job's progress: one line that renews itself at a terminal, a line a round elsewhere. */
import type { JobStatus } from '../api.ts';

const WIDTH = 30;

export class ProgressLine {
  #lastRound = -1;
  readonly #isTerminal = process.stdout.isTTY;

  show(status: JobStatus): void {
    const { rounds_done: done, rounds, round_accepted: accepted, units_per_round: units } = status;
    const share = Math.min(1, (done + (done < rounds ? accepted / units : 0)) / rounds);
    const filled = Math.round(share * WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
    const accuracy = status.held_out_accuracy;
    const words = accuracy === undefined ? 'training' : `held-out accuracy ${(accuracy * 100).toFixed(2)} %`;
    if (this.#isTerminal) process.stdout.write(`\r  ${bar} round ${done} of ${rounds}, ${words}   `);
    else if (done !== this.#lastRound) console.log(`  round ${done} of ${rounds}, ${words}`);
    this.#lastRound = done;
  }

  end(): void {
    if (this.#isTerminal) process.stdout.write('\n');
  }
}
