// The local world, as a new user meets it: `npm start` and `npm run agent`.
//
//  1. Two worlds start side by side, each in a folder and with settings of its own, and write down where everything is.
//  2. An agent buys in the first: it shows prices and a receipt, and the backend lets it in. The chain shows the transfer.
//  3. It buys again under the same request id: the same grant, and no second transfer.
//  4. A second start in the same folder, and a purchase where nothing runs, are told so in one sentence.
//  5. On Ctrl-C everything that the first has started is gone; the second goes on.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createPublicClient, http, parseAbi } from 'viem';
import { root } from '../tools/lib/paths.mjs';
import { poll } from './support/poll.mjs';

const folder = mkdtempSync(join(tmpdir(), 'key0-start-'));
const places = ['one', 'two'].map((name) => join(folder, name));
const running = [];
const abi = parseAbi(['function balanceOf(address) view returns (uint256)']);

/** Runs one of the commands of package.json. */
function run(command, ...options) {
  const { npm_lifecycle_event: _, ...env } = process.env;
  const child = spawn(process.execPath, ['tools/run.mjs', command, ...options], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => (said.out += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (said.err += text));
  const ended = new Promise((resolve) => child.on('close', resolve));
  return { child, said, ended };
}

/** `npm start` on free ports, until its world is there. */
async function start(dir, ...options) {
  const ports = ['--port', '--rpc-port', '--backend-port'].flatMap((flag) => [flag, '0']);
  const tool = run('start', '--dir', dir, ...ports, '--buyers', '1', '--block-time', '0', ...options);
  running.push(tool);
  const file = join(dir, 'world.json');
  await poll(() => tool.child.exitCode !== null || tool.said.err.includes('key0 is ready'), `a world in ${dir}: ${tool.said.err}`, 60_000);
  assert.equal(tool.child.exitCode, null, tool.said.err);
  return { ...tool, file, ...JSON.parse(readFileSync(file, 'utf8')) };
}

const balance = ({ rpcUrl, usdc }, address) =>
  createPublicClient({ transport: http(rpcUrl) }).readContract({ address: usdc, abi, functionName: 'balanceOf', args: [address] });

const isGone = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].startsWith('Z');
  } catch {
    return true;
  }
};

let one;
let two;
before(async () => {
  [one, two] = await Promise.all([
    start(places[0], '--var', 'AGENT_NAME=First', '--var', 'CHALLENGE_TTL_SECONDS=60'),
    start(places[1], '--var', 'AGENT_NAME=Second'),
  ]);
});
after(async () => {
  for (const { child } of running) child.kill('SIGTERM');
  await Promise.all(running.map(({ ended }) => ended));
  rmSync(folder, { recursive: true, force: true });
});

test('two worlds run side by side, each with its own settings', async () => {
  for (const [world, name] of [[one, 'First'], [two, 'Second']]) {
    assert.equal((await (await fetch(`${world.url}/discover`)).json()).agent, name);
    assert.match(world.said.err, new RegExp(`npm run agent -- --dir ${join(folder, name === 'First' ? 'one' : 'two')}`));
    for (const pid of Object.values(world.pids)) assert.equal(isGone(pid), false);
  }
  const offer = await fetch(`${one.url}/x402/access`, { method: 'POST', body: '{"planId":"basic"}' });
  const seconds = (Date.parse((await offer.json()).expiresAt) - Date.now()) / 1000;
  assert.ok(seconds > 55 && seconds <= 120, `an offer of ${seconds} seconds`);
});

test('an agent buys, is let in by the backend, and asks again without paying again', async () => {
  const options = ['--dir', places[0], '--request', '41fca0bb-55b6-425f-82a2-b8a4ebd4ca15'];
  const first = run('agent', ...options);
  assert.equal(await first.ended, 0, first.said.err);
  assert.match(first.said.out, /^First at http/);
  assert.match(first.said.out, /pro-monthly +\$150\.00/);
  assert.match(first.said.out, /paid in transaction 0x[0-9a-f]{64}/);
  assert.match(first.said.out, /200 OK/);
  assert.equal(await balance(one, one.seller.address), 15_000n);
  const [transaction] = first.said.out.match(/0x[0-9a-f]{64}/);

  const again = run('agent', ...options);
  assert.equal(await again.ended, 0, again.said.err);
  assert.ok(again.said.out.includes(transaction), again.said.out);
  assert.equal(await balance(one, one.seller.address), 15_000n);
  assert.equal(await balance(two, two.seller.address), 0n);
});

test('what cannot work is one sentence', async () => {
  const sentences = [
    [run('start', '--dir', places[0]), /^A world already runs from .*: stop it, or choose another folder with --dir\.$/],
    [run('agent', '--dir', places[0], '--plan', 'pro-monthly'), /^"pro-monthly" costs \$150\.00, more than the limit of \$1\. Raise it with --max 150$/],
    [run('agent', '--dir', join(folder, 'none')), /^No local world runs from .*: start one with "npm start -- --dir .*", or give --url and AGENT_PRIVATE_KEY\.$/],
    [run('start', '--dir', join(folder, 'none'), '--port', '99999'), /^--port wants a port number from 0 to 65535, not "99999"\.$/],
  ];
  for (const [{ ended, said }, sentence] of sentences) {
    assert.equal(await ended, 1, said.err);
    assert.match(said.err.trim(), sentence);
  }
});

test('Ctrl-C stops all of one world, and nothing of the other', async () => {
  one.child.kill('SIGINT');
  assert.equal(await one.ended, 0);
  for (const pid of Object.values(one.pids)) assert.equal(isGone(pid), true);
  assert.equal(existsSync(one.file), false);
  assert.equal((await fetch(`${two.url}/health`)).status, 200);
});
