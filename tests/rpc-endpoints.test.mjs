// Several RPC endpoints, of which the first is of no use.
//
//  1. It is dead, never answers, stops in the middle of an answer, answers 503, garbage or without end, is on another chain,
//     on another chain and lying about its id, or without the token: a purchase completes over the second one. The log tells
//     why the first is skipped.
//  2. From then on it is left alone: the next purchase does not wait for it. No transaction was handed to another chain.
//  3. /health tells how each endpoint is, without their paths.
//  4. It reads well and takes no transactions, or loses its answer to one: the identical transaction goes to the second.
//  5. It is stuck at an old block: the second one's word counts.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { startChain } from '../tools/lib/chain.mjs';
import { broadcasts, handedOver, income } from './support/facts.mjs';
import { startRpcProxy } from './support/rpc-proxy.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const SEND = 'eth_sendRawTransaction';

/** A server that is no node. @param {(response: import('node:http').ServerResponse) => void} answer */
async function startImpostor(answer) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    request.resume().on('end', () => answer(response));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked: () => asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends as much as is taken. @param {import('node:http').ServerResponse} response */
function flood(response) {
  const piece = Buffer.alloc(65_536, '[');
  const more = () => {
    while (!response.destroyed && response.write(piece));
  };
  response.writeHead(200, { 'content-type': 'application/json' }).on('drain', more);
  more();
}

