/**
 * The browser of a bench: a Chromium that reports no network traffic to its driver. A driver that listens, as those of the
 * tests do, gets a copy of every WebSocket message, which makes a plain WebSocket four times slower than users have it.
 */
import { launch, type Browser, type BrowserContext, type LaunchOptions, type Page } from 'puppeteer-core';
import { chromiumFlags } from '../browser.ts';
import { CHROME } from '../environment.ts';

export interface ChromiumOptions {
  /** Of the pages. */
  readonly origin: string;
  /** The global that a page has when it can be called. */
  readonly ready: string;
  /** Beside those of all tests. */
  readonly flags?: readonly string[];
  /** Longest call of a page; 0 for no limit. */
  readonly callLimitMs?: number;
}

export class Chromium {
  readonly #browser: Browser;
  readonly #options: ChromiumOptions;

  private constructor(browser: Browser, options: ChromiumOptions) {
    this.#browser = browser;
    this.#options = options;
  }

  static async start(options: ChromiumOptions): Promise<Chromium> {
    const launched: LaunchOptions = {
      executablePath: CHROME,
      headless: true,
      networkEnabled: false,
      args: [...chromiumFlags(), ...(options.flags ?? [])],
      ...(options.callLimitMs === undefined ? {} : { protocolTimeout: options.callLimitMs }),
    };
    const browser = await launch(launched);
    // Browsers otherwise hide the loopback address from ICE.
    await browser.defaultBrowserContext().overridePermissions(options.origin, ['microphone']);
    return new Chromium(browser, options);
  }

  /** A page of the bench, ready to be called. */
  page(): Promise<Page> {
    return this.#page(this.#browser.defaultBrowserContext());
  }

  /** A page with nothing cached, in a context of its own. */
  async freshPage(): Promise<{ readonly page: Page; readonly close: () => Promise<void> }> {
    const context = await this.#browser.createBrowserContext();
    return { page: await this.#page(context), close: () => context.close() };
  }

  version(): Promise<string> {
    return this.#browser.version();
  }

  stop(): Promise<void> {
    return this.#browser.close();
  }

  async #page(context: BrowserContext): Promise<Page> {
    const page = await context.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') console.error('page:', message.text());
    });
    page.on('pageerror', (error) => {
      console.error('page:', String(error));
    });
    await page.goto(this.#options.origin);
    await page.waitForFunction((ready) => ready in window, {}, this.#options.ready);
    return page;
  }
}
