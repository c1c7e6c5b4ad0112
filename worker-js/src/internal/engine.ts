/**
 * Loaded on start: checks the options, asks the relay how to join, starts the worker script and translates between it
 * and the page. Holds the page's half of WebRTC, because peer connections do not exist in workers.
 */
import type {
  ConnectionStats,
  DataLimits,
  Power,
  VolunteerEvent,
  VolunteerOptions,
  VolunteerState,
} from '../public/types.ts';
import { isChecksummedAddress } from './checksum.ts';
import { ConnectionWatch } from './connection-watch.ts';
import { browserStore } from './consent.ts';
import type { CoreConfig, CoreEvent } from './core.ts';
import { coreLimits } from './data-limits.ts';
import { VolunteerError } from './errors.ts';
import { nodeSeed } from './identity.ts';
import { joinSecretBytes } from './join-link.ts';
import { LastTransport, connectionKind, isTabTransport, type TabTransport } from './last-transport.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { askRelay, tabAbilities, tabAddresses } from './relay.ts';

import { nextState, progressOf, unitEvent } from './session.ts';
import { Throughput } from './throughput.ts';
import { serveWebRtc } from '../webrtc/bridge.ts';

/** A core that cannot give its leases back in this time is ended; the relay's leases expire by themselves. */
const STOP_TIMEOUT_MS = 3_000;

/** Share of the time that one core computes. */
const SHARES: Readonly<Record<Power, number>> = { gentle: 0.25, normal: 0.6, full: 1 };

const AGENT = '@shoal/worker/0.1.0';

export interface EngineHost {
  readonly emit: (event: VolunteerEvent) => void;
  readonly state: () => VolunteerState;
  /** False once the page has asked for something else. */
  readonly isWanted: () => boolean;
}

export interface Engine {
  stop(): Promise<void>;
  setPaused(paused: boolean): void;
  setPower(power: Power): void;
  setLimits(limits: DataLimits): void;
  connectionStats(): Promise<ConnectionStats | null>;
}

/** `null` if the page asks for something else meanwhile: the step under way ends, and no other follows. */
export async function startEngine(options: VolunteerOptions, host: EngineHost): Promise<Engine | null> {
  if (!host.isWanted()) return null;
  const secret = checkedSecret(options.joinSecret);
  const payoutAddress = checkedAddress(options.payoutAddress);
  const limits = coreLimits(options.limits ?? {});
  const relay = await askRelay(options.relayUrl ?? location.origin);
  if (!host.isWanted()) return null;
  host.emit({ type: 'relay', relay });
  if (relay.private && secret === null) {
    throw new VolunteerError('join_secret_needed', 'this swarm is private: open the link that you were invited with');
  }
  const abilities = tabAbilities();
  const addresses = tabAddresses(relay, abilities);
  if (addresses.length === 0) {
    if (!abilities.hasWebRtc) {
      throw new VolunteerError('no_webrtc', 'this browser has no WebRTC, or it is switched off');
    }
    throw new VolunteerError('relay_has_no_tab_address', 'this relay announces no address that a tab can connect to');
  }
  const seed = await nodeSeed();
  if (!host.isWanted()) return null;
  const last = new LastTransport(browserStore(), () => Date.now(), connectionKind);
  const config: CoreConfig = {
    seed,
    network: relay.network,
    relay: addresses,
    join_secret: secret,
    payout:
      payoutAddress === null || relay.chain === null ? null : { address: payoutAddress, chain_id: relay.chain.chainId },
    agent: AGENT,
    site: options.site ?? location.origin,
    first_transport: last.recall(relay.relay),
    use_gpu: options.useGpu ?? true,
    limits,
  };
  host.emit({ type: 'state', state: { kind: 'starting', step: 'program' } });
  return new TabEngine(config, options, host, last, abilities.hasWebRtc);
}

class TabEngine implements Engine {
  readonly #host: EngineHost;
  readonly #worker: Worker;
  readonly #last: LastTransport;
  /** Who has the head start in the next race, and who was reached in the last. */
  #first: TabTransport;
  #relay: string | null = null;
  readonly #throughput = new Throughput();
  readonly #watch: ConnectionWatch;
  readonly #ended: Promise<void>;
  readonly #closing: (() => void)[] = [];
  #markEnded: () => void = () => undefined;
  #pausedByPage = false;
  #pausedByHidden = false;

