/** js-libp2p in the page: peer connections do not exist in workers, and it has no bridge to one. */
import { webRTCDirect } from '@libp2p/webrtc';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p, type Libp2p } from 'libp2p';
import { move } from '../bytes.ts';
import { BYTES_PROTOCOL, type Session, type Turn } from './protocol.ts';

export class Libp2pSession implements Session {
  readonly #node: Libp2p;
  readonly #address: string;

  private constructor(node: Libp2p, address: string) {
    this.#node = node;
    this.#address = address;
  }

  static async open(address: string): Promise<Libp2pSession> {
    const node = await createLibp2p({
      transports: [webRTCDirect()],
      // By default addresses of the loopback interface are refused.
      connectionGater: { denyDialMultiaddr: () => false },
    });
    await node.dial(multiaddr(address));
    return new Libp2pSession(node, address);
  }

  async run({ direction, streams, bytes }: Turn): Promise<void> {
    const one = async (): Promise<void> => {
      const stream = await this.#node.dialProtocol(multiaddr(this.#address), BYTES_PROTOCOL);
      await move(stream, direction, bytes);
    };
    await Promise.all(Array.from({ length: streams }, one));
  }

  close(): void {
    void this.#node.stop();
  }
}
