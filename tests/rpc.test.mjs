// The node between worker and chain is gone, broken, or lies.
//
//  1. It gives no usable answer while a payment is being checked: 502 ADAPTER_ERROR with Retry-After, nothing begun. The same
//     payment is good once the node is back.
//  2. It is gone after the broadcast: the buyer waits and gets its grant when the node is back.
//  3. The first of two endpoints is dead, broken or busy: the second one serves.
//  4. It cannot tell what the chain would do, and says so as others say that a call reverts: the next endpoint is asked, or 502.
//  5. It lies about the receipt: no events, another amount, another recipient, another token, another authorization. Never a
//     grant for it, and never a word that nothing was paid.
//  6. When the lie has ended, the money that did arrive is found by the time at which the authorization is over for good, with
//     nobody asking, and the buyer gets its grant without paying again.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { pad, toHex } from 'viem';
import { income } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { assertRefused } from './support/refusal.mjs';
import { newWallet, signFrom } from './support/smart-wallets.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const RECEIPT = 'eth_getTransactionReceipt';
const HEAD_REMEMBERED_MS = 1_100;
const CONSISTENT = 'over a smaller amount';
const STRANGER = '0x00000000000000000000000000000000000000aa';

async function signed(world, authorization) {
  const buyer = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payment = await signPayment(buyer.privateKey, required, { authorization });
  return { ...buyer, body, payment, send: () => access(world.url, body, { payment }) };
}

async function assertBought(world, { send, address }) {
  const answer = await send();
  assert.equal(answer.status, 200, answer.text);
  const mine = (await income(world)).filter(({ from }) => from === address);
  assert.deepEqual(mine.map(({ hash }) => hash), [answer.body.txHash]);
}

describe('while a payment is being checked', () => {
  const world = useWorld({ backend: false });
  const faults = {
    'the node is gone': [/./, { kind: 'refuse' }],
    'the node answers 500 without JSON': [/./, { kind: 'status', status: 500 }],
    'the node is over its rate limit': [/./, { kind: 'error', code: -32005, message: 'rate limited' }],
    'the node answers nonsense': [/./, { kind: 'answer', result: { not: 'a number' } }],
    'the node answers null': [/./, { kind: 'answer', result: null }],
    'only the simulation fails to answer': ['eth_estimateGas', { kind: 'refuse' }],
    'only the newest block is missing': ['eth_getBlockByNumber', { kind: 'answer', result: null }],
    'the simulation is refused and nobody says why': [/eth_estimateGas|eth_call/, { kind: 'error', message: 'execution reverted' }],
  };
  for (const [name, [method, rule]] of Object.entries(faults)) {
    test(`${name}: nothing is begun, and the same payment is good later`, async () => {
      const buyer = await signed(world);
      // What the test before was told of the newest block is remembered for a second.
      await new Promise((resolve) => setTimeout(resolve, HEAD_REMEMBERED_MS));
      world.rpc.on(method, rule);
      const answer = await assertRefused(world, buyer.send, { status: 502, code: 'ADAPTER_ERROR' });
      assert.ok(Number(answer.headers.get('retry-after')) > 0);
      assert.equal(answer.settled.success, false);
      assert.equal(answer.settled.transaction, '');
      world.rpc.clear();
      await assertBought(world, buyer);
    });
  }
});

describe('after the broadcast', { concurrency: true }, () => {
  const gone = useWorld({ backend: false });
  test('the node is gone for a while: the buyer waits and gets its grant', async () => {
    const world = gone;
    const buyer = await signed(world);
    world.rpc.on(RECEIPT, { kind: 'refuse' });
    const answering = buyer.send();
    await poll(() => world.rpc.callsOf(RECEIPT).length >= 3, 'the third question for the receipt');
    world.rpc.clear();
    assert.equal((await answering).status, 200);
    await assertBought(world, buyer);
  });

  const many = useWorld({ backend: false });
  test('the first of two endpoints is dead, busy or broken: the second serves', async () => {
    const world = many;
    const dead = 'http://127.0.0.1:9';
    await world.restartWorker({ KEY0_RPC_URL: `${dead}, ${world.rpc.url}` });
    await assertBought(world, await signed(world));
    await world.restartWorker({ KEY0_RPC_URL: `${world.rpc.url},${world.chain.url}` });
    for (const rule of [{ kind: 'status', status: 503 }, { kind: 'error', code: -32005, message: 'rate limited' }, { kind: 'refuse' }]) {
      world.rpc.on(/./, rule);
      await assertBought(world, await signed(world));
      world.rpc.clear();
    }
  });
});

