import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

/** During development the page asks a relay that runs beside it. */
const relay = process.env['SHOAL_RELAY_URL'] ?? 'http://127.0.0.1:7040';

export default defineConfig({
  plugins: [svelte()],
  build: { target: 'es2023', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  worker: { format: 'es' },
  server: { proxy: { '/v1': relay } },
});
