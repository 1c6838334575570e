// Promises: the contracts under contracts/ compiled by the published compiler, once per change of their text.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { hashOf, readStamp, withLock, writeStamp } from './once.mjs';
import { memory, nodeModules, root } from './paths.mjs';
import { Stop, step } from './say.mjs';

const require = createRequire(import.meta.url);
const folder = join(root, 'contracts');
const SETTINGS = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
};

/** @typedef {{abi: import('viem').Abi, bytecode: `0x${string}`}} Contract */

/** Every contract by its name. @returns {Promise<Record<string, Contract>>} */
export async function compileContracts() {
  const names = readdirSync(folder).filter((name) => name.endsWith('.sol'));
  const sources = Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(folder, name), 'utf8') }]));
  const versions = ['solc', '@openzeppelin/contracts'].map((name) => require(`${name}/package.json`).version);
  const key = hashOf(JSON.stringify([sources, SETTINGS, versions]));
  const cache = join(memory, 'contracts.json');
  const cached = () => {
    const stamp = readStamp(cache);
    const { key: of, contracts } = stamp ? JSON.parse(stamp) : {};
    return of === key ? contracts : undefined;
  };
  return (
    cached() ??
    withLock('contracts', async () => {
      const contracts = cached() ?? (await step('Compiling the contracts', async () => compile(sources)));
      writeStamp(cache, JSON.stringify({ key, contracts }));
      return contracts;
    })
  );
}

function compile(sources) {
  const input = JSON.stringify({ language: 'Solidity', sources, settings: SETTINGS });
  const readImport = (path) => ({ contents: readFileSync(join(nodeModules, path), 'utf8') });
  const output = JSON.parse(require('solc').compile(input, { import: readImport }));
  const errors = (output.errors ?? []).filter(({ severity }) => severity === 'error');
  if (errors.length) throw new Stop(errors.map(({ formattedMessage }) => formattedMessage).join('\n'));
  const own = Object.keys(sources).flatMap((file) => Object.entries(output.contracts[file] ?? {}));
  return Object.fromEntries(own.map(([name, { abi, evm }]) => [name, { abi, bytecode: `0x${evm.bytecode.object}` }]));
}
