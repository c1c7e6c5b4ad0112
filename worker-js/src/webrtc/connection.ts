/**
 * One peer connection on behalf of the worker. Channels are handed over in the task that created them, because browsers
 * transfer them at no other time.
 */
import { proxyChannel } from './proxy.ts';
import type { ToWorker } from './protocol.ts';

export interface ConnectionOptions {
  /** SCTP stream id of the channel that both sides make. */
  readonly negotiated: number;
  /** ICE username fragment and password to offer instead of the browser's own. */
  readonly credentials: string | null;
}

export class BridgedConnection {
  readonly #id: number;
  readonly #port: MessagePort;
  readonly #peer: RTCPeerConnection;
  readonly #onEnd: () => void;
  #ended = false;

  /** `onEnd` is called once, when the connection is over for whatever reason. */
  constructor(id: number, port: MessagePort, options: ConnectionOptions, onEnd: () => void) {
    this.#id = id;
    this.#port = port;
    this.#onEnd = onEnd;
    this.#peer = new RTCPeerConnection();
    this.#peer.ondatachannel = ({ channel }) => {
      this.#hand(channel, null);
    };
    this.#peer.onconnectionstatechange = () => {
      const state = this.#peer.connectionState;
      if (state === 'failed' || state === 'closed') this.#fail(`connection ${state}`);
    };
    this.#hand(this.#peer.createDataChannel('', { negotiated: true, id: options.negotiated }), 0);
    void this.#offer(options.credentials);
  }

  get peer(): RTCPeerConnection {
    return this.#peer;
  }

  async answer(sdp: string): Promise<void> {
    try {
      await this.#peer.setRemoteDescription({ type: 'answer', sdp });
      this.#watchTransports();
    } catch (error) {
      this.#fail(String(error));
    }
  }

  open(stream: number): void {
    try {
      this.#hand(this.#peer.createDataChannel(''), stream);
    } catch (error) {
      this.#fail(String(error));
    }
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#peer.ondatachannel = null;
    this.#peer.onconnectionstatechange = null;
    this.#peer.close();
    this.#onEnd();
  }

  async #offer(credentials: string | null): Promise<void> {
    try {
      if (credentials === null) await this.#peer.setLocalDescription();
      else await this.#peer.setLocalDescription(withCredentials(await this.#peer.createOffer(), credentials));
      const sdp = this.#peer.localDescription?.sdp;
      if (sdp === undefined) throw new Error('no local description');
      this.#post({ type: 'offer', connection: this.#id, sdp });
    } catch (error) {
      this.#fail(String(error));
    }
  }

  /** A peer that says goodbye ends the transports below the connection, which some browsers do not report above. */
  #watchTransports(): void {
    const sctp = this.#peer.sctp;
    if (sctp === null) return;
    sctp.onstatechange = () => {
      if (sctp.state === 'closed') this.#fail('SCTP closed');
    };
    sctp.transport.onstatechange = () => {
      const state = sctp.transport.state;
      if (state === 'closed' || state === 'failed') this.#fail(`DTLS ${state}`);
    };
  }

  #hand(channel: RTCDataChannel, stream: number | null): void {
    const message = (handle: RTCDataChannel | MessagePort): ToWorker => ({
      type: 'stream',
      connection: this.#id,
      stream,
      channel: handle,
    });
    try {
      // TypeScript's list of transferable types lacks data channels.
      this.#port.postMessage(message(channel), [channel as unknown as Transferable]);
    } catch {
      const proxy = proxyChannel(channel);
      this.#port.postMessage(message(proxy), [proxy]);
    }
  }

  #fail(reason: string): void {
    if (this.#ended) return;
    this.#post({ type: 'closed', connection: this.#id, reason });
    this.close();
  }

  #post(message: ToWorker): void {
    this.#port.postMessage(message);
  }
}

/** The offer with `credentials` as ICE username fragment and password. Browsers may refuse to set it. */
function withCredentials(offer: RTCSessionDescriptionInit, credentials: string): RTCSessionDescriptionInit {
  const sdp = (offer.sdp ?? '').replace(/^(a=ice-(?:ufrag|pwd):).*$/gmu, (_, name: string) => name + credentials);
  return { type: 'offer', sdp };
}
