#!/usr/bin/env node
// Speaks the two parts of solc's command line that forge uses, `--version` and `--standard-json`, on top of npm's solc,
// so that forge needs no compiler download. forge puts every source into the input; imports are never asked for.
import { readFileSync } from 'node:fs';
import solc from 'solc';

import { readImport } from './settings.mjs';

const args = process.argv.slice(2);
if (args.includes('--version')) {
  console.log('solc, the solidity compiler commandline interface');
  console.log(`Version: ${solc.version().replace('.Emscripten.clang', '.Linux.g++')}`);
} else if (args.includes('--standard-json')) {
  const STDIN = 0;
  process.stdout.write(solc.compile(readFileSync(STDIN, 'utf8'), { import: readImport }));
} else {
  console.error(`solc.mjs understands --version and --standard-json, not: ${args.join(' ')}`);
  process.exit(1);
}
