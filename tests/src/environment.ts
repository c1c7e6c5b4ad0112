/** Where programs and tools are. `cargo xtask` sets the variables; the defaults serve a developer who runs one test. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

/** Folder of the built page. */
export const WEB_DIST = join(ROOT, 'web/dist');

/** Folder of the bindings and the compiled core. */
export const WASM_DIR = process.env['SHOAL_WASM_DIR'] ?? join(ROOT, 'worker-js/wasm');

/** Folder of the example programs of `crates/transport`, and of their bindings for the browser. */
export const TRANSPORT_DIR = process.env['SHOAL_TRANSPORT_DIR'] ?? join(ROOT, 'dist/transport');

export const CHROME = process.env['CHROME'] ?? '/usr/bin/chromium';

export const PYTHON = process.env['SHOAL_PYTHON'] ?? 'python3';

/** A program of ours, by name. */
export function program(name: 'shoal' | 'shoal-relay'): string {
  const path = join(process.env['SHOAL_BIN_DIR'] ?? join(ROOT, 'dist/bin'), name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`cargo xtask test e2e\`, or set SHOAL_BIN_DIR`);
  return path;
}
