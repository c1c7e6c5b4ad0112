/**
 * Workers that misbehave, from builds with the feature `cheat`, which no volunteer gets. They are built when the first
 * test needs them: the native one into the shared target folder, the tab's into this package's output.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import type { Browser } from 'playwright-core';
import { Tab } from './browser.ts';
import { ROOT, WEB_DIST } from './environment.ts';

const run = promisify(execFile);

/** Names of `shoal_node::cheat::Cheat`. */
export const CHEATS = ['zeros', 'flipped-sign', 'one-entry-off', 'replayed-result', 'copied-commitment'] as const;

const OUTPUT = join(ROOT, 'tests/output');

/** Cargo prints a line of JSON for every artefact. */
const MAX_CARGO_OUTPUT = 64 * 1024 * 1024;

let native: Promise<string> | undefined;
let site: Promise<string> | undefined;

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

/** The page for volunteers with the cheating core in the place of the honest one. */
export function cheatingSite(): Promise<string> {
  site ??= buildSite();
  return site;
}

/** A tab of the cheating site, told what to do. */
export async function cheatingTab(browser: Browser, link: string, kind: (typeof CHEATS)[number]): Promise<Tab> {
  const tab = await Tab.open(browser, link);
  await tab.page.evaluate((cheat) => {
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

async function buildSite(): Promise<string> {
  const wasm = join(OUTPUT, 'wasm-cheat');
  await run('cargo', ['xtask', 'web', '--features', 'cheat', '--out', wasm], { cwd: ROOT, maxBuffer: MAX_CARGO_OUTPUT });
  if (!existsSync(join(wasm, 'shoal_wasm.js'))) throw new Error(`cargo xtask web wrote no bindings to ${wasm}`);
  const folder = join(OUTPUT, 'web-cheat');
  rmSync(folder, { recursive: true, force: true });
  cpSync(WEB_DIST, folder, { recursive: true });
  const assets = join(folder, 'assets');
  const script = readdirSync(assets).find((name) => /^worker-.*\.js$/.test(name));
  if (script === undefined) throw new Error(`the page in ${WEB_DIST} has no worker script`);
  await build({
    bundle: true,
    format: 'esm',
    target: 'es2023',
    outfile: join(assets, script),
    allowOverwrite: true,
    logLevel: 'warning',
    entryPoints: [join(ROOT, 'worker-js/src/internal/worker.ts')],
    alias: { '#wasm': join(wasm, 'shoal_wasm.js') },
  });
  // Where the bindings look for it: beside the script that holds them.
  copyFileSync(join(wasm, 'shoal_wasm_bg.wasm'), join(assets, 'shoal_wasm_bg.wasm'));
  return folder;
}
