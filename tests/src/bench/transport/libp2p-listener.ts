/** A js-libp2p listener as a program of its own, so that its processor time can be told from the bench's. */
import '../../transport/with-resolvers.ts';
import { webRTCDirect } from '@libp2p/webrtc';
import { createLibp2p } from 'libp2p';
import { answer } from './bytes.ts';
import { BYTES_PROTOCOL } from './browser/protocol.ts';

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/udp/0/webrtc-direct'] },
  transports: [webRTCDirect()],
});
await node.handle(BYTES_PROTOCOL, (stream) => {
  answer(stream).catch((error: unknown) => {
    console.error('a transfer failed:', error);
  });
});
console.log(`listening ${String(node.getMultiaddrs()[0])}`);
// Ends with whoever started it.
process.stdin.on('end', () => process.exit(0)).resume();
