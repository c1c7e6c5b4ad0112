/** The volunteer as the page shows it: the package's events as reactive fields, and the visitor's settings. */
import {
  clearCache,
  createVolunteer,
  joinSecretOf,
  type ChainInfo,
  type ConnectionStats,
  type ConsentStatus,
  type Device,
  type Progress,
  type Volunteer,
  type VolunteerEvent,
  type VolunteerOptions,
  type VolunteerState,
} from '@shoal/worker';
import { dataLimits, loadSettings, saveSettings, type Settings } from './settings.ts';

export class VolunteerModel {
  state = $state.raw<VolunteerState>({ kind: 'idle' });
  progress = $state.raw<Progress | null>(null);
  device = $state.raw<Device | null>(null);
  chain = $state.raw<ChainInfo | null>(null);
  node = $state<string | null>(null);
  consent = $state.raw<ConsentStatus>({ kind: 'missing' });
  settings = $state.raw<Settings>(loadSettings(localStorage));
  /** Of the link that the page was opened with. */
  link = $state<'none' | 'secret' | 'malformed'>('none');

  #secret: string | null = null;
  #volunteer: Volunteer = createVolunteer();

  constructor(hash: string) {
    this.readLink(hash);
    this.consent = this.#volunteer.consent.status();
  }

  get isRunning(): boolean {
    return this.state.kind !== 'idle' && this.state.kind !== 'failed';
  }

  readLink(hash: string): void {
    const link = joinSecretOf(hash);
    if (link.kind === 'none') return;
    this.link = link.kind;
    this.#secret = link.kind === 'secret' ? link.secret : null;
  }

  change(settings: Partial<Settings>): void {
    this.settings = { ...this.settings, ...settings };
    saveSettings(localStorage, this.settings);
    if (settings.power !== undefined) this.#volunteer.setPower(settings.power);
    if ('diskMegabytes' in settings || 'maxDownMbit' in settings || 'maxUpMbit' in settings) {
      this.#volunteer.setLimits(dataLimits(this.settings));
    }
    // A volunteer that runs does it itself, and the next start would; nothing is to stay until then.
    if (settings.diskMegabytes === 0) clearCache().catch(() => undefined);
  }

  /** Called by the click on Start and by nothing else: the click is the agreement. */
  async agreeAndStart(): Promise<void> {
    if (this.isRunning) return;
    this.#volunteer = createVolunteer(this.#options());
    this.#volunteer.on((event) => this.#follow(event));
    this.#volunteer.consent.give();
    this.consent = this.#volunteer.consent.status();
    this.device = null;
    this.node = null;
    await this.#volunteer.start();
  }

  async stop(): Promise<void> {
    await this.#volunteer.stop();
  }

  setPaused(paused: boolean): void {
    this.#volunteer.setPaused(paused);
  }

  connectionStats(): Promise<ConnectionStats | null> {
    return this.#volunteer.connectionStats();
  }

  async withdraw(): Promise<void> {
    await this.#volunteer.consent.withdraw();
    this.consent = this.#volunteer.consent.status();
  }

  #options(): VolunteerOptions {
    const { payoutAddress, power, useGpu, pauseWhenHidden } = this.settings;
    const address = payoutAddress.trim();
    return {
      power,
      useGpu,
      pauseWhenHidden,
      limits: dataLimits(this.settings),
      ...(address === '' ? {} : { payoutAddress: address }),
      ...(this.#secret === null ? {} : { joinSecret: this.#secret }),
    };
  }

  #follow(event: VolunteerEvent): void {
    switch (event.type) {
      case 'state':
        this.state = event.state;
        // Another tab may have withdrawn it.
        this.consent = this.#volunteer.consent.status();
        break;
      case 'progress':
        this.progress = event.progress;
        break;
      case 'relay':
        this.chain = event.relay.chain;
        break;
      case 'node':
        this.node = event.node;
        break;
      case 'device':
        this.device = event.device;
        break;
      case 'transport':
      case 'unit':
      case 'error':
        break;
    }
  }
}
