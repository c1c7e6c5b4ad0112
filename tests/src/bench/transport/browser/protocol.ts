/** What all subjects have in common in the browser, and the bench's own few bytes on the wire. */

export type Direction = 'up' | 'down';

/** One transfer to measure. */
export interface Turn {
  readonly direction: Direction;
  /** Transfers at once, each on a stream of its own. */
  readonly streams: number;
  /** Bytes of each stream. */
  readonly bytes: number;
}

/** A connection whose throughput can be measured. */
export interface Session {
  /** What must exist before the clock starts. */
  prepare?(turn: Turn): Promise<void>;
  /** Moves the bytes; resolves when the receiver has them all. */
  run(turn: Turn): Promise<void>;
  close(): void;
}

/** The kinds of session that one page can have by itself. */
export type Kind = 'shoal' | 'websocket' | 'libp2p';

/** The operations of `bench_transport/protocol.rs` that peers without the blob protocol know. */
const OPERATIONS = { up: 2, down: 3 } as const;

const COMMAND_LENGTH = 9;

/** The protocol of `bench_transport/protocol.rs` for peers without the blob protocol. */
export const BYTES_PROTOCOL = '/shoal/bench/bytes/1';

export function encodeCommand(direction: Direction, bytes: number): Uint8Array<ArrayBuffer> {
  const command = new Uint8Array(COMMAND_LENGTH).fill(0);
  command[0] = OPERATIONS[direction];
  new DataView(command.buffer).setUint32(5, bytes);
  return command;
}

export function decodeCommand(command: Uint8Array): { readonly direction: Direction; readonly bytes: number } {
  const bytes = new DataView(command.buffer, command.byteOffset, COMMAND_LENGTH).getUint32(5);
  if (command[0] === OPERATIONS.up) return { direction: 'up', bytes };
  if (command[0] === OPERATIONS.down) return { direction: 'down', bytes };
  throw new Error(`no operation ${String(command[0])}`);
}

export { COMMAND_LENGTH };

/** What a session's worker is told, and what it answers: nothing, or why it failed. */
export type ToWorker =
  | { readonly type: 'open'; readonly address: string; readonly port: MessagePort }
  | { readonly type: 'prepare' | 'run'; readonly turn: Turn };
export type FromWorker = { readonly error: string | null };

/** Answers the page's requests one after the other. */
export function serveWorker(handle: (request: ToWorker) => Promise<void>): void {
  onmessage = ({ data }: MessageEvent<ToWorker>) => {
    const answer = (error: string | null): void => {
      postMessage({ error } satisfies FromWorker);
    };
    handle(data).then(
      () => answer(null),
      (error: unknown) => answer(String(error)),
    );
  };
}
