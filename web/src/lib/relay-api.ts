/** What the relay's HTTP API answers, as far as the page shows it. The shapes are those of `crates/wire/src/api.rs`. */

export interface WorkerRow {
  readonly node: string;
  readonly kind: string;
  readonly backend: string;
  readonly adapter: string;
  readonly connected: boolean;
  readonly verified_ops: number;
  readonly accepted_units: number;
  readonly rejected_units: number;
  readonly gpu_dispatches: number;
  readonly payout_address?: string;
}

export interface JobStatus {
  readonly id: string;
  readonly name: string;
  readonly state: 'running' | 'finished' | 'cancelled' | 'failed';
  readonly failure?: string;
  readonly rounds_done: number;
  readonly rounds: number;
  readonly round_accepted: number;
  readonly units_per_round: number;
  readonly held_out_accuracy?: number;
  readonly model?: string;
  readonly verified_ops: number;
  readonly validation_overhead?: number;
  readonly workers: readonly WorkerRow[];
}

/** Amounts are decimal strings of base units. */
export interface RewardsInfo {
  readonly epoch: number;
  /** Earned by who has an address to be paid at, posted or not. */
  readonly payable: string;
  /** Earned by who has none yet. */
  readonly held: string;
}

export class RelayError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RelayError';
  }
}

/** Slower than this, the view says so rather than wait. */
const TIMEOUT_MS = 8_000;

async function get<T>(path: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: 'no-store' });
  } catch {
    throw new RelayError('The relay does not answer.');
  }
  if (!response.ok) throw new RelayError(`The relay answered ${response.status} to ${path}.`);
  return (await response.json()) as T;
}

export const relayApi = {
  jobs: () => get<readonly JobStatus[]>('/v1/jobs'),
  rewards: (node: string) => get<RewardsInfo>(`/v1/rewards?node=${encodeURIComponent(node)}`),
  workers: () => get<readonly WorkerRow[]>('/v1/workers'),
};
