/**
 * The compiled core as this package uses it: the configuration that it takes and the events that it gives. The shapes
 * are those of `shoal-wasm` and of `shoal_node::Event`; numbers above 2^53 do not occur in one session.
 */
import type { TabTransport } from './last-transport.ts';

export interface CoreConfig {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array;
  readonly network: string;
  readonly relay: readonly string[];
  readonly join_secret: Uint8Array | null;
  readonly payout: { readonly address: string; readonly chain_id: number } | null;
  readonly agent: string;
  readonly site: string;
  /** Which transport goes first in the race to the relay; WebRTC if nothing is remembered. */
  readonly first_transport: TabTransport | null;
  readonly use_gpu: boolean;
  readonly limits: CoreLimits;
}

export interface CoreLimits {
  /** Bytes of blobs kept in the browser's private file system. */
  readonly stored_bytes: number;
  /** Bytes a second; `null` for no limit. */
  readonly max_down: number | null;
  readonly max_up: number | null;
}

interface UnitFields {
  readonly unit: string;
  readonly job: string;
  readonly round: number;
  readonly index: number;
  readonly class: string;
  readonly reference_ops: number;
}

export interface CoreStats {
  readonly computed_units: number;
  readonly computed_ops: number;
  readonly compute_ms: number;
  readonly gpu_dispatches: number;
  readonly accepted_units: number;
  readonly verified_ops: number;
  readonly pending_units: number;
  readonly pending_ops: number;
  readonly rejected_units: number;
  readonly returned_leases: number;
  readonly fetched_bytes: number;
  readonly cached_blobs: number;
}

/** `shoal_node::ConnectionReport`. */
export interface CoreConnection {
  readonly transport: string;
  readonly address: string;
  readonly age_ms: number;
  readonly received_bytes: number;
  readonly sent_bytes: number;
  readonly round_trip_ms: number | null;
  readonly downloads: readonly {
    readonly blob: string;
    readonly verified_bytes: number;
    readonly size_bytes: number | null;
  }[];
  readonly uploads: number;
}

export type CoreEvent =
  | { readonly type: 'connecting'; readonly attempt: number }
  | {
      readonly type: 'connected';
      readonly relay: string;
      readonly network: string;
      readonly node: string;
      /** What carries the connection: a `TabTransport`. */
      readonly transport: string;
    }
  | { readonly type: 'bulk_rate'; readonly bytes_per_s: number }
  | { readonly type: 'waiting'; readonly reason: string }
  | ({ readonly type: 'leased'; readonly lease: string; readonly duration_ms: number } & UnitFields)
  | ({ readonly type: 'computing'; readonly lease: string; readonly backend: string } & UnitFields)
  | ({ readonly type: 'committed'; readonly lease: string; readonly backend: string } & UnitFields)
  | ({ readonly type: 'accepted'; readonly receipt: string } & UnitFields)
  | ({ readonly type: 'rejected'; readonly outcome: string; readonly reason: string } & UnitFields)
  | { readonly type: 'returned'; readonly lease: string; readonly reason: string }
  | { readonly type: 'refused'; readonly code: string; readonly detail: string }
  | { readonly type: 'bad_receipt'; readonly reason: string }
  | { readonly type: 'disconnected'; readonly reason: string; readonly retry_ms: number }
  | ({ readonly type: 'stats' } & CoreStats)
  | { readonly type: 'stopped' };
