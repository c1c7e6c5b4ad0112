/** A relay with its workers and its browser for one test, and what tests ask about their job. */
import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import type { Api, JobStatus, Receipt } from './api.ts';
import { startBrowser, Tab, type TabOptions } from './browser.ts';
import { startNative, type NativeOptions } from './native.ts';
import type { Program } from './process.ts';
import { Relay, type RelayOptions } from './relay.ts';
import { until } from './wait.ts';

/** A job of the tests takes seconds; a loaded machine makes minutes of them. */
export const JOB_LIMIT_MS = 240_000;

export class Swarm implements AsyncDisposable {
  readonly relay: Relay;
  readonly #natives: Program[] = [];
  #browser: Promise<Browser> | null = null;

  private constructor(relay: Relay) {
    this.relay = relay;
  }

  static async start(options: RelayOptions = {}): Promise<Swarm> {
    return new Swarm(await Relay.start(options));
  }

  get api(): Api {
    return this.relay.api;
  }

  async tab(options: TabOptions = {}): Promise<Tab> {
    return Tab.join(await this.browser(), this.relay.link, options);
  }

  /** One for the swarm, started when the first tab needs it. */
  browser(): Promise<Browser> {
    this.#browser ??= startBrowser();
    return this.#browser;
  }

  native(options: NativeOptions = {}): Program {
    const program = startNative(this.relay, options);
    this.#natives.push(program);
    return program;
  }

  /** Waits until so many workers are connected. */
  async workers(count: number): Promise<void> {
    await until(
      `${count} workers are connected`,
      60_000,
      async () => (await this.api.workers()).filter(({ connected }) => connected).length,
      (connected) => connected >= count,
    );
  }

  /** Waits until so many units of a job are accepted. */
  async accepted(job: string, count: number): Promise<void> {
    await until(
      `${count} units are accepted`,
      JOB_LIMIT_MS,
      async () => (await this.api.receipts(job)).length,
      (receipts) => receipts >= count,
    );
  }

  /** Waits until the job has finished; any other end is a failure. */
  async finished(job: string): Promise<JobStatus> {
    const status = await until('the job ends', JOB_LIMIT_MS, () => this.api.job(job), ({ state }) => state !== 'running');
    assert.equal(status.state, 'finished', status.failure);
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#browser)?.close();
    for (const native of this.#natives) if (native.isRunning) await native.stop();
    await this.relay.dispose();
  }
}

/** Units of the plan that were paid, each exactly once: returns their operations by unit. */
export function countedOnce(receipts: readonly Receipt[], status: JobStatus): Map<string, number> {
  const byUnit = new Map(receipts.map(({ unit, reference_ops }) => [unit, reference_ops]));
  assert.equal(byUnit.size, receipts.length, 'a unit was counted twice');
  assert.equal(receipts.length, status.rounds * status.units_per_round, 'every unit of the plan is counted');
  const total = receipts.reduce((sum, { reference_ops }) => sum + reference_ops, 0);
  assert.equal(total, status.verified_ops, 'the job counts what its receipts say');
  const workers = status.workers.reduce((sum, { verified_ops }) => sum + verified_ops, 0);
  assert.equal(workers, total, 'the workers have what the receipts say');
  return byUnit;
}
