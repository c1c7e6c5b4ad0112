/**
 * A data channel and nothing else, between two pages of the same browser: the most that WebRTC gives a tab. The bench
 * carries the descriptions from one page to the other.
 */

/** As much as every browser carries, and what libp2p allows. */
const MESSAGE_LENGTH = 16 * 1024;

/** The queue is filled up to the first and filled again from the second, so that it never runs dry. */
const MOST_BUFFERED = 1024 * 1024;
const LOW_BUFFERED = 256 * 1024;

export class RawEnd {
  readonly #peer = new RTCPeerConnection();
  readonly #channel = this.#peer.createDataChannel('', { negotiated: true, id: 0 });

  constructor() {
    this.#channel.binaryType = 'arraybuffer';
    this.#channel.bufferedAmountLowThreshold = LOW_BUFFERED;
  }

  async offer(): Promise<string> {
    await this.#peer.setLocalDescription();
    return this.#gathered();
  }

  async answer(offer: string): Promise<string> {
    await this.#peer.setRemoteDescription({ type: 'offer', sdp: offer });
    await this.#peer.setLocalDescription();
    return this.#gathered();
  }

  async accept(answer: string): Promise<void> {
    await this.#peer.setRemoteDescription({ type: 'answer', sdp: answer });
    await this.#opened();
  }

  /** Answers the sender when so many bytes are here. */
  receive(bytes: number): void {
    let left = bytes;
    this.#channel.onmessage = ({ data }: MessageEvent<ArrayBuffer>) => {
      left -= data.byteLength;
      if (left <= 0) this.#channel.send(new Uint8Array(1));
    };
  }

  /** Sends so many bytes and resolves when the receiver has them. */
  async send(bytes: number): Promise<void> {
    const channel = this.#channel;
    const done = new Promise<void>((resolve, reject) => {
      channel.onmessage = () => resolve();
      channel.onclose = () => reject(new Error('the data channel closed'));
    });
    const message = new Uint8Array(MESSAGE_LENGTH).fill(0x5a);
    for (let left = bytes; left > 0; left -= MESSAGE_LENGTH) {
      if (channel.bufferedAmount >= MOST_BUFFERED) {
        await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }));
      }
      channel.send(message.subarray(0, Math.min(left, MESSAGE_LENGTH)));
    }
    await done;
  }

  close(): void {
    this.#peer.close();
  }

  #gathered(): Promise<string> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.#peer.iceGatheringState === 'complete') resolve(this.#peer.localDescription?.sdp ?? '');
      };
      this.#peer.onicegatheringstatechange = check;
      check();
    });
  }

  #opened(): Promise<void> {
    if (this.#channel.readyState === 'open') return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#channel.onopen = () => resolve();
      this.#channel.onclose = () => reject(new Error('the data channel closed before it opened'));
      this.#peer.onconnectionstatechange = () => {
        if (this.#peer.connectionState === 'failed') reject(new Error('the peer connection failed'));
      };
    });
  }
}
