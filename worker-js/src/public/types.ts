/** Everything that a page sees of a volunteer: what it may ask for, and what it is told. */

/** How much of the time one core may compute. */
export type Power = 'gentle' | 'normal' | 'full';

/** What computes tolerant units; exact units always run on the CPU. */
export type Backend = 'cpu' | 'webgpu';

export interface VolunteerOptions {
  /** Origin of the relay, for example `https://relay.example`. The page's own origin if left out. */
  readonly relayUrl?: string;
  /** Secret of a private swarm, base64url, as `joinSecretOf` reads it from a link. */
  readonly joinSecret?: string;
  /** EVM address to pay, `0x` and 40 hexadecimal digits. Earnings wait for one if left out. */
  readonly payoutAddress?: string;
  /** `normal` if left out. */
  readonly power?: Power;
  /** Whether WebGPU may be used where there is one; true if left out. */
  readonly useGpu?: boolean;
  /** Whether computing rests while the tab is hidden; false if left out. */
  readonly pauseWhenHidden?: boolean;
  /** What is kept on disk and how much is moved in a second. */
  readonly limits?: DataLimits;
  /** Origin of the embedding site, named in receipts; the page's own origin if left out. */
  readonly site?: string;
}

/** Limits of what a volunteer stores and transfers. What is left out has its default. */
export interface DataLimits {
  /**
   * Most bytes of received data kept in the browser's private file system for the next visit; 0 keeps nothing and
   * removes what was kept. 512 MiB if left out; never more than a quarter of what the browser grants the site. Each
   * tab counts what it saw itself: several of one site may keep more together, until the next start.
   */
  readonly cacheBytes?: number;
  /** Most bytes of work received in a second, at least 4096; no limit if left out. */
  readonly maxDownBytesPerSecond?: number;
  /** Most bytes of results sent in a second, at least 4096; no limit if left out. */
  readonly maxUpBytesPerSecond?: number;
}

/** Where a volunteer stands. */
export type VolunteerState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'starting'; readonly step: 'relay' | 'program' }
  | { readonly kind: 'connecting'; readonly attempt: number }
  | { readonly kind: 'waiting'; readonly reason: string }
  | { readonly kind: 'working' }
  | { readonly kind: 'paused'; readonly by: 'page' | 'hidden' }
  | { readonly kind: 'reconnecting'; readonly reason: string; readonly retryMs: number }
  | { readonly kind: 'stopping' }
  | { readonly kind: 'failed'; readonly error: VolunteerErrorInfo };

/** Stable: a page may branch on them and translate them. */
export type VolunteerErrorCode =
  | 'consent_missing'
  | 'consent_expired'
  | 'payout_address_malformed'
  | 'join_secret_malformed'
  | 'join_secret_needed'
  | 'no_webrtc'
  | 'relay_unreachable'
  | 'relay_answer_malformed'
  | 'relay_has_no_tab_address'
  | 'relay_refused'
  | 'wrong_network'
  | 'program_not_loaded'
  | 'program_crashed'
  | 'config_refused';

export interface VolunteerErrorInfo {
  readonly code: VolunteerErrorCode;
  /** For people, with the values that explain it. English. */
  readonly message: string;
}

/** What was done since `start`. Operations are reference operations, counted from the graph before leasing. */
export interface Progress {
  /** Reference operations computed a second, over the last seconds. */
  readonly opsPerSecond: number;
  readonly verifiedOps: number;
  /** Computed, with the verdict still out. */
  readonly pendingOps: number;
  readonly acceptedUnits: number;
  readonly pendingUnits: number;
  readonly rejectedUnits: number;
  readonly gpuDispatches: number;
  readonly fetchedBytes: number;
}

export interface Device {
  /** `webgpu` once a unit was computed there. */
  readonly backend: Backend;
  /** Name of the WebGPU adapter that was found, or empty. */
  readonly adapter: string;
}

export interface ChainInfo {
  readonly chainId: number;
  readonly rpcUrl: string;
  readonly token: string;
  readonly distributor: string;
}

