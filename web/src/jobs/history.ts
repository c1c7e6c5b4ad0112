/** Accuracy after each round, gathered while the view is open: the relay tells only the newest. */
import type { JobStatus } from '../lib/relay-api.ts';

export interface Point {
  readonly round: number;
  readonly accuracy: number;
}

export type History = ReadonlyMap<string, readonly Point[]>;

/** More points than a chart has pixels tell nothing. */
const MAX_POINTS = 600;

export function remember(history: History, jobs: readonly JobStatus[]): History {
  const next = new Map<string, readonly Point[]>();
  for (const { id, rounds_done: round, held_out_accuracy: accuracy } of jobs) {
    const points = history.get(id) ?? [];
    const last = points.at(-1);
    const isNew = accuracy !== undefined && (last === undefined || round > last.round);
    next.set(id, isNew ? [...points, { round, accuracy }].slice(-MAX_POINTS) : points);
  }
  return next;
}
