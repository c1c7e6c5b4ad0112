/** The dedicated worker of `page-ours.ts`: the transport and the swarm, compiled from `webrtc_peer`. */
import init, { Tab } from '#webrtc-peer';
import type { Answer, Call, Connected } from './worker-messages.ts';

let tab: Tab | null = null;

async function perform(call: Call): Promise<unknown> {
  if (call.do === 'connect') {
    await init();
    tab = await Tab.connect(call.port, call.address, call.version);
    return { connectMs: tab.connectMs, pingMs: tab.pingMs } satisfies Connected;
  }
  if (tab === null) throw new Error('not connected');
  switch (call.do) {
    case 'echo':
      return tab.echo(call.bytes);
    case 'shortStreams': {
      const start = performance.now();
      for (let i = 0; i < call.count; i += 1) await tab.echo(i * 10);
      return performance.now() - start;
    }
    case 'download':
      return tab.download(call.blob, call.bytes);
    case 'upload':
      return tab.upload(call.bytes);
  }
}

const post = postMessage as (answer: Answer) => void;

onmessage = ({ data: call }: MessageEvent<Call>) => {
  perform(call).then(
    (value) => post({ id: call.id, value }),
    (error: unknown) => post({ id: call.id, error: String(error) }),
  );
};
