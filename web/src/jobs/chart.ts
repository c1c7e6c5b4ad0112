/** Geometry of the accuracy chart: rounds and accuracies to coordinates of its view box. */
import type { Point } from './history.ts';

export const BOX = { width: 560, height: 210, left: 44, right: 12, top: 12, bottom: 28 } as const;

/** Distances between grid lines that read well, ascending. */
const STEPS = [0.025, 0.05, 0.1, 0.2, 0.25];

/** More grid lines crowd the chart. */
const MAX_TICKS = 5;

export interface Tick {
  readonly accuracy: number;
  readonly y: number;
}

export interface Chart {
  readonly line: string;
  readonly area: string;
  readonly dots: readonly { readonly x: number; readonly y: number; readonly point: Point }[];
  readonly ticks: readonly Tick[];
}

/** The vertical axis begins at the lowest tenth that shows every point and always ends at 1. */
export function chartOf(points: readonly Point[], rounds: number): Chart {
  const lowest = points.reduce((least, { accuracy }) => Math.min(least, accuracy), 0.9);
  const floor = Math.max(0, Math.floor(lowest * 10 - 1e-9) / 10);
  const x = (round: number): number => BOX.left + ((BOX.width - BOX.left - BOX.right) * round) / Math.max(1, rounds);
  const y = (accuracy: number): number =>
    BOX.top + (BOX.height - BOX.top - BOX.bottom) * (1 - (accuracy - floor) / (1 - floor));
  const dots = points.map((point) => ({ x: x(point.round), y: y(point.accuracy), point }));
  const line = dots.map((dot, i) => `${i === 0 ? 'M' : 'L'}${dot.x.toFixed(1)} ${dot.y.toFixed(1)}`).join('');
  const first = dots[0];
  const last = dots.at(-1);
  const base = (BOX.height - BOX.bottom).toFixed(1);
  const area =
    first === undefined || last === undefined
      ? ''
      : `${line}L${last.x.toFixed(1)} ${base}L${first.x.toFixed(1)} ${base}Z`;
  const step = STEPS.find((candidate) => (1 - floor) / candidate <= MAX_TICKS) ?? 1;
  const count = Math.floor((1 - floor) / step + 1e-9);
  const ticks = Array.from({ length: count + 1 }, (_, i) => ({ accuracy: 1 - i * step, y: y(1 - i * step) }));
  return { line, area, dots, ticks };
}
