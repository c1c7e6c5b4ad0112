/** A page of ours in Chromium or Firefox, behind the little that both drivers have in common. */
import { accessSync, constants } from 'node:fs';
import { createSocket } from 'node:dgram';
import { delimiter, join } from 'node:path';
import { launch } from 'puppeteer-core';
import type { Browser as Chromium } from 'playwright-core';
import { startBrowser } from '../browser.ts';
import type { Connected, PageCall, Version } from './worker-messages.ts';

/** The site's scripts are a few megabytes from loopback. */
const LOAD_LIMIT_MS = 30_000;

export interface TestPage extends AsyncDisposable {
  /** Calls a global function of the page and returns what it resolves to; what it throws is thrown here. */
  call(name: string, ...args: readonly unknown[]): Promise<unknown>;
  /** The text of the first element that a CSS selector finds. */
  text(selector: string): Promise<string | null>;
}

/** Opens `url` in a browser of its own, with more `flags` than usual. */
export async function chromiumPage(url: string, flags: readonly string[] = []): Promise<TestPage> {
  const browser = await startBrowser(flags);
  try {
    const context = await browser.newContext();
    // Only for the test: browsers otherwise hide the loopback address from ICE.
    await context.grantPermissions(['microphone'], { origin: new URL(url).origin });
    const page = await context.newPage();
    await page.goto(url, { timeout: LOAD_LIMIT_MS });
    return {
      call: (name, ...args) => page.evaluate(callGlobal, { name, args }),
      text: (selector) => page.evaluate(textOf, selector),
      [Symbol.asyncDispose]: () => close(browser),
    };
  } catch (error) {
    await close(browser);
    throw error;
  }
}

/** The same in Firefox. */
export async function firefoxPage(executable: string, url: string): Promise<TestPage> {
  const browser = await launch({ browser: 'firefox', executablePath: executable, headless: true });
  try {
    const page = await browser.newPage();
    await page.goto(url, { timeout: LOAD_LIMIT_MS });
    return {
      call: (name, ...args) => page.evaluate(callGlobal, { name, args }),
      text: (selector) => page.evaluate(textOf, selector),
      [Symbol.asyncDispose]: () => browser.close(),
    };
  } catch (error) {
    await browser.close();
    throw error;
  }
}

/** Makes the worker number `peer` of `oursSite` do something. */
export function ask(page: TestPage, peer: number, call: PageCall): Promise<unknown> {
  return page.call('ask', peer, call);
}

/** Connects that worker, by any version unless one is named. */
export async function connect(page: TestPage, peer: number, address: string, version: Version = 0): Promise<Connected> {
  return (await ask(page, peer, { do: 'connect', address, version })) as Connected;
}

/** Where Firefox is: what `FIREFOX` names (nothing, where the set-up found none), else on PATH. */
export function findFirefox(): string | null {
  const named = process.env['FIREFOX'];
  if (named !== undefined) return named === '' ? null : named;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const candidates = ['firefox-esr', 'firefox'].flatMap((name) => folders.map((folder) => join(folder, name)));
  return candidates.find(isExecutable) ?? null;
}

/** The address that the default route leaves from, `null` without one. Connecting a UDP socket sends nothing. */
export function outwardAddress(): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => socket.close(() => resolve(null)));
    // Of the documentation range, so that nobody is there.
    socket.connect(9, '198.51.100.1', () => {
      const { address } = socket.address();
      socket.close(() => resolve(address));
    });
  });
}

/** Runs in the page. */
function callGlobal({ name, args }: { readonly name: string; readonly args: readonly unknown[] }): unknown {
  const found = (globalThis as unknown as Record<string, unknown>)[name];
  if (typeof found !== 'function') throw new Error(`the page has no ${name}`);
  return found(...args);
}

/** Runs in the page. */
function textOf(selector: string): string | null {
  return document.querySelector(selector)?.textContent ?? null;
}

async function close(browser: Chromium): Promise<void> {
  await browser.close();
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
