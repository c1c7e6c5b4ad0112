// Writes tests/vectors/merkle/trees.json: trees, leaves and proofs as OpenZeppelin's own JavaScript builds them, which
// crates/ledger and the contract must both reproduce. With --check it writes nothing and fails when the file differs.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StandardMerkleTree } from '@openzeppelin/merkle-tree';
import { keccak256 } from 'ethereum-cryptography/keccak.js';
import { bytesToHex } from 'ethereum-cryptography/utils.js';

import { root } from './settings.mjs';

const LEAF = ['bytes32', 'address', 'uint256'];
const FILE = join(root, '..', 'tests', 'vectors', 'merkle', 'trees.json');

/** Any bytes serve as a node id or an address here; SHA-256 of a label makes them reproducible. */
const bytes = (label, length) => createHash('sha256').update(label).digest().subarray(0, length);

function entry(nodeLabel, payoutLabel, cumulative) {
  const node = bytes(`node ${nodeLabel}`, 32);
  return {
    node: `0x${bytesToHex(node)}`,
    nodeHash: `0x${bytesToHex(keccak256(node))}`,
    payout: `0x${bytesToHex(bytes(`payout ${payoutLabel}`, 20))}`,
    cumulative: cumulative.toString(),
  };
}

function tree(name, entries) {
  const rows = entries.map((row) => [row.nodeHash, row.payout, row.cumulative]);
  const built = StandardMerkleTree.of(rows, LEAF);
  return {
    name,
    root: built.root,
    total: entries.reduce((sum, row) => sum + BigInt(row.cumulative), 0n).toString(),
    entries: entries.map((row, index) => ({ ...row, leaf: built.leafHash(rows[index]), proof: built.getProof(index) })),
  };
}

/** `size` different nodes; the amounts span everything from one base unit to many tokens. */
const many = (size) =>
  Array.from({ length: size }, (_, i) => entry(`${size}/${i}`, `${size}/${i}`, 7n ** BigInt(i % 30) + BigInt(i)));

const trees = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 13].map((size) => tree(`${size} nodes`, many(size))),
  tree('a node that moved to another payout address', [entry('a', 'old', 5n), entry('b', 'b', 7n), entry('a', 'new', 11n)]),
  tree('two nodes of one owner', [entry('a', 'owner', 5n), entry('b', 'owner', 5n)]),
  tree('the largest amount', [entry('a', 'a', 2n ** 128n - 1n)]),
];

const text = `${JSON.stringify({ source: '@openzeppelin/merkle-tree 1.0.8, StandardMerkleTree', trees }, null, 1)}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(FILE, text);
} else if (readFileSync(FILE, 'utf8') !== text) {
  console.error('tests/vectors/merkle/trees.json is stale; run `npm run vectors --workspace contracts`');
  process.exit(1);
}
console.log(`${trees.length} Merkle trees ${process.argv.includes('--check') ? 'match' : 'written'}`);
