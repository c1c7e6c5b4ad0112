/**
 * A data channel whose messages go through a `MessagePort`, for browsers that cannot transfer channels to workers. The
 * worker counts what it sent and learns from `sent` what has left the queue, so that back-pressure reaches it.
 */
import type { ProxyToPage, ProxyToWorker } from './protocol.ts';

/** Bytes in the queue below which the worker is told to go on; it holds about twice as much before it waits. */
const BUFFERED_LOW_BYTES = 64 * 1024;

/** The port that stands in for `channel`. */
export function proxyChannel(channel: RTCDataChannel): MessagePort {
  const { port1: own, port2: theirs } = new MessageChannel();
  const post = (message: ProxyToWorker): void => {
    own.postMessage(message);
  };
  let queued = 0;
  const report = (): void => {
    const sent = queued - channel.bufferedAmount;
    if (sent <= 0) return;
    queued -= sent;
    post({ sent });
  };
  channel.binaryType = 'arraybuffer';
  channel.bufferedAmountLowThreshold = BUFFERED_LOW_BYTES;
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data instanceof ArrayBuffer) own.postMessage(data, [data]);
  };
  channel.onbufferedamountlow = report;
  channel.onopen = () => {
    post({ open: true });
  };
  channel.onclose = () => {
    post({ closed: true });
    own.onmessage = null;
  };
  own.onmessage = ({ data }: MessageEvent<ArrayBuffer | ProxyToPage>) => {
    if (!(data instanceof ArrayBuffer)) {
      channel.close();
      return;
    }
    // A channel that closed meanwhile loses what is sent, as on the wire; its `closed` is on the way.
    if (channel.readyState !== 'open') return;
    channel.send(data);
    queued += data.byteLength;
    if (channel.bufferedAmount <= BUFFERED_LOW_BYTES) report();
  };
  if (channel.readyState === 'open') post({ open: true });
  return theirs;
}
