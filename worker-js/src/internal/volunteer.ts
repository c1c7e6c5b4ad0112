/**
 * The page's handle on a volunteer: consent, options, state and subscriptions. Everything that connects or computes is
 * behind the dynamic import of `engine.ts`, reached by `start` alone and only with a valid consent.
 */
import type {
  ConnectionStats,
  ConsentStatus,
  DataLimits,
  Power,
  Progress,
  Volunteer,
  VolunteerConsent,
  VolunteerEvent,
  VolunteerOptions,
  VolunteerState,
} from '../public/types.ts';
import { ConsentKeeper, browserStore, watchConsent, type KeyValueStore } from './consent.ts';
import { coreLimits } from './data-limits.ts';
import type { Engine, EngineHost } from './engine.ts';
import { VolunteerError, messageOf } from './errors.ts';
import { NO_PROGRESS } from './session.ts';
import { clearCache } from './stored-cache.ts';

/** What comes from the browser, or from a test. */
export interface Surroundings {
  readonly store: KeyValueStore;
  readonly now: () => number;
  readonly watchConsent: (listener: () => void) => () => void;
  readonly clearCache: () => Promise<void>;
  readonly startEngine: (options: VolunteerOptions, host: EngineHost) => Promise<Engine | null>;
}

/** A volunteer that does nothing until `start`. */
export function createVolunteer(options: VolunteerOptions = {}): Volunteer {
  return new PageVolunteer(options, {
    store: browserStore(),
    now: () => Date.now(),
    watchConsent,
    clearCache,
    startEngine: async (chosen, host) => (await import('./engine.ts')).startEngine(chosen, host),
  });
}

export class PageVolunteer implements Volunteer {
  readonly #options: VolunteerOptions;
  readonly #surroundings: Surroundings;
  readonly #keeper: ConsentKeeper;
  readonly #listeners = new Set<(event: VolunteerEvent) => void>();
  #state: VolunteerState = { kind: 'idle' };
  #progress: Progress = NO_PROGRESS;
  #power: Power;
  #limits: DataLimits;
  #engine: Engine | null = null;
  /** Settles when the engine before this one is gone. */
  #ended: Promise<void> = Promise.resolve();
  #unwatchConsent: () => void = () => undefined;
  /** Counts starts and stops, so that a start that was overtaken by a stop cleans up after itself. */
  #run = 0;

  constructor(options: VolunteerOptions, surroundings: Surroundings) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#power = options.power ?? 'normal';
    this.#limits = options.limits ?? {};
    this.#keeper = new ConsentKeeper(surroundings.store, surroundings.now);
  }

  get consent(): VolunteerConsent {
    return {
      status: () => this.#keeper.status(),
      give: () => this.#keeper.give(),
      withdraw: async () => {
        this.#keeper.withdraw();
        await this.#stopAndClear();
      },
    };
  }

  get state(): VolunteerState {
    return this.#state;
  }

  get progress(): Progress {
    return this.#progress;
  }

  on(listener: (event: VolunteerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async start(): Promise<void> {
    if (this.#state.kind !== 'idle' && this.#state.kind !== 'failed') return;
    const run = ++this.#run;
    const current = () => run === this.#run;
    try {
      demandConsent(this.#keeper.status());
      this.#unwatchConsent = this.#surroundings.watchConsent(() => this.#consentChanged());
      this.#setProgress(NO_PROGRESS);
      this.#setState({ kind: 'starting', step: 'relay' });
      const engine = await this.#surroundings.startEngine(
        { ...this.#options, power: this.#power, limits: this.#limits },
        {
          emit: (event) => {
            if (current()) this.#receive(event);
          },
          state: () => this.#state,
          isWanted: current,
        },
      );
      if (engine === null) return;
      if (current()) {
        this.#engine = engine;
        engine.setPower(this.#power);
        engine.setLimits(this.#limits);
      } else {
        await engine.stop();
      }
    } catch (thrown) {
      if (current()) this.#fail(thrown);
    }
  }

  async stop(): Promise<void> {
    if (this.#state.kind === 'idle' || this.#state.kind === 'stopping') return;
    this.#run += 1;
    const engine = this.#engine;
    this.#engine = null;
    if (engine !== null) {
      this.#setState({ kind: 'stopping' });
      this.#ended = engine.stop();
      await this.#ended;
    }
    this.#unwatchConsent();
    this.#setState({ kind: 'idle' });
  }

  setPaused(paused: boolean): void {
    this.#engine?.setPaused(paused);
  }

  setPower(power: Power): void {
    this.#power = power;
    this.#engine?.setPower(power);
  }

  setLimits(limits: DataLimits): void {
    // Checked here too, so that a mistake is told to whoever makes it and not to a volunteer that runs.
    coreLimits(limits);
    this.#limits = limits;
    this.#engine?.setLimits(limits);
  }

  async connectionStats(): Promise<ConnectionStats | null> {
    return (await this.#engine?.connectionStats()) ?? null;
  }

  /** What another tab withdrew ends here too: this one would store again what that one removes. */
  #consentChanged(): void {
    if (this.#keeper.status().kind === 'given') return;
    // The tab that withdrew removes the same and tells its visitor if that fails.
    this.#stopAndClear().catch(() => undefined);
  }

  async #stopAndClear(): Promise<void> {
    await this.stop();
    await this.#ended;
    await this.#surroundings.clearCache();
  }

  #receive(event: VolunteerEvent): void {
    switch (event.type) {
      case 'state':
        this.#setState(event.state);
        break;
      case 'progress':
        this.#setProgress(event.progress);
        break;
      case 'error':
        this.#fail(new VolunteerError(event.error.code, event.error.message));
        break;
      default:
        this.#tell(event);
    }
  }

  #fail(thrown: unknown): void {
    const error =
      thrown instanceof VolunteerError ? thrown : new VolunteerError('program_not_loaded', messageOf(thrown));
    this.#run += 1;
    const engine = this.#engine;
    this.#engine = null;
    if (engine !== null) this.#ended = engine.stop();
    this.#unwatchConsent();
    this.#setState({ kind: 'failed', error: error.info() });
    this.#tell({ type: 'error', error: error.info() });
  }

  #setState(state: VolunteerState): void {
    this.#state = state;
    this.#tell({ type: 'state', state });
  }

  #setProgress(progress: Progress): void {
    this.#progress = progress;
    this.#tell({ type: 'progress', progress });
  }

  #tell(event: VolunteerEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function demandConsent(status: ConsentStatus): void {
  switch (status.kind) {
    case 'given':
      return;
    case 'missing':
      throw new VolunteerError('consent_missing', 'the visitor has not agreed');
    case 'expired':
      throw new VolunteerError('consent_expired', `the agreement ended on ${status.expiredAt.toISOString()}`);
  }
}
