/**
 * The page's side of the WebRTC bridge. Peer connections do not exist in workers, so the page makes them, and hands their
 * data channels over. It knows nothing of what they carry. Works the same in an extension's offscreen document.
 */
import { BridgedConnection } from './connection.ts';
import type { ToPage } from './protocol.ts';

/** Connections a worker may hold at once. It needs one per relay, and two for a moment while it changes over. */
const MAX_CONNECTIONS = 16;

/**
 * Serves the worker at the other end of `port` until the returned function is called, which closes every connection.
 * The other end goes to the worker's WebRTC transport. `onPeer` sees every connection that is made, to measure it.
 */
export function serveWebRtc(port: MessagePort, onPeer: (peer: RTCPeerConnection) => void = () => undefined): () => void {
  const connections = new Map<number, BridgedConnection>();
  const refuse = (connection: number, reason: string): void => {
    port.postMessage({ type: 'closed', connection, reason });
  };

  const connect = (id: number, negotiated: number, credentials: string | null): void => {
    if (connections.size >= MAX_CONNECTIONS) {
      refuse(id, `more than ${String(MAX_CONNECTIONS)} connections`);
      return;
    }
    try {
      const forget = (): void => void connections.delete(id);
      const made = new BridgedConnection(id, port, { negotiated, credentials }, forget);
      connections.set(id, made);
      onPeer(made.peer);
    } catch (error) {
      // WebRTC may be switched off by the user or by policy.
      refuse(id, String(error));
    }
  };

  port.onmessage = ({ data: message }: MessageEvent<ToPage>) => {
    switch (message.type) {
      case 'connect':
        connect(message.connection, message.negotiated, message.credentials);
        break;
      case 'answer':
        void connections.get(message.connection)?.answer(message.sdp);
        break;
      case 'open':
        connections.get(message.connection)?.open(message.stream);
        break;
      case 'close':
        connections.get(message.connection)?.close();
        break;
    }
  };

  return () => {
    port.onmessage = null;
    for (const connection of [...connections.values()]) connection.close();
    port.close();
  };
}
