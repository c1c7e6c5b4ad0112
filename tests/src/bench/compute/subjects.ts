/** Where each subject's code lies, and the script whose start is measured. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { SubjectName } from './browser/protocol.ts';

const require = createRequire(import.meta.url);

/** Files that subjects fetch by themselves: a folder of the site, and the folder that it shows. */
export function folders(tab: string, relaxed: string, peers: string | undefined): ReadonlyMap<string, string> {
  const served = new Map([
    ['ort', dirname(require.resolve('onnxruntime-web/wasm'))],
    ['tfjs', join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'wasm-out')],
    ['shoal', tab],
    ['shoal-relaxed', relaxed],
  ]);
  if (peers !== undefined) served.set('burn', join(peers, 'burn'));
  return served;
}

export const EMPTY = 'empty worker';

/** Subjects that start in a worker of their own, with their scripts. The empty worker is what all have in common. */
export const STARTS: readonly { readonly subject: SubjectName | typeof EMPTY; readonly script: string }[] = [
  { subject: EMPTY, script: 'start-empty' },
  { subject: 'shoal', script: 'start-shoal' },
  { subject: 'onnxruntime-web', script: 'start-ort' },
  { subject: 'tfjs-wasm', script: 'start-tfjs' },
  { subject: 'jax-js', script: 'start-jax' },
  { subject: 'burn', script: 'start-burn' },
];
