// Runs forge on npm's solc. `test` runs every test and compares the gas of the measured calls with the committed
// snapshots/; `snapshot` writes them anew; anything else is handed to forge as it is.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { root } from './settings.mjs';

const require = createRequire(import.meta.url);
const forge = join(dirname(require.resolve('@foundry-rs/forge/package.json')), 'bin.mjs');

const [command, ...rest] = process.argv.slice(2);
const openzeppelin = dirname(dirname(require.resolve('@openzeppelin/contracts/package.json')));
const compiler = [
  ...['--use', join(root, 'scripts', 'solc.mjs')],
  // An absolute path: forge names the files of one package in two ways when it is reached through `..`.
  ...['--remappings', `@openzeppelin/=${openzeppelin}/`],
];
const GAS = '^test_gas';
const commands = {
  // Two runs: a changed gas figure would otherwise be all that forge reports.
  test: [
    ['test', ...compiler, '--no-match-test', GAS, ...rest],
    ['test', ...compiler, '--match-test', GAS, '--gas-snapshot-check', 'true'],
  ],
  snapshot: [['test', ...compiler, '--match-test', GAS, ...rest]],
};

for (const args of commands[command] ?? [[command, ...rest].filter(Boolean)]) {
  const run = spawnSync(process.execPath, [forge, ...args], {
    cwd: root,
    stdio: 'inherit',
    // The launcher goes by the npm package that runs it unless it is told which tool is meant.
    env: { ...process.env, TARGET_TOOL: 'forge' },
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
