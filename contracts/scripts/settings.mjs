// How the contracts are compiled, in one place for the committed artifacts; foundry.toml repeats it for forge.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Contracts that are deployed: each gets one artifact. */
export const contracts = ['ShoalToken', 'RewardDistributor'];

// Without metadata the bytecode depends on the sources' meaning alone, not on comments or paths.
export const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: 'cancun',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};

const require = createRequire(import.meta.url);

/** Reads an import such as `@openzeppelin/contracts/…` from the installed packages, wherever npm hoisted them to. */
export function readImport(path) {
  try {
    return { contents: readFileSync(require.resolve(path), 'utf8') };
  } catch (error) {
    return { error: `${path}: ${error.message}` };
  }
}
