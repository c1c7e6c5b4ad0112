/** Our transport, where it runs in a volunteer's tab: in a dedicated worker, as WebAssembly. */
import { serveWorker, type Direction } from './protocol.ts';

interface Tab {
  prepare(count: number, bytes: number): Promise<void>;
  up(count: number, bytes: number): Promise<void>;
  down(count: number, bytes: number): Promise<void>;
}

/** The bindings of `crates/transport/examples/bench_transport`. */
interface Module {
  readonly default: () => Promise<unknown>;
  readonly Tab: { readonly connect: (port: MessagePort, address: string) => Promise<Tab> };
}

const MODULE: string = '/tab/bench_transport.js';

let tab: Tab | null = null;

function opened(): Tab {
  if (tab === null) throw new Error('not opened');
  return tab;
}

serveWorker(async (request) => {
  switch (request.type) {
    case 'open': {
      const module = (await import(MODULE)) as Module;
      await module.default();
      tab = await module.Tab.connect(request.port, request.address);
      break;
    }
    case 'prepare':
      await opened().prepare(request.turn.streams, request.turn.bytes);
      break;
    case 'run': {
      const direction: Direction = request.turn.direction;
      await opened()[direction](request.turn.streams, request.turn.bytes);
      break;
    }
  }
});
