/**
 * How much of each subject a tab downloads, and how long a new worker takes to its first product: cold, with nothing in the
 * browser's caches, and warm, again on the same page. An empty worker's time is taken off.
 */
import type { Page } from 'puppeteer-core';
import type { SubjectName } from './browser/protocol.ts';
import type { Chromium } from '../chromium.ts';
import type { Report } from './report.ts';
import type { Site } from './site.ts';
import { EMPTY, STARTS } from './subjects.ts';

/** The browser keeps compiled code of what it has seen before; so the start that counts as warm is a later one. */
const STARTS_BEFORE_WARM = 2;

export async function measureStarts(
  browser: Chromium,
  site: Site,
  subjects: readonly SubjectName[],
  rounds: number,
  report: Report,
  say: (text: string) => void,
): Promise<void> {
  const empty = { cold: [] as number[], warm: [] as number[] };
  const starting = STARTS.filter(({ subject }) => subject === EMPTY || subjects.includes(subject));
  for (let round = 0; round < rounds; round += 1) {
    for (const { subject, script } of starting) {
      const { page, close } = await browser.freshPage();
      try {
        await site.takeRequested();
        const cold = await start(page, script);
        const bytes = await site.takeRequested();
        for (let time = 0; time < STARTS_BEFORE_WARM; time += 1) await start(page, script);
        const warm = await start(page, script);
        if (subject === EMPTY) {
          empty.cold.push(cold);
          empty.warm.push(warm);
          continue;
        }
        const milliseconds = (seconds: number, without: number | undefined): number => 1000 * (seconds - (without ?? 0));
        report.add('start, cold', subject, round, milliseconds(cold, empty.cold[round]), 'ms');
        report.add('start, warm', subject, round, milliseconds(warm, empty.warm[round]), 'ms');
        report.add('download, gzip', subject, round, bytes / 1000, 'kB');
      } catch (error) {
        report.fail('start', subject, error);
      } finally {
        await close();
      }
    }
  }
  say('starts measured');
}

function start(page: Page, script: string): Promise<number> {
  return page.evaluate((script) => window.computeBench?.start(script) ?? 0, `/${script}.js`);
}
