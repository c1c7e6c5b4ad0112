// Compiles the deployed contracts with npm's solc and writes their ABI and bytecode to artifacts/, which are committed
// so that building the Rust crates needs no Node. With --check it writes nothing and fails when one is stale.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import solc from 'solc';

import { contracts, readImport, root, settings } from './settings.mjs';

const check = process.argv.includes('--check');
const sources = Object.fromEntries(
  contracts.map((name) => [`src/${name}.sol`, { content: readFileSync(join(root, 'src', `${name}.sol`), 'utf8') }]),
);
const input = {
  language: 'Solidity',
  sources,
  settings: { ...settings, outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
};

const findImport = (path) =>
  path.startsWith('src/') ? { contents: readFileSync(join(root, path), 'utf8') } : readImport(path);
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: findImport }));

const complaints = output.errors ?? [];
for (const complaint of complaints) console.error(complaint.formattedMessage);
if (complaints.length > 0) process.exit(1);

const stale = [];
mkdirSync(join(root, 'artifacts'), { recursive: true });
for (const name of contracts) {
  const { abi, evm } = output.contracts[`src/${name}.sol`][name];
  const artifact = { contractName: name, abi, bytecode: `0x${evm.bytecode.object}` };
  const text = `${JSON.stringify(artifact, null, 2)}\n`;
  const path = join(root, 'artifacts', `${name}.json`);
  if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
  stale.push(name);
  if (!check) writeFileSync(path, text);
}

if (check && stale.length > 0) {
  console.error(`stale artifacts: ${stale.join(', ')}; run \`npm run build --workspace contracts\``);
  process.exit(1);
}
console.log(`${contracts.length} artifacts, ${stale.length} ${check ? 'stale' : 'written'}`);