/** A node that refuses batches, as some providers do. @param {string} target */
async function startSingleNode(target) {
  const methods = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    if (body.startsWith('[')) return response.writeHead(400).end('batches are not supported');
    methods.push(JSON.parse(body).method);
    const answer = await fetch(target, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    return response.writeHead(200, { 'content-type': 'application/json' }).end(await answer.text());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    methods,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function assertBuys(world) {
  const buyer = await world.newBuyer();
  const answer = await buy(world.url, buyer.privateKey, { planId: 'basic', requestId: randomUUID() });
  assert.equal(answer.status, 200, answer.text);
  const mine = (await income(world)).filter(({ from }) => from === buyer.address);
  assert.deepEqual(mine.map(({ hash, value }) => ({ hash, value })), [{ hash: answer.body.txHash, value: 15_000n }]);
}

const health = async (world) => (await fetch(`${world.url}/health`)).json();

describe('when the first endpoint', () => {
  const world = useWorld({ backend: false });
  /** A chain that looks like Base; ours looks like Base Sepolia. */
  let other;
  before(async () => {
    other = await startChain({ network: 'mainnet' });
  });
  after(() => other?.stop());

  const nodeAt = async (url, prepare) => {
    const proxy = await startRpcProxy(url());
    prepare?.(proxy);
    return { url: proxy.url, asked: () => proxy.calls.length, sent: () => proxy.callsOf(SEND).length, close: () => proxy.close() };
  };
  const rows = {
    'is dead': [() => nodeAt(() => world.chain.url, (proxy) => proxy.on(/./, { kind: 'refuse' })), /eth_/, 'no answer'],
    'takes questions and never answers': [() => startImpostor(() => {}), /timeout|aborted/i, 'no answer'],
    'announces an answer and never ends it': [() => startImpostor((response) => response.writeHead(200, { 'content-length': 100 }).write('[')), /timeout|aborted/i, 'no answer'],
    'answers 503': [() => startImpostor((response) => response.writeHead(503).end('busy')), /status 503/, 'no answer'],
    'answers garbage': [() => startImpostor((response) => response.end('<html>welcome</html>')), /not JSON/, 'no answer'],
    'is on another chain': [() => nodeAt(() => other.url), /it is chain 8453, not 84532/, 'other chain'],
    'is on another chain and lies about its id': [
      () => nodeAt(() => other.url, (proxy) => proxy.on('eth_chainId', { kind: 'alter', change: (result) => (result === '0x2105' ? '0x14a34' : result) })),
      /the USDC contract of this network is not there/,
      'other chain',
    ],
    'calls itself ours and its token is another': [
      () => nodeAt(() => world.chain.url, (proxy) => proxy.on('eth_call', { kind: 'alter', change: (result, [call]) => (call?.data === '0x3644e515' ? `0x${'02'.repeat(32)}` : result) })),
      /the USDC contract of this network is not there/,
      'other chain',
    ],
  };
  for (const [name, [start, reason, status]] of Object.entries(rows)) {
    test(`${name}, a purchase completes over the second, and the next one does not wait`, async () => {
      const first = await start();
      try {
        await world.restartWorker({ KEY0_RPC_URL: `${first.url}/v2/some-key,${world.rpc.url}` });
        await assertBuys(world);
        const asked = first.asked();
        assert.ok(asked > 0, 'the first endpoint was not asked at all');
        await assertBuys(world);
        assert.equal(first.asked(), asked, 'the first endpoint was asked again at once');
        assert.equal(first.sent?.() ?? 0, 0, 'a transaction was handed to it');

        const told = world.worker.logs.filter((line) => line.includes('"rpc_endpoint_skipped"'));
        assert.ok(told.some((line) => line.includes('"endpoint":0') && reason.test(line)), told.join('\n'));
        assert.ok(!told.join().includes('some-key'));

        const { rpc, status: overall } = await health(world);
        assert.deepEqual(rpc.map((endpoint) => [endpoint.host, endpoint.status]), [['127.0.0.1', status], ['127.0.0.1', 'ok']]);
        assert.equal(overall, 'degraded');
      } finally {
        await first.close();
      }
    });
  }

  test('answers without end, a purchase completes over the second', async () => {
    const first = await startImpostor(flood);
    try {
      await world.restartWorker({ KEY0_RPC_URL: `${first.url},${world.rpc.url}` });
      await assertBuys(world);
      assert.ok(first.asked() > 0);
    } finally {
      await first.close();
    }
  });

  test('knows no batches, it serves, and is checked all the same', async () => {
    const first = await startSingleNode(world.chain.url);
    const foreign = await startSingleNode(other.url);
    try {
      await world.restartWorker({ KEY0_RPC_URL: first.url });
      await assertBuys(world);
      assert.ok(first.methods.includes('eth_chainId'));
      await world.restartWorker({ KEY0_RPC_URL: `${foreign.url},${first.url}` });
      await assertBuys(world);
      assert.deepEqual([...new Set(foreign.methods)], ['eth_chainId']);
    } finally {
      await first.close();
      await foreign.close();
    }
  });
});

describe('a transaction', () => {
  const world = useWorld({ backend: false });
  for (const [name, rule] of [
    ['that the first endpoint does not take', { kind: 'refuse' }],
    ['that it refuses', { kind: 'error', code: -32000, message: 'txpool is full' }],
    ['for which its answer is lost', { kind: 'lose' }],
  ]) {
    test(`${name} goes to the second, the identical one`, async () => {
      const first = await startRpcProxy(world.chain.url);
      try {
        await world.restartWorker({ KEY0_RPC_URL: `${first.url},${world.rpc.url}` });
        world.rpc.forget();
        first.on(SEND, rule);
        const before = await broadcasts(world);
        await assertBuys(world);
        assert.equal(await broadcasts(world), before + 1);
        const [raw] = first.callsOf(SEND).map(({ params }) => params[0]);
        assert.ok(world.rpc.callsOf(SEND).length > 0);
        assert.deepEqual([...new Set([...first.callsOf(SEND), ...world.rpc.callsOf(SEND)].map(({ params }) => params[0]))], [raw]);
        assert.equal(handedOver(world).length, 1);
      } finally {
        await first.close();
      }
    });
  }
});

describe('a node that is stuck', () => {
  const world = useWorld({ backend: false });
  test('is passed over: the second one shows the payment', async () => {
    const stuck = await startRpcProxy(world.chain.url);
    try {
      const at = await world.chain.client.getBlock();
      const hexed = (value) => `0x${value.toString(16)}`;
      // A rule is for all calls of a batch.
      stuck.on('eth_getBlockByNumber', { kind: 'alter', change: (result) => (result?.timestamp ? { ...result, number: hexed(at.number), timestamp: hexed(at.timestamp - 600n) } : result) });
      stuck.on('eth_getTransactionReceipt', { kind: 'answer', result: null });
      await world.chain.mine();
      await world.restartWorker({ KEY0_RPC_URL: `${stuck.url},${world.rpc.url}` });
      await assertBuys(world);
      const { rpc } = await health(world);
      assert.deepEqual(rpc.map(({ status }) => status), ['behind', 'ok']);
    } finally {
      await stuck.close();
    }
  });
});
