/**
 * One peer connection on behalf of the worker. Channels are handed over in the task that created them, because browsers
 * transfer them at no other time.
 */
import { proxyChannel } from './proxy.ts';
import type { ToWorker } from './protocol.ts';

export class BridgedConnection {
  readonly #id: number;
  readonly #port: MessagePort;
  readonly #peer: RTCPeerConnection;
  readonly #onEnd: () => void;
  #ended = false;

  /** `onEnd` is called once, when the connection is over for whatever reason. */
  constructor(id: number, port: MessagePort, negotiated: number, onEnd: () => void) {
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
    this.#hand(this.#peer.createDataChannel('', { negotiated: true, id: negotiated }), 0);
    void this.#offer();
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

  async #offer(): Promise<void> {
    try {
      await this.#peer.setLocalDescription();
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