describe('a node that cannot tell what the chain would do', { concurrency: true }, () => {
  const texts = ['header not found', 'execution aborted (timeout = 5s)', 'missing trie node 4f1d', 'too many requests'];
  const troubled = (message, match) => ({ kind: 'error', code: -32000, message, match });
  const asksWallet = ([call]) => call?.data?.startsWith('0x1626ba7e');

  const two = useWorld({ backend: false });
  test('is not believed: the second of two endpoints is asked, about a payment and a contract wallet’s signature', async () => {
    const world = two;
    await world.restartWorker({ KEY0_RPC_URL: `${world.rpc.url},${world.chain.url}` });
    const wallet = await newWallet(world);
    const fromWallet = async () => {
      const body = { planId: 'basic', requestId: randomUUID() };
      const payment = await signFrom(world.url, wallet, body);
      return { address: wallet.address, send: () => access(world.url, body, { payment }) };
    };
    // From here on the first endpoint's chain is known, and it is asked first.
    await assertBought(world, await signed(world));
    for (const text of texts) {
      const simulation = world.rpc.on('eth_estimateGas', troubled(text));
      await assertBought(world, await signed(world));
      assert.ok(simulation.calls.length > 0, 'the first endpoint was not asked');
      simulation.end();
      const question = world.rpc.on('eth_call', troubled(text, asksWallet));
      const answer = await (await fromWallet()).send();
      assert.equal(answer.status, 200, answer.text);
      assert.ok(question.calls.length > 0, 'the first endpoint was not asked');
      question.end();
    }
  });

  const one = useWorld({ backend: false });
  test('is not believed, though there is no other: nothing is begun, and the same payment is good later', async () => {
    const world = one;
    await assertBought(world, await signed(world));
    for (const text of texts) {
      const buyer = await signed(world);
      const simulation = world.rpc.on('eth_estimateGas', troubled(text));
      await assertRefused(world, buyer.send, { status: 502, code: 'ADAPTER_ERROR' });
      simulation.end();
      await assertBought(world, buyer);
    }
  });
});

describe('a receipt', { concurrency: true }, () => {
  const world = useWorld({ backend: false, vars: { CHALLENGE_TTL_SECONDS: '10' } }, async ({ rpc }) => {
    // A rule is for all calls of a batch.
    rpc.on(RECEIPT, { kind: 'alter', change: (result) => (result?.logs ? lieFor(result) : result) });
  });
  /** Payer → its lie, until it is taken away. */
  const lies = new Map();
  const lieFor = (receipt) => lies.get(payerOf(receipt))?.(structuredClone(receipt)) ?? receipt;
  const payerOf = ({ logs }) => `0x${logs.at(-1)?.topics[1].slice(26)}`;
  // Logs are USDC's, in order: AuthorizationUsed(from, nonce), Transfer(from, to, value).
  const change = (at, fields) => (receipt) => ({ ...receipt, logs: receipt.logs.map((log, i) => (i === at ? { ...log, ...fields(log) } : log)) });
  const topic = (at, value) => ({ topics }) => ({ topics: topics.map((old, i) => (i === at ? pad(value) : old)) });
  const rows = {
    'without events': (receipt) => ({ ...receipt, logs: [] }),
    'without the transfer': (receipt) => ({ ...receipt, logs: receipt.logs.slice(0, 1) }),
    'without the authorization': (receipt) => ({ ...receipt, logs: receipt.logs.slice(1) }),
    [CONSISTENT]: change(1, () => ({ data: toHex(14_999n, { size: 32 }) })),
    'to somebody else': change(1, topic(2, STRANGER)),
    'from somebody else': change(1, topic(1, STRANGER)),
    'of another authorization': change(0, topic(2, '0x07')),
    'of another token': (receipt) => ({ ...receipt, logs: receipt.logs.map((log) => ({ ...log, address: STRANGER })) }),
    'of a failure': (receipt) => ({ ...receipt, status: '0x0' }),
    'of another transaction': (receipt) => ({ ...receipt, transactionHash: pad('0x07') }),
  };
  for (const [name, lie] of Object.entries(rows)) {
    test(`${name} is no payment; when the node tells the truth, the buyer gets its grant without paying again`, async () => {
      const buyer = await signed(world, { validBefore: String(Math.floor(Date.now() / 1000) + 12) });
      const payer = buyer.address.toLowerCase();
      const mine = async () => (await income(world)).filter(({ from }) => from === buyer.address);
      let lied = 0;
      lies.set(payer, (receipt) => (lied++, lie(receipt)));
      let answer;
      const answering = buyer.send().then((given) => (answer = given));
      // It contradicts the state and the events, or itself: the buyer is not told that no money moved. A filter does not cover
      // amounts, so that lie contradicts nothing: the payer would have signed the nonce twice.
      await poll(() => answer || lied >= 3, 'what comes of the lie');
      assert.equal((await mine()).length, 1);
      const told = name === CONSISTENT ? [402, 'PAYMENT_FAILED'] : [503, 'SETTLEMENT_PENDING'];
      if (answer) assert.deepEqual([answer.status, answer.body.code], told, answer.text);
      lies.delete(payer);
      await answering;
      await poll(() => world.logs.some((line) => line.includes(buyer.body.requestId) && line.includes('"DELIVERED"')), 'the delivery', 75_000);
      const granted = await buyer.send();
      assert.equal(granted.status, 200, granted.text);
      assert.deepEqual((await mine()).map(({ value, hash }) => ({ value, hash })), [{ value: 15_000n, hash: granted.body.txHash }]);
    });
  }
});
