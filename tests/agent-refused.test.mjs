// The example agent, when a seller refuses its payment. The seller is real; what stands before it answers payments only.
//
//  1. The payment's purchase was delivered and is public by now: the agent sends it once, and says with which --request the
//     token is to be had. Sending the same payment again could lead nowhere.
//  2. The payment could not begin for now: the agent sends the same one again.
//  3. The offer is dearer than the price list, though within the limit: nothing is signed.
//  4. Via MCP, what stands before the seller fails, or answers nonsense: the agent never says that the payment did not count.
//  5. A wallet with too little: its address and where test USDC comes from are told; with --json the seller's error is on stdout.
//  6. --json prints the grant alone on stdout, --token the token alone, which the backend takes.
//  7. Without a key, and when the purchase is good but its endpoint does not answer: one sentence.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { useWorld } from './support/world.mjs';

const AGENT = fileURLToPath(new URL('../examples/agent/agent.mjs', import.meta.url));
const DELIVERED = '5a7f0c1e-7d34-4a8b-9b52-3d0a5c1f2b6e';
const run = promisify(execFile);
let counter;
const world = useWorld({}, async (ready) => {
  counter = await startCounter(ready.url);
});
after(() => counter.stop());

/**
 * Forwards all but payments, which are answered with `error`, as each door tells it, or with `raw`, whatever that is; each that
 * came is in `payments`. Of what is forwarded the text `shows` is shown as another one.
 */
