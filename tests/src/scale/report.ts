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

/** A size of parameters on whose one side a swarm pays off. */
export interface BreakEven {
  readonly bytes: number;
  readonly paysOff: 'above' | 'below';
}

/**
 * Where so many workers behind home lines are as fast as one without a line: between two models next to each other of which
 * one gains and the other does not, at the zero of the logarithm of the gain over that of the size.
 */
export function breakEven(runs: readonly Run[], workers: number): BreakEven | null {
  const found = runs.filter((run) => run.line === 'home' && run.workers === workers).sort((a, b) => a.bytes - b.bytes);
  for (const [index, large] of found.entries()) {
    const small = found[index - 1];
    if (small === undefined) continue;
    const [first, second] = [Math.log(gain(runs, small)), Math.log(gain(runs, large))];
    if (first * second > 0) continue;
    const bytes = small.bytes * (large.bytes / small.bytes) ** (first / (first - second));
    return { bytes, paysOff: second > first ? 'above' : 'below' };
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

export function rows(runs: readonly Run[], limit: BreakEven | null): readonly Row[] {
  const measured = runs.map((run): Row => {
    const subject = `${String(run.workers)} workers, line ${run.line}`;
    return { name: `round of ${run.model}`, subject, value: run.seconds, unit: 's', ratio: gain(runs, run), peer: 'one worker without a line' };
  });
  if (limit === null) return measured;
  const subject = `four workers behind home lines pay off ${limit.paysOff}`;
  return [...measured, { name: 'break-even', subject, value: limit.bytes, unit: 'B', ratio: null, peer: null }];
}
