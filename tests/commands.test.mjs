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
import { capture } from '../tools/lib/toolchain.mjs';

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

test('a build says how far it is, and a failure shows what cargo said', async () => {
  const script = 'printf "   Compiling syn v2\\n    Building [=>      ] 93/187: syn, serde\\r   Compiling serde v1\\n" >&2; exit 1';
  const seen = [];
  await assert.rejects(capture('sh', ['-c', script], {}, (line) => seen.push(line)), /failed \(exit code 1\)/);
  assert.deepEqual(seen, ['   Compiling syn v2', '93 of 187 crates', '93 of 187 crates: Compiling serde v1']);
  const { stdout } = await run('sh', ['-c', 'echo $CARGO_TERM_PROGRESS_WHEN']);
  assert.equal(stdout.trim(), '');
  assert.equal((await capture('sh', ['-c', 'echo $CARGO_TERM_PROGRESS_WHEN'], {}, () => {})).trim(), 'always');
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
