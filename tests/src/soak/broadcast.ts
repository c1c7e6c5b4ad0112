/** One blob that everybody wants at once: what does it cost the relay, alone and with a source of the same bytes beside it? */
import { Metrics } from '../metrics.ts';
import { cpuMs, memory } from '../proc.ts';
import { seeded } from '../random.ts';
import { Relay } from '../relay.ts';
import { median, quantile } from '../statistics.ts';
import { randomBytes } from './blob.ts';
import type { Log } from './log.ts';
import { Peers } from './peers.ts';
import type { Report } from './report.ts';
import { StaticServer } from './static-server.ts';

const BLOB_LENGTH = 20 * 1024 * 1024;

/** With a source the relay sends the first ranges, before it is known, and the hashes; most must come from the source. */
const MOST_FROM_RELAY = 0.5;

export async function broadcast(peers: number, seed: number, report: Report, log: Log): Promise<void> {
  const bytes = randomBytes(seeded(seed), BLOB_LENGTH);
  const alone = await once(peers, seed, bytes, null, report, log);
  const server = await StaticServer.start(bytes);
  try {
    const aided = await once(peers, seed, bytes, server, report, log);
    if (aided.blobBytes > alone.blobBytes * MOST_FROM_RELAY) report.fault('with a source, the relay still sent most bytes itself');
  } finally {
    server.stop();
  }
}

async function once(peers: number, seed: number, bytes: Uint8Array, server: StaticServer | null, report: Report, log: Log): Promise<{ blobBytes: number }> {
  const relay = await Relay.start({ args: server === null ? [] : ['--blob-sources', server.template] });
  try {
    const blob = { id: await relay.api.putBlob(bytes), length: BLOB_LENGTH };
    const crowd = await Peers.crowd(relay, { seed, peers, sources: server !== null });
    log.say(`${String(peers)} peers are there`);
    const look = async (): Promise<{ blobs: number; streams: number }> => {
      const metrics = new Metrics(await relay.api.metrics());
      const out = { direction: 'out' };
      return { blobs: metrics.sum('blob_bytes_total', out), streams: metrics.sum('connection_bytes_total', out) };
    };
    const before = await look();
    const cpuBefore = cpuMs(relay.pid);
    const round = await crowd.fetch(blob);
    const cpuSeconds = (cpuMs(relay.pid) - cpuBefore) / 1000;
    const { peak } = memory(relay.pid);
    for (const failure of crowd.failed()) report.fault(`a peer failed: ${failure}`);
    // The relay counts a transfer when its stream has ended.
    await crowd.leave();
    const after = await look();

    const subject = `${String(peers)} peers, ${server === null ? 'relay alone' : 'with an HTTP source'}`;
    const delivered = round.seconds.length * BLOB_LENGTH;
    report.add('20 MiB to everybody', subject, round.wall_s, 's wall');
    report.add('20 MiB to everybody', subject, delivered / 1e6 / round.wall_s, 'MB/s');
    report.add('20 MiB to one of them, median', subject, median(round.seconds), 's');
    report.add('20 MiB to one of them, 95 of 100', subject, quantile(round.seconds, 0.95), 's');
    report.add('blob bytes of the relay per peer', subject, (after.blobs - before.blobs) / peers, 'bytes', (after.blobs - before.blobs) / delivered);
    report.add('stream bytes of the relay per peer', subject, (after.streams - before.streams) / peers, 'bytes', (after.streams - before.streams) / delivered);
    report.add('relay CPU', subject, cpuSeconds / (delivered / 1e9), 's/GB delivered');
    report.add('peak memory of the relay', subject, peak / 1e6, 'MB');
    if (server !== null) report.add('bytes of the source per peer', subject, server.sent / peers, 'bytes', server.sent / delivered);
    return { blobBytes: after.blobs - before.blobs };
  } finally {
    await relay.dispose();
  }
}
