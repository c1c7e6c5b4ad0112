/** How a volunteer's state follows from what the core says: a pure function, so that every path can be tested. */
import type { Progress, VolunteerEvent, VolunteerState } from '../public/types.ts';
import type { CoreEvent, CoreStats } from './core.ts';

export const NO_PROGRESS: Progress = {
  opsPerSecond: 0,
  verifiedOps: 0,
  pendingOps: 0,
  acceptedUnits: 0,
  pendingUnits: 0,
  rejectedUnits: 0,
  gpuDispatches: 0,
  fetchedBytes: 0,
};

/** The state after an event; `null` if the event does not touch it. A worker at rest stays so until it is resumed. */
export function nextState(state: VolunteerState, event: CoreEvent): VolunteerState | null {
  if (state.kind === 'stopping' || state.kind === 'idle' || state.kind === 'failed') return null;
  const resting = state.kind === 'paused';
  switch (event.type) {
    case 'connecting':
      return state.kind === 'reconnecting' || resting ? null : { kind: 'connecting', attempt: event.attempt };
    case 'connected':
      return resting ? null : { kind: 'waiting', reason: '' };
    case 'waiting':
      return resting ? null : { kind: 'waiting', reason: event.reason };
    case 'leased':
    case 'computing':
      return resting || state.kind === 'working' ? null : { kind: 'working' };
    case 'disconnected':
      return { kind: 'reconnecting', reason: event.reason, retryMs: event.retry_ms };
    default:
      return null;
  }
}

/** The public event that tells of a unit's verdict, if this is one. */
export function unitEvent(event: CoreEvent): VolunteerEvent | null {
  if (event.type !== 'accepted' && event.type !== 'rejected') return null;
  const { job, round, index, reference_ops: referenceOps } = event;
  const unit = { type: 'unit', job, round, index, class: event.class, referenceOps } as const;
  return event.type === 'accepted'
    ? { ...unit, outcome: 'accepted' }
    : { ...unit, outcome: 'rejected', why: event.reason === '' ? event.outcome : event.reason };
}

export function progressOf(stats: CoreStats, opsPerSecond: number): Progress {
  return {
    opsPerSecond,
    verifiedOps: stats.verified_ops,
    pendingOps: stats.pending_ops,
    acceptedUnits: stats.accepted_units,
    pendingUnits: stats.pending_units,
    rejectedUnits: stats.rejected_units,
    gpuDispatches: stats.gpu_dispatches,
    fetchedBytes: stats.fetched_bytes,
  };
}