/** How the tab is connected to its relay, at the moment it was asked. */
export interface ConnectionStats {
  readonly transport: 'webrtc' | 'websocket';
  /** The relay's multiaddress. */
  readonly address: string;
  readonly ageMs: number;
  /** Bytes that protocols received and sent, which is what the relay counts too; no headers, no encryption. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /**
   * What the last ping took: the path, the queues, and the attention of both ends, of which a tab that computes has
   * little. `null` before the first.
   */
  readonly pingMs: number | null;
  /** What the browser itself knows of the path; `null` over WebSocket, of which browsers tell nothing. */
  readonly path: PathStats | null;
  /** Blobs on their way to the tab. */
  readonly downloads: readonly DownloadStats[];
  /** Blobs that the relay is fetching from the tab. */
  readonly uploads: number;
}

/**
 * The selected pair of ICE candidates, as `RTCPeerConnection.getStats` has it. Retransmissions are not among it: browsers
 * count those of media alone.
 */
export interface PathStats {
  /** Of the browser's latest connectivity check: the path alone. `null` where the browser has measured none. */
  readonly roundTripMs: number | null;
  /** With the overhead of SCTP and DTLS. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface DownloadStats {
  /** The blob's name, hexadecimal. */
  readonly blob: string;
  readonly verifiedBytes: number;
  /** `null` until the relay has said so. */
  readonly sizeBytes: number | null;
}

/** What the relay says of itself. */
export interface JoinInfo {
  readonly network: string;
  /** The relay's node id, hexadecimal. */
  readonly relay: string;
  readonly addresses: readonly string[];
  readonly private: boolean;
  readonly chain: ChainInfo | null;
}

export type UnitOutcome = { readonly outcome: 'accepted' } | { readonly outcome: 'rejected'; readonly why: string };

export type VolunteerEvent =
  | { readonly type: 'state'; readonly state: VolunteerState }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'relay'; readonly relay: JoinInfo }
  /** The volunteer's own node id, hexadecimal. */
  | { readonly type: 'node'; readonly node: string }
  /** What carries the connection to the relay; with every new connection. */
  | { readonly type: 'transport'; readonly transport: 'webrtc' | 'websocket' }
  | { readonly type: 'device'; readonly device: Device }
  | ({
      readonly type: 'unit';
      readonly job: string;
      readonly round: number;
      readonly index: number;
      readonly class: string;
      readonly referenceOps: number;
    } & UnitOutcome)
  | { readonly type: 'error'; readonly error: VolunteerErrorInfo };

export type ConsentStatus =
  | { readonly kind: 'missing' }
  | { readonly kind: 'expired'; readonly expiredAt: Date }
  | { readonly kind: 'given'; readonly givenAt: Date; readonly expiresAt: Date };

/** The visitor's agreement: kept in this browser for this site, withdrawn at any time. */
export interface VolunteerConsent {
  status(): ConsentStatus;
  /** To be called from the visitor's own action only. */
  give(): void;
  /**
   * Stops the volunteer, in other tabs of the site too, forgets the agreement and removes the received data. The node's
   * key and which transport worked stay, so that whoever agrees again keeps what was earned.
   */
  withdraw(): Promise<void>;
}

export interface Volunteer {
  readonly consent: VolunteerConsent;
  readonly state: VolunteerState;
  readonly progress: Progress;
  /** Resolves when the relay is being dialled; a failure is a state and an event, not an exception. */
  start(): Promise<void>;
  /** Gives open leases back, disconnects and ends the worker. */
  stop(): Promise<void>;
  setPaused(paused: boolean): void;
  setPower(power: Power): void;
  /** Takes effect at once. Throws an error that names value and bound if one is out of bounds. */
  setLimits(limits: DataLimits): void;
  /** `null` while there is no connection. Nothing is measured for it unless it is called. */
  connectionStats(): Promise<ConnectionStats | null>;
  /** Returns what ends the subscription. */
  on(listener: (event: VolunteerEvent) => void): () => void;
}
