/** The relay's HTTP API as tests use it. The shapes are those of `crates/wire/src/api.rs`. */

export interface WorkerRow {
  readonly node: string;
  readonly kind: 'browser' | 'native' | 'node';
  readonly backend: 'cpu' | 'webgpu';
  readonly adapter: string;
  readonly connected: boolean;
  readonly verified_ops: number;
  readonly accepted_units: number;
  readonly rejected_units: number;
  readonly gpu_dispatches: number;
  readonly payout_address?: string;
}

export interface ConnectionRow {
  readonly node?: string;
  readonly joined: boolean;
  readonly transport: 'webrtc' | 'websocket' | 'quic' | 'tcp';
  readonly address: string;
  readonly age_ms: number;
  readonly received_bytes: number;
  readonly sent_bytes: number;
  readonly received_bytes_per_second: number;
  readonly sent_bytes_per_second: number;
  readonly round_trip_ms?: number;
  readonly path_round_trip_ms?: number;
  readonly retransmissions?: number;
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
  readonly rows?: { readonly done: number; readonly total: number };
  readonly verified_ops: number;
  readonly validation_overhead?: number;
  readonly workers: readonly WorkerRow[];
}

export interface MapOutput {
  readonly shard: number;
  readonly rows: number;
  readonly blob: string;
}

export interface Receipt {
  readonly unit: string;
  readonly lease: string;
  readonly worker: string;
  readonly payout: string | null;
  readonly reference_ops: number;
  readonly envelope: string;
}

export interface ChainInfo {
  readonly chain_id: number;
  readonly rpc_url: string;
  readonly token: string;
  readonly distributor: string;
}

export interface JoinInfo {
  readonly network: string;
  readonly relay: string;
  readonly addresses: readonly string[];
  readonly private: boolean;
  readonly chain?: ChainInfo;
}

export interface RewardClaim {
  readonly epoch: number;
  readonly node_hash: string;
  readonly payout: string;
  readonly cumulative: string;
  readonly proof: readonly string[];
}

export interface RewardsInfo {
  readonly epoch: number;
  readonly root?: string;
  readonly payable: string;
  readonly held: string;
  readonly claims: readonly RewardClaim[];
  readonly chain?: ChainInfo;
}

/** An answer that is not a success, with the relay's stable code. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(`${status} ${code}: ${message}`);
    this.name = 'ApiFailure';
    this.status = status;
    this.code = code;
  }
}

const TIMEOUT_MS = 30_000;

export class Api {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  join(): Promise<JoinInfo> {
    return this.#json('/v1/join');
  }

  jobs(): Promise<readonly JobStatus[]> {
    return this.#json('/v1/jobs');
  }

  job(id: string): Promise<JobStatus> {
    return this.#json(`/v1/jobs/${id}`);
  }

  workers(): Promise<readonly WorkerRow[]> {
    return this.#json('/v1/workers');
  }

  connections(): Promise<readonly ConnectionRow[]> {
    return this.#json('/v1/connections');
  }

  receipts(job: string): Promise<readonly Receipt[]> {
    return this.#json(`/v1/jobs/${job}/receipts`);
  }

  rewards(whose: { readonly node?: string; readonly payout?: string } = {}): Promise<RewardsInfo> {
    return this.#json(`/v1/rewards?${new URLSearchParams(whose as Record<string, string>).toString()}`);
  }

  async model(job: string): Promise<Buffer> {
    return Buffer.from(await (await this.request(`/v1/jobs/${job}/model`)).arrayBuffer());
  }

  /** Outputs of a map job from a shard on, at most so many. */
  outputs(job: string, from: number, limit: number): Promise<readonly MapOutput[]> {
    return this.#json(`/v1/jobs/${job}/outputs?from=${from}&limit=${limit}`);
  }

  async blob(id: string): Promise<Buffer> {
    return Buffer.from(await (await this.request(`/v1/blobs/${id}`)).arrayBuffer());
  }

  async putBlob(bytes: Uint8Array): Promise<string> {
    const body = new Uint8Array(bytes);
    const answer = await this.#json<{ id: string }>('/v1/blobs', {
      method: 'PUT',
      body,
      headers: { 'content-type': 'application/octet-stream' },
    });
    return answer.id;
  }

  async submit(document: string | object): Promise<string> {
    const body = typeof document === 'string' ? document : JSON.stringify(document);
    const answer = await this.#json<{ id: string }>('/v1/jobs', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    return answer.id;
  }

  async healthy(): Promise<boolean> {
    return (await fetch(new URL('/healthz', this.url), { signal: AbortSignal.timeout(TIMEOUT_MS) })).ok;
  }

  async metrics(): Promise<string> {
    return (await this.request('/metrics')).text();
  }

  /** Bytes of blobs that went `out` to workers or came `in` from them since the relay started, of transfers that ended. */
  async blobBytes(direction: 'in' | 'out'): Promise<number> {
    const line = new RegExp(`^shoal_relay_blob_bytes_total\\{direction="${direction}"\\} (\\d+)$`, 'm');
    return Number(line.exec(await this.metrics())?.[1] ?? 0);
  }

  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(new URL(path, this.url), { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (response.ok) return response;
    const text = await response.text();
    let body: { code?: unknown; message?: unknown };
    try {
      body = JSON.parse(text) as typeof body;
    } catch {
      throw new ApiFailure(response.status, 'not_an_api_error', text);
    }
    throw new ApiFailure(response.status, String(body.code), String(body.message));
  }

  async #json<T>(path: string, init?: RequestInit): Promise<T> {
    return (await (await this.request(path, init)).json()) as T;
  }
}
