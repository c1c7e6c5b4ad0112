/**
 * Workers that misbehave, from builds with the feature `cheat`, which no volunteer gets. They are built when the first
 * test needs them: the native one into the shared target folder, the tab's into this package's output.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import type { Browser } from 'playwright-core';
import { Tab } from './browser.ts';
import { ROOT } from './environment.ts';

const run = promisify(execFile);

/** Names of `shoal_node::cheat::Cheat`. */
export const CHEATS = ['zeros', 'flipped-sign', 'one-entry-off', 'replayed-result', 'copied-commitment'] as const;

const OUTPUT = join(ROOT, 'tests/output');

/** Cargo prints a line of JSON for every artefact. */
const MAX_CARGO_OUTPUT = 64 * 1024 * 1024;

let native: Promise<string> | undefined;
let bindings: Promise<string> | undefined;

/** `shoal` with `shoal work --cheat`. */
export function cheatingProgram(): Promise<string> {
  native ??= buildNative();
  return native;
}

async function buildNative(): Promise<string> {
  const ready = process.env['SHOAL_CHEAT_PROGRAM'];
  if (ready !== undefined) return ready;
  const args = ['build', '-p', 'shoal', '--features', 'cheat', '--message-format=json'];
  const { stdout } = await run('cargo', args, { cwd: ROOT, env: cargoEnvironment(), maxBuffer: MAX_CARGO_OUTPUT });
  const built = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { target?: { name: string }; executable?: string | null })
    .find(({ target, executable }) => target?.name === 'shoal' && typeof executable === 'string');
  if (typeof built?.executable !== 'string') throw new Error('cargo built no program with the feature cheat');
  // Copied away, because the next build without the feature takes its place.
  mkdirSync(OUTPUT, { recursive: true });
  const copy = join(OUTPUT, 'shoal-cheat');
  copyFileSync(built.executable, copy);
  return copy;
}

/** As `xtask` calls Cargo: into the target folder that all checkouts share, without what an outer Cargo has set. */
function cargoEnvironment(): NodeJS.ProcessEnv {
  const { SHOAL_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  const cache = SHOAL_CACHE ?? (XDG_CACHE_HOME === undefined ? join(HOME ?? '', '.cache/shoal') : join(XDG_CACHE_HOME, 'shoal'));
  const inherited = Object.entries(process.env).filter(([name]) => !/^CARGO_(PKG|MANIFEST)_/.test(name));
  return { ...Object.fromEntries(inherited), CARGO_TARGET_DIR: join(cache, 'target'), CARGO_INCREMENTAL: '0' };
}

/** A tab that runs the cheating core: its worker script is replaced on the way, and told what to do. */
export async function cheatingTab(browser: Browser, link: string, kind: (typeof CHEATS)[number]): Promise<Tab> {
  bindings ??= buildBindings();
  const script = await bindings;
  const tab = await Tab.open(browser, link);
  const { page } = tab;
  await page.route(/\/assets\/worker-[^/]*\.js$/, (route) => route.fulfill({ path: join(script, 'worker.js') }));
  await page.route(/\/assets\/shoal_wasm_bg\.wasm$/, (route) =>
    route.fulfill({ body: readFileSync(join(script, 'shoal_wasm_bg.wasm')), contentType: 'application/wasm' }),
  );
  await page.evaluate((cheat) => {
    const post: (message: unknown, transfer: Transferable[]) => void = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message: { config?: object }, transfer: unknown) {
      const spoilt = message.config === undefined ? message : { ...message, config: { ...message.config, cheat } };
      post.call(this, spoilt, transfer as Transferable[]);
    };
  }, kind);
  await tab.start();
  await tab.connected();
  return tab;
}

async function buildBindings(): Promise<string> {
  const wasm = join(OUTPUT, 'wasm-cheat');
  await run('cargo', ['xtask', 'web', '--features', 'cheat', '--out', wasm], { cwd: ROOT, maxBuffer: MAX_CARGO_OUTPUT });
  if (!existsSync(join(wasm, 'shoal_wasm.js'))) throw new Error(`cargo xtask web wrote no bindings to ${wasm}`);
  const outdir = join(OUTPUT, 'worker-cheat');
  await build({
    bundle: true,
    format: 'esm',
    target: 'es2023',
    outdir,
    logLevel: 'warning',
    entryPoints: [{ in: join(ROOT, 'worker-js/src/internal/worker.ts'), out: 'worker' }],
    alias: { '#wasm': join(wasm, 'shoal_wasm.js') },
  });
  copyFileSync(join(wasm, 'shoal_wasm_bg.wasm'), join(outdir, 'shoal_wasm_bg.wasm'));
  return outdir;
}
