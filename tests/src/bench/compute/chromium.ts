/** The browser of the bench: one Chromium, whose contexts have each a cache of their own. */
import { launch, type Browser, type BrowserContext, type Page } from 'puppeteer-core';
import { chromiumFlags } from '../../browser.ts';
import { CHROME } from '../../environment.ts';

export class Chromium {
  readonly #browser: Browser;
  readonly #origin: string;

  private constructor(browser: Browser, origin: string) {
    this.#browser = browser;
    this.#origin = origin;
  }

  static async start(origin: string): Promise<Chromium> {
    // The bench collects garbage between turns, which V8 would take for a sign that code of earlier turns is not needed.
    const args = [...chromiumFlags(), '--js-flags=--expose-gc --no-flush-bytecode'];
    // A first run of 1024³ in the slowest subject is a call of many seconds.
    return new Chromium(await launch({ executablePath: CHROME, headless: true, networkEnabled: false, protocolTimeout: 0, args }), origin);
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

  async version(): Promise<string> {
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
    await page.goto(this.#origin);
    await page.waitForFunction(() => window.computeBench !== undefined);
    return page;
  }
}
