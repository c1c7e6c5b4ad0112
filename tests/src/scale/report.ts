/** What a run of the scale bench says. */

export interface Run {
  readonly model: string;
  /** Of the parameters: what a unit downloads, and uploads. */
  readonly bytes: number;
  readonly line: 'none' | 'home';
  readonly workers: number;
  /** Of a round. */
  readonly seconds: number;
}

export interface Row {
  readonly name: string;
  readonly subject: string;
  readonly value: number;
  readonly unit: string;
  readonly ratio: number | null;
  /** What the ratio is to. */
  readonly peer: string | null;
}

/** The same model by one worker on that line. */
function alone(runs: readonly Run[], { model }: Run, line: Run['line']): number {
  const found = runs.find((run) => run.model === model && run.line === line && run.workers === 1);
  if (found === undefined) throw new Error(`${model} was not trained by one worker on line ${line}`);
  return found.seconds;
}

/** Above 1 the swarm pays off. */
function gain(runs: readonly Run[], run: Run): number {
  return alone(runs, run, 'none') / run.seconds;
}

/**
 * Bytes of parameters at which so many workers behind home lines are as fast as one without a line: between the last model
 * that gains and the first that does not, where the logarithm of the gain crosses zero over that of the size.
 */
export function breakEven(runs: readonly Run[], workers: number): number | null {
  const found = runs.filter((run) => run.line === 'home' && run.workers === workers).sort((a, b) => a.bytes - b.bytes);
  for (const [index, high] of found.entries()) {
    const low = found[index - 1];
    if (low === undefined) continue;
    const [above, below] = [Math.log(gain(runs, low)), Math.log(gain(runs, high))];
    if (above >= 0 && below < 0) return low.bytes * (high.bytes / low.bytes) ** (above / (above - below));
  }
  return null;
}

export function print(runs: readonly Run[]): void {
  console.log('| model | parameters | line | workers | s a round | speed-up | to one without a line |');
  console.log('|---|---|---|---|---|---|---|');
  for (const run of runs) {
    const speedUp = alone(runs, run, run.line) / run.seconds;
    const size = `${(run.bytes / 1e6).toPrecision(2)} MB`;
    console.log(`| ${run.model} | ${size} | ${run.line} | ${String(run.workers)} | ${run.seconds.toFixed(2)} | ${speedUp.toFixed(2)} | ${gain(runs, run).toFixed(2)} |`);
  }
}

export function rows(runs: readonly Run[], limit: number | null): readonly Row[] {
  const measured = runs.map((run): Row => {
    const subject = `${String(run.workers)} workers, line ${run.line}`;
    return { name: `round of ${run.model}`, subject, value: run.seconds, unit: 's', ratio: gain(runs, run), peer: 'one worker without a line' };
  });
  return [...measured, { name: 'break-even', subject: 'four workers behind home lines', value: limit ?? Number.NaN, unit: 'B', ratio: null, peer: null }];
}
