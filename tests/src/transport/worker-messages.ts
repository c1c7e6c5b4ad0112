/** Between the test page and its worker. */

/** The only version of webrtc-direct that is tried; 0 leaves it to the transport. */
export type Version = 0 | 1 | 2;

/** What a test asks for. */
export type PageCall =
  | { readonly do: 'connect'; readonly address: string; readonly version: Version }
  | { readonly do: 'echo'; readonly bytes: number }
  | { readonly do: 'shortStreams'; readonly count: number }
  | { readonly do: 'download'; readonly blob: string; readonly bytes: number }
  | { readonly do: 'upload'; readonly bytes: number };

/** With a number for the answer, and the port that the connection needs. */
export type Call = { readonly id: number } & (
  | Exclude<PageCall, { do: 'connect' }>
  | (Extract<PageCall, { do: 'connect' }> & { readonly port: MessagePort })
);

export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

/** What `connect` answers. */
export interface Connected {
  readonly connectMs: number;
  readonly pingMs: number;
}