async function startCounter(target) {
  const state = { payments: /** @type {string[]} */ ([]), error: /** @type {any} */ (undefined), status: 0, refusals: 0, raw: /** @type {string | undefined} */ (undefined), shows: /** @type {[string, string]} */ (['', '']) };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const send = (status, headers, text) => response.writeHead(status, headers).end(text);
    const { host: _, connection: __, 'content-length': ___, ...headers } = /** @type {any} */ (request.headers);
    const forward = async (text) => {
      const answer = await fetch(target + request.url, { method: request.method, headers, body: request.method === 'GET' ? undefined : text });
      // The seller names its own address; the agent is to come here.
      const [is, shown] = state.shows;
      const told = (await answer.text()).replaceAll(target, url);
      const words = is ? told.replaceAll(is, shown) : told;
      return { status: answer.status, headers: Object.fromEntries([...answer.headers].filter(([name]) => !['content-length', 'content-encoding', 'transfer-encoding'].includes(name))), words };
    };
    const call = /^\/(a2a|mcp)$/.test(request.url) && body ? JSON.parse(body) : undefined;
    const payment = headers['payment-signature'] ?? call?.params?.message?.metadata?.['x402.payment.payload'] ?? call?.params?._meta?.['x402/payment'];
    if (payment) state.payments.push(JSON.stringify(payment));
    if (!payment || state.payments.length > state.refusals) {
      const { status, headers: named, words } = await forward(body);
      return send(status, named, words);
    }
    if (state.raw !== undefined) return send(state.status, { 'content-type': 'application/json' }, state.raw.replace('"ID"', JSON.stringify(call?.id)));
    if (!call) return send(state.status, { 'content-type': 'application/json', 'retry-after': '1' }, JSON.stringify(state.error));
    if (request.url === '/mcp') {
      const result = { resultType: 'complete', isError: true, content: [{ type: 'text', text: JSON.stringify(state.error) }], structuredContent: state.error };
      return send(200, { 'content-type': 'application/json' }, JSON.stringify({ jsonrpc: '2.0', id: call.id, result }));
    }
    // The task is the seller's own; only what it says is another.
    const { words } = await forward(JSON.stringify({ jsonrpc: '2.0', id: call.id, method: 'GetTask', params: { id: call.params.message.taskId } }));
    const task = JSON.parse(words).result;
    task.status.message.parts = [{ text: state.error.message }, { data: state.error }];
    task.status.message.metadata = { 'x402.payment.status': 'payment-submitted', 'x402.payment.error': 'DUPLICATE_NONCE' };
    return send(200, { 'content-type': 'application/json' }, JSON.stringify({ jsonrpc: '2.0', id: call.id, result: { task } }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const url = `http://127.0.0.1:${port}`;
  return { url, state, stop: () => server.close() };
}

/** Runs the agent; whether it succeeded, and what it said. */
async function agent(buyer, ...options) {
  const env = { ...process.env, AGENT_PRIVATE_KEY: buyer.privateKey };
  const ended = run(process.execPath, [AGENT, '--dir', 'none', ...options], { env });
  return ended.then(({ stdout, stderr }) => ({ ok: true, stdout, stderr }), ({ code, stdout, stderr }) => ({ ok: false, code, stdout, stderr }));
}

for (const via of ['http', 'a2a', 'mcp']) {
  describe(`an agent that buys via ${via}`, () => {
    test('sends a payment that is public by now once, and tells the id under which the token is to be had', async () => {
      const details = { requestId: DELIVERED };
      Object.assign(counter.state, { payments: [], refusals: 9, status: 409, error: { type: 'Error', code: 'TX_ALREADY_REDEEMED', message: 'It is public.', details } });
      const said = await agent(await world.newBuyer(), '--url', counter.url, '--via', via);
      assert.deepEqual([said.ok, said.code], [false, 1], said.stdout);
      assert.equal(counter.state.payments.length, 1);
      assert.match(said.stderr, new RegExp(`--request ${DELIVERED}`));
      assert.match(said.stderr, /TX_ALREADY_REDEEMED/);
    });

    test('sends the same payment again when it could not begin', async () => {
      const details = { reason: 'gas_wallet_empty', retryAfterSeconds: 1 };
      Object.assign(counter.state, { payments: [], refusals: 1, status: 503, error: { type: 'Error', code: 'TEMPORARILY_UNAVAILABLE', message: 'Not now.', details } });
      const said = await agent(await world.newBuyer(), '--url', counter.url, '--via', via);
      assert.ok(said.ok, said.stderr);
      const [first, ...again] = counter.state.payments;
      assert.deepEqual(again, [first]);
      // It says why, and not that a payment is being settled.
      assert.match(said.stdout, /Not now\./);
      assert.doesNotMatch(said.stdout, /being settled/);
    });

    test('signs nothing that is dearer than the price list says, also when it may pay as much', async () => {
      Object.assign(counter.state, { payments: [], refusals: 0, shows: ['$0.015', '$0.010'] });
      const said = await agent(await world.newBuyer(), '--url', counter.url, '--via', via, '--plan', 'basic');
      counter.state.shows = ['', ''];
      assert.match(said.stderr, /^The offer is not what the price list says.*nothing was signed\.$/m);
      assert.deepEqual([said.code, counter.state.payments], [1, []]);
    });
  });
}

describe('an agent whose payment via MCP is answered with nonsense', () => {
  const answered = async (status, raw, refusals) => {
    Object.assign(counter.state, { payments: [], refusals, status, raw });
    const said = await agent(await world.newBuyer(), '--url', counter.url, '--via', 'mcp');
    counter.state.raw = undefined;
    return said;
  };

  for (const [name, raw] of Object.entries({
    'a page': '<html>',
    'an error of the protocol': '{"jsonrpc":"2.0","id":"ID","error":{"code":-32603,"message":"no"}}',
    'a result without an answer': '{"jsonrpc":"2.0","id":"ID","result":{"resultType":"complete","content":[]}}',
  })) {
    test(`${name}: says that the outcome is not known, and how to ask for it`, async () => {
      const said = await answered(200, raw, 9);
      assert.match(said.stderr, /is not known\. Ask again with --request [0-9a-f-]{36} --plan basic --via mcp: it is charged once\.$/m);
      assert.deepEqual([said.code, counter.state.payments.length], [1, 1]);
    });
  }

  test('a failing proxy: sends the same payment again', async () => {
    const said = await answered(502, 'bad gateway', 1);
    assert.ok(said.ok, said.stderr);
    const [first, ...again] = counter.state.payments;
    assert.deepEqual(again, [first]);
  });
});

describe('a wallet with too little is named, with where test USDC comes from', () => {
  for (const via of ['http', 'a2a', 'mcp']) {
    test(`via ${via}`, async () => {
      const poor = await world.newBuyer(0n);
      const said = await agent(poor, '--url', world.url, '--via', via, '--json');
      assert.equal(said.code, 1);
      assert.match(said.stderr, /USDC balance is below the price\. Nothing was charged\./);
      assert.match(said.stderr, new RegExp(`The wallet is ${poor.address}\\.`, 'i'));
      assert.match(said.stderr, /https:\/\/faucet\.circle\.com/);
      assert.equal(JSON.parse(said.stdout).code, 'PAYMENT_FAILED');
    });
  }

  test('from the keys of the local world, which no faucet reaches', async () => {
    const dir = join(world.state, 'local');
    mkdirSync(dir);
    writeFileSync(join(dir, 'world.json'), JSON.stringify({ url: world.url, buyers: [] }));
    const said = await agent(await world.newBuyer(0n), '--dir', dir);
    assert.match(said.stderr, /runs on your machine only, and a faucet does not reach it: .*world\.json has the keys of funded\s+wallets/);
    assert.doesNotMatch(said.stderr, /faucet\.circle/);
  });
});

describe('what a program reads', () => {
  for (const via of ['http', 'a2a', 'mcp']) {
    test(`via ${via}: --json prints the grant and nothing else`, async () => {
      const said = await agent(await world.newBuyer(), '--url', world.url, '--via', via, '--json');
      const grant = JSON.parse(said.stdout);
      assert.equal(grant.planId, 'basic');
      assert.match(said.stderr, new RegExp(`paid in ${grant.txHash}`));
      assert.ok(!said.stderr.includes(grant.accessToken));
    });
  }

  test('--token prints the token and nothing else, and the backend takes it', async () => {
    const said = await agent(await world.newBuyer(), '--url', world.url, '--token');
    const token = said.stdout.trim();
    assert.match(token, /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/);
    const answer = await fetch(`${world.backend.url}/api/default`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
  });
});

test('what the agent cannot do is one sentence', async () => {
  const { privateKey: _, ...noKey } = await world.newBuyer();
  assert.match((await agent({ ...noKey, privateKey: '' }, '--url', world.url)).stderr, /^Set AGENT_PRIVATE_KEY to the key of the wallet that pays: 0x and 64 hex digits\.$/m);
  assert.match((await agent(await world.newBuyer(), '--url', world.url, '--json', '--token')).stderr, /^Choose --json or --token, not both\.$/m);
  await world.restartWorker({ KEY0_RESOURCE_ENDPOINT: 'http://127.0.0.1:9/{resourceId}' });
  const said = await agent(await world.newBuyer(), '--url', world.url);
  assert.match(said.stderr, /^Nothing answers there \(.*\)\. The purchase is good: --request [0-9a-f-]{36} --plan basic --token prints the token again\.$/m);
});
