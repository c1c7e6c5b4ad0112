/**
 * The messages between the page, which owns the peer connections, and the worker, which owns everything else. They travel
 * over one `MessagePort`. `connection` and `stream` are numbers that the worker chooses. `crates/transport/src/webrtc/
 * browser/port.rs` is the worker's end.
 */

export type ToPage =
  /**
   * Make a connection with one channel negotiated under the SCTP stream id `negotiated`; it is sent as stream 0. Where
   * `credentials` is a text, the offer is rewritten to have it as ICE username fragment and password.
   */
  | {
      readonly type: 'connect';
      readonly connection: number;
      readonly negotiated: number;
      readonly credentials: string | null;
    }
  /** Set the remote description. */
  | { readonly type: 'answer'; readonly connection: number; readonly sdp: string }
  /** Make a channel and send it as `stream`. */
  | { readonly type: 'open'; readonly connection: number; readonly stream: number }
  | { readonly type: 'close'; readonly connection: number };

export type ToWorker =
  /** The local description. */
  | { readonly type: 'offer'; readonly connection: number; readonly sdp: string }
  /** A channel; `stream` is `null` for one that the peer opened. A `MessagePort` stands in where transfer is missing. */
  | {
      readonly type: 'stream';
      readonly connection: number;
      readonly stream: number | null;
      readonly channel: RTCDataChannel | MessagePort;
    }
  /** The connection is over, or never came about. Sent once, unless the worker closed it itself. */
  | { readonly type: 'closed'; readonly connection: number; readonly reason: string };

/** What a proxied channel's port carries to the worker, besides messages as `ArrayBuffer`s. */
export type ProxyToWorker =
  | { readonly open: true }
  | { readonly closed: true }
  /** So many bytes have left the channel's queue since the last such notice. */
  | { readonly sent: number };

/** What a proxied channel's port carries to the page, besides messages as `ArrayBuffer`s. */
export type ProxyToPage = { readonly close: true };
