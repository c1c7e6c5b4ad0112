/** Real Chromium tabs, each in a browser context of its own, so that each has its own storage and so its own node key. */
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';
import { CHROME } from './environment.ts';
import { until } from './wait.ts';

/** Nothing leaves the machine, and no tab is slowed down for being in the background. */
const FLAGS = [
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  // Gives an adapter in software where there is no GPU.
  '--enable-unsafe-webgpu',
  // On a machine without a network the only way to a relay on loopback.
  '--allow-loopback-in-peer-connection',
];

const VIEWPORT = { width: 1100, height: 900 };

const CONNECT_LIMIT_MS = 60_000;

/** Kept per visible state of the page, `data-state` of its status line. */
const RUNNING = new Set(['waiting', 'working']);

/** What every Chromium of ours is started with, whoever drives it. */
export function chromiumFlags(): string[] {
  const root = process.getuid?.() === 0;
  return [...FLAGS, ...(root ? ['--no-sandbox'] : [])];
}

export async function startBrowser(flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: CHROME, headless: true, args: [...chromiumFlags(), ...flags] });
}

/** A browser with one profile, kept in a folder: what pages stored is there again when it is started again. */
export async function startProfile(folder: string): Promise<BrowserContext> {
  const options = { executablePath: CHROME, headless: true, args: chromiumFlags(), viewport: VIEWPORT };
  return chromium.launchPersistentContext(folder, options);
}

export interface TabOptions {
  readonly useGpu?: boolean;
  readonly payout?: string;
  readonly power?: 'gentle' | 'normal' | 'full';
}

export class Tab {
  readonly page: Page;
  /** What the page wrote to its console as an error, and what it threw. */
  readonly errors: string[] = [];
  /** Every address that the page asked for, in order. */
  readonly requests: string[] = [];
  readonly #context: BrowserContext;

  private constructor(context: BrowserContext, page: Page) {
    this.#context = context;
    this.page = page;
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('request', (request) => this.requests.push(request.url()));
  }

  /** Opens the page and sets the options by its own controls; presses nothing. In a profile if it is given one. */
  static async open(where: Browser | BrowserContext, link: string, options: TabOptions = {}): Promise<Tab> {
    const context = 'newContext' in where ? await where.newContext({ viewport: VIEWPORT }) : where;
    const page = await context.newPage();
    const tab = new Tab(context, page);
    await page.goto(link);
    await page.getByRole('radio', { name: title(options.power ?? 'full') }).check();
    await page.getByRole('checkbox', { name: /graphics card/ }).setChecked(options.useGpu ?? false);
    if (options.payout !== undefined) await page.getByRole('textbox', { name: /Payout address/ }).fill(options.payout);
    return tab;
  }

  /** Opens the page, presses Start and waits until the relay has welcomed it. */
  static async join(where: Browser | BrowserContext, link: string, options: TabOptions = {}): Promise<Tab> {
    const tab = await Tab.open(where, link, options);
    await tab.start();
    await tab.connected();
    return tab;
  }

  async start(): Promise<void> {
    await this.page.getByRole('button', { name: 'Start' }).click();
  }

  async stop(): Promise<void> {
    await this.page.getByRole('button', { name: 'Stop' }).click();
  }

  state(): Promise<string | null> {
    return this.page.locator('[data-state]').first().getAttribute('data-state');
  }

  /** The status line in words, for messages of failures. */
  words(): Promise<string> {
    return this.page.getByRole('status').innerText();
  }

  async connected(): Promise<void> {
    const seen = await until(
      'the tab is connected',
      CONNECT_LIMIT_MS,
      async () => ({ state: (await this.state()) ?? '', words: await this.words(), errors: this.errors }),
      ({ state }) => RUNNING.has(state) || state === 'failed',
    );
    if (seen.state === 'failed') throw new Error(`the tab failed: ${seen.words}\n${this.errors.join('\n')}`);
  }

  /** The tab's node id. */
  async node(): Promise<string> {
    return (await this.page.locator('[data-value="node"]').getAttribute('title')) ?? '';
  }

  value(name: 'throughput' | 'verified' | 'pending' | 'rejected' | 'backend' | 'adapter'): Promise<string> {
    return this.page.locator(`[data-value="${name}"]`).innerText();
  }

  /** Opens the part of the settings about disk and speed. */
  async openDataSettings(): Promise<void> {
    await this.page.locator('summary', { hasText: 'Data and disk' }).click();
  }

  /** Types into a field of Mbit/s; nothing is no limit. */
  async limitRate(direction: 'Download' | 'Upload', mbit: string): Promise<void> {
    await this.page.getByLabel(`${direction} at most`).fill(mbit);
  }

  /** As if the visitor had closed the tab: nothing is told to anybody. */
  async kill(): Promise<void> {
    await this.#context.close();
  }
}

function title(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
