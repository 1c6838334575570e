// The local world, as a new user meets it: `npm start` and `npm run agent`.
//
//  1. Two worlds start side by side, each in a folder and with settings of its own, and write down where everything is.
//  2. An agent buys in the first, over HTTP, over A2A and with MCP tools: it shows prices and a receipt, and the backend lets it in. The
//     chain shows the transfer. Over A2A it shows the conversation, without token and signature.
//  3. It buys again under the same request id: the same grant, and no second transfer.
//  4. A second start in the same folder, and a purchase where nothing runs, are told so in one sentence.
//  5. On Ctrl-C everything that the first has started is gone; the second goes on.
//  6. A world that cannot sell says what is wrong, and does not call itself ready.
//  7. The agent is a package of its own: it imports nothing that its package.json does not bring, in the tested versions.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
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
    start(places[1], '--var', 'AGENT_NAME=Second', '--var', 'A2A_ENABLED=false', '--var', 'MCP_ENABLED=false'),
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

// Each way, its request, and what the seller has earned by then.
const ways = [
  ['http', '41fca0bb-55b6-425f-82a2-b8a4ebd4ca15', 15_000n],
  ['a2a', '0c8b2a5e-3f0f-4a55-9d0e-6f1f5e1f9b11', 30_000n],
  ['mcp', '7d1c5a0e-2b7b-4b0b-8a3e-5b8f0c9d4e22', 45_000n],
  ['mpp', '5f0e4b8a-6c1d-4e53-9d27-2a9b7c8d1f33', 60_000n],
];
for (const [via, request, earned] of ways) {
  test(`an agent buys via ${via}, is let in by the backend, and asks again without paying again`, async () => {
    const options = ['--dir', places[0], '--via', via, '--request', request];
    const first = run('agent', ...options);
    assert.equal(await first.ended, 0, first.said.err);
    assert.match(first.said.out, /^First at http/m);
    assert.match(first.said.out, /pro-monthly +\$150\.00/);
    assert.match(first.said.out, /paid in 0x[0-9a-f]{64}/);
    assert.match(first.said.out, /200 OK/);
    assert.equal(await balance(one, one.seller.address), earned);
    const [, transaction] = first.said.out.match(/paid in (0x[0-9a-f]{64})/);
    if (via === 'a2a') showsTheConversation(first.said.out, transaction);

    const again = run('agent', ...options);
    assert.equal(await again.ended, 0, again.said.err);
    assert.ok(again.said.out.includes(`paid in ${transaction}`), again.said.out);
    assert.equal(await balance(one, one.seller.address), earned);
    assert.equal(await balance(two, two.seller.address), 0n);
    for (const { out, err } of [first.said, again.said]) {
      assert.doesNotMatch(out + err, /eyJ[\w-]+\.[\w-]+\./, 'a token');
      assert.doesNotMatch(out + err, /[0-9a-f]{128}/, 'a signature');
    }
  });
}

function showsTheConversation(out, transaction) {
  assert.match(out, /^First speaks A2A 1\.0 at http/);
  const turns = ['agent → First', 'First → agent   completed', 'agent → First', 'First → agent   input-required, payment-required'];
  turns.push('agent → First   payment-submitted', 'First → agent   completed, payment-completed');
  assert.deepEqual(out.match(/^ {2}(agent → First|First → agent).*$/gm).map((line) => line.trim()), turns, out);
  assert.match(out, /price: \$0\.015 USDC on eip155:84532, to 0x[0-9a-fA-F]{40}\n/);
  assert.ok(out.includes(`receipt: transaction ${transaction} on eip155:84532`), out);
}

test('what cannot work is one sentence', async () => {
  const sentences = [
    [run('start', '--dir', places[0]), /^A world already runs from .*: stop it, or choose another folder with --dir\.$/],
    [run('agent', '--dir', places[0], '--plan', 'pro-monthly'), /^"pro-monthly" costs \$150\.00, more than the limit of \$1\. Raise it with --max 150$/],
    [run('agent', '--dir', join(folder, 'none')), /^No local world runs from .*: start one with "npm start -- --dir .*", or give --url and AGENT_PRIVATE_KEY\.$/],
    [run('agent', '--dir', places[0], '--via', 'a2a', '--plan', 'pro-monthly'), /^"pro-monthly" costs \$150\.00, more than the limit of \$1\. Raise it with --max 150$/],
    [run('agent', '--dir', places[1], '--via', 'a2a'), /^Second at http:.* has no A2A interface \(JSON-RPC, version 1\.0\)\. Without --via a2a the agent buys over HTTP\.$/],
    [run('agent', '--dir', places[1], '--via', 'mcp'), /^http:.* has no MCP server\. Without --via mcp the agent buys over HTTP\.$/],
    [run('agent', '--dir', places[0], '--via', 'fax'), /^--via must be http, a2a, mcp or mpp, not "fax"\.$/],
    [run('start', '--dir', join(folder, 'none'), '--port', '99999'), /^--port wants a port number from 0 to 65535, not "99999"\.$/],
  ];
  for (const [{ ended, said }, sentence] of sentences) {
    assert.equal(await ended, 1, said.err);
    assert.match(said.err.trim(), sentence);
  }
});

test('a world that cannot sell does not call itself ready', async () => {
  const dir = join(folder, 'broken');
  const ports = ['--port', '--rpc-port', '--backend-port'].flatMap((flag) => [flag, '0']);
  const tool = run('start', '--dir', dir, ...ports, '--buyers', '1', '--var', 'CHALLENGE_TTL_SECONDS=1h');
  running.push(tool);
  await poll(() => tool.child.exitCode !== null || tool.said.err.includes('Ctrl-C stops everything'), `a world in ${dir}: ${tool.said.err}`, 60_000);
  assert.match(tool.said.err, /key0 runs but cannot sell:\n {2}✗ CHALLENGE_TTL_SECONDS must be a whole number from 1 to 86400\n/);
  assert.doesNotMatch(tool.said.err, /ready|let an agent buy/);
});

test('Ctrl-C stops all of one world, and nothing of the other', async () => {
  one.child.kill('SIGINT');
  assert.equal(await one.ended, 0);
  for (const pid of Object.values(one.pids)) assert.equal(isGone(pid), true);
  assert.equal(existsSync(one.file), false);
  assert.equal((await fetch(`${two.url}/health`)).status, 200);
});

test('the agent is a package of its own, with the versions that are tested here', () => {
  const home = join(root, 'examples/agent');
  const about = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  // The client for --via mpp is installed by whoever wants it.
  const dependencies = { ...about.dependencies, ...about.peerDependencies };
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const [name, version] of Object.entries(dependencies)) assert.equal(version, devDependencies[name], name);

  const imported = new Set();
  for (const file of readdirSync(home).filter((name) => name.endsWith('.mjs'))) {
    for (const [, what] of readFileSync(join(home, file), 'utf8').matchAll(/(?:from|import) ?\(?'([^']+)'/g)) {
      if (what.startsWith('.')) assert.ok(/^\.\/[\w-]+\.mjs$/.test(what) && existsSync(join(home, what)), `${file} imports ${what}`);
      else if (!what.startsWith('node:')) imported.add(what.split('/').slice(0, what.startsWith('@') ? 2 : 1).join('/'));
    }
  }
  assert.deepEqual([...imported].sort(), Object.keys(dependencies).sort());
});
