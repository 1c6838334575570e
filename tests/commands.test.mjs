// The commands of package.json, as a new user sees them.
//
//  1. `npm run help` lists each of them, in 80 columns, and needs no packages.
//  2. Each tells its options with --help, in 80 columns.
//  3. `npm run wallet` makes a key: sentences at a terminal, JSON to programs, another one each time.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { privateKeyToAddress } from 'viem/accounts';
import { COMMANDS, help } from '../tools/lib/commands.mjs';
import { root } from '../tools/lib/paths.mjs';

const run = promisify(execFile);
const tool = async (name, ...args) => (await run(process.execPath, [join(root, COMMANDS[name]), ...args])).stdout;
const tooLong = (text) => text.split('\n').filter((line) => line.length > 80);
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

test('help lists every command', () => {
  const text = help();
  assert.deepEqual(tooLong(text), []);
  const listed = [...text.matchAll(/^ {2}npm (?:run )?(\w+) {2,}/gm)].map(([, name]) => name);
  assert.deepEqual(listed.toSorted(), Object.keys(scripts).filter((name) => name !== 'help').toSorted());
});

describe('--help', () => {
  for (const name of Object.keys(COMMANDS)) {
    test(`of ${name} fits 80 columns`, async () => {
      assert.equal(scripts[name], `node tools/run.mjs ${name}`);
      const text = await tool(name, '--help');
      assert.deepEqual(tooLong(text), []);
      assert.match(text, new RegExp(`npm (run )?${name}`));
    });
  }
});

test('wallet makes a key, another one each time', async () => {
  const wallets = await Promise.all([tool('wallet'), tool('wallet', '--json')]);
  const [one, two] = wallets.map((text) => JSON.parse(text));
  for (const { address, privateKey } of [one, two]) assert.equal(privateKeyToAddress(privateKey), address);
  assert.notEqual(one.privateKey, two.privateKey);

  const { stdout } = await run('script', ['-qec', `${process.execPath} ${join(root, COMMANDS.wallet)}`, '/dev/null'], { env: { ...process.env, NO_COLOR: '1' } });
  assert.deepEqual(tooLong(stdout.replaceAll('\r', '')), []);
  assert.match(stdout, /faucet\.circle\.com/);
  assert.match(stdout, /key +0x[0-9a-f]{64}/);
});
