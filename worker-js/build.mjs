/**
 * Bundles the package: the entry with its lazy half, and a worker script for each build of the core with its bindings.
 * The modules themselves are copied beside them, where the bindings look for them.
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
/** Worker scripts with their bindings: for every engine, and for those with relaxed SIMD. */
const WORKERS = { worker: 'shoal_wasm', 'worker-relaxed': 'shoal_wasm_relaxed' };

const moduleOf = (bindings) => `${bindings}_bg.wasm`;
for (const bindings of Object.values(WORKERS)) {
  await stat(join(wasm, moduleOf(bindings))).catch(() => {
    console.error(`${join(wasm, moduleOf(bindings))} is missing: run \`cargo xtask web\``);
    process.exit(1);
  });
}
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
for (const [out, bindings] of Object.entries(WORKERS)) {
  await build({
    ...common,
    entryPoints: [{ in: 'src/internal/worker.ts', out }],
    alias: { '#wasm': join(wasm, `${bindings}.js`) },
  });
  await copyFile(join(wasm, moduleOf(bindings)), join(dist, moduleOf(bindings)));
}

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const types = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], { cwd: here, stdio: 'inherit' });
if (types.status !== 0) process.exit(types.status ?? 1);
