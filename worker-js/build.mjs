/**
 * Bundles the package: the entry with its lazy half, and the worker script with the bindings of the compiled core. The
 * module itself is copied beside them, where the bindings look for it.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
/** Another build of the core, for tests. */
const wasm = resolve(here, process.env['SHOAL_WASM_DIR'] ?? 'wasm');
const module = 'shoal_wasm_bg.wasm';

await stat(join(wasm, module)).catch(() => {
  console.error(`${join(wasm, module)} is missing: run \`cargo xtask web\``);
  process.exit(1);
});
await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

const common = {
  absWorkingDir: here,
  bundle: true,
  format: 'esm',
  target: 'es2023',
  platform: 'browser',
  outdir: 'dist',
  legalComments: 'none',
  sourcemap: true,
  logLevel: 'warning',
};
await build({
  ...common,
  entryPoints: [{ in: 'src/public/index.ts', out: 'index' }],
  splitting: true,
  // Beside the entry, because the lazy half names the worker script relative to itself.
  chunkNames: '[name]-[hash]',
});
await build({
  ...common,
  entryPoints: [{ in: 'src/internal/worker.ts', out: 'worker' }],
  alias: { '#wasm': join(wasm, 'shoal_wasm.js') },
});
await copyFile(join(wasm, module), join(dist, module));

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const types = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: here, stdio: 'inherit' });
if (types.status !== 0) process.exit(types.status ?? 1);