  constructor(
    config: CoreConfig,
    options: VolunteerOptions,
    host: EngineHost,
    last: LastTransport,
    hasWebRtc: boolean,
  ) {
    this.#host = host;
    this.#last = last;
    this.#first = config.first_transport ?? 'webrtc';
    this.#ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'shoal' });
    this.#watch = new ConnectionWatch(() => this.#post({ type: 'connection' }));
    this.#worker.onmessage = (message: MessageEvent<FromWorker>) => this.#receive(message.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#crash('program_crashed', event.message === '' ? 'the worker script ended unexpectedly' : event.message);
    };
    if (hasWebRtc) {
      const rtc = new MessageChannel();
      this.#closing.push(serveWebRtc(rtc.port1, (peer) => this.#watch.add(peer)));
      this.#post({ type: 'start', config, rtc: rtc.port2 }, [rtc.port2]);
    } else {
      this.#post({ type: 'start', config, rtc: null });
    }
    if (options.pauseWhenHidden ?? false) this.#watchVisibility();
  }

  async stop(): Promise<void> {
    this.#post({ type: 'stop' });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, STOP_TIMEOUT_MS);
    });
    await Promise.race([this.#ended, timeout]);
    clearTimeout(timer);
    this.#close();
  }

  setPaused(paused: boolean): void {
    this.#pausedByPage = paused;
    this.#applyPause();
  }

  setPower(power: Power): void {
    this.#post({ type: 'share', share: SHARES[power] });
  }

  setLimits(limits: DataLimits): void {
    this.#post({ type: 'limits', limits: coreLimits(limits) });
  }

  connectionStats(): Promise<ConnectionStats | null> {
    return this.#watch.stats();
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'device':
        this.#host.emit({ type: 'device', device: message.device });
        break;
      case 'core':
        this.#follow(message.event);
        break;
      case 'connection':
        this.#watch.answered(message.connection);
        break;
      case 'failed':
        this.#crash(message.error.code, message.error.message);
        break;
      case 'ended':
        this.#markEnded();
        break;
    }
  }

  #follow(event: CoreEvent): void {
    if (event.type === 'connected') this.#connected(event);
    if (event.type === 'bulk_rate' && this.#relay !== null) this.#last.measured(this.#relay, event.bytes_per_s);
    if (event.type === 'stats') {
      const now = performance.now();
      this.#throughput.add(now, event.computed_ops);
      this.#host.emit({ type: 'progress', progress: progressOf(event, this.#throughput.perSecond(now)) });
    }
    const unit = unitEvent(event);
    if (unit !== null) this.#host.emit(unit);
    const state = nextState(this.#host.state(), event);
    if (state !== null) this.#host.emit({ type: 'state', state });
  }

  #connected({ node, relay, transport }: Extract<CoreEvent, { type: 'connected' }>): void {
    this.#host.emit({ type: 'node', node });
    if (!isTabTransport(transport)) return;
    this.#last.remember(relay, transport, this.#first);
    this.#relay = relay;
    // In this run the core lets the winner go first from now on.
    this.#first = transport;
    this.#host.emit({ type: 'transport', transport });
  }

  #watchVisibility(): void {
    const update = (): void => {
      this.#pausedByHidden = document.hidden;
      this.#applyPause();
    };
    document.addEventListener('visibilitychange', update);
    this.#closing.push(() => document.removeEventListener('visibilitychange', update));
    update();
  }

  #applyPause(): void {
    const paused = this.#pausedByPage || this.#pausedByHidden;
    this.#post({ type: 'pause', paused });
    if (paused) {
      this.#host.emit({ type: 'state', state: { kind: 'paused', by: this.#pausedByPage ? 'page' : 'hidden' } });
    } else if (this.#host.state().kind === 'paused') {
      this.#host.emit({ type: 'state', state: { kind: 'waiting', reason: '' } });
    }
  }

  #crash(code: ConstructorParameters<typeof VolunteerError>[0], message: string): void {
    this.#markEnded();
    this.#close();
    this.#host.emit({ type: 'error', error: { code, message } });
  }

  #close(): void {
    for (const close of this.#closing.splice(0)) close();
    this.#worker.terminate();
    this.#watch.end();
  }

  #post(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}

function checkedSecret(secret: string | undefined): Uint8Array | null {
  if (secret === undefined) return null;
  const bytes = joinSecretBytes(secret);
  if (bytes === null) throw new VolunteerError('join_secret_malformed', 'the join link is damaged: ask for a new one');
  return bytes;
}

function checkedAddress(address: string | undefined): string | null {
  if (address === undefined || address === '') return null;
  if (!isChecksummedAddress(address)) {
    throw new VolunteerError('payout_address_malformed', `${address} is no EVM address, or it is misspelt`);
  }
  return address;
}
