/**
 * The browser of the bench: a Chromium that reports no network traffic to its driver. A driver that listens, as those of the
 * tests do, gets a copy of every WebSocket message, which makes a plain WebSocket four times slower than users have it.
 */
import { launch, type Browser, type Page } from 'puppeteer-core';
import { chromiumFlags } from '../../browser.ts';
import { CHROME } from '../../environment.ts';

export class Chromium {
  readonly #browser: Browser;
  readonly #origin: string;

  private constructor(browser: Browser, origin: string) {
    this.#browser = browser;
    this.#origin = origin;
  }

  /** Starts it for the pages of `origin`. */
  static async start(origin: string): Promise<Chromium> {
    const browser = await launch({ executablePath: CHROME, headless: true, networkEnabled: false, args: chromiumFlags() });
    // Browsers otherwise hide the loopback address from ICE.
    await browser.defaultBrowserContext().overridePermissions(origin, ['microphone']);
    return new Chromium(browser, origin);
  }

  /** A page of the bench, ready to be called. */
  async page(): Promise<Page> {
    const page = await this.#browser.newPage();
    page.on('console', (message) => {
      if (message.type() === 'error') console.error('page:', message.text());
    });
    page.on('pageerror', (error) => {
      console.error('page:', String(error));
    });
    await page.goto(this.#origin);
    await page.waitForFunction(() => window.bench !== undefined);
    return page;
  }

  stop(): Promise<void> {
    return this.#browser.close();
  }
}
