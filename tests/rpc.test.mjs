// The node between worker and chain is gone, broken, or lies.
//
//  1. It gives no usable answer while a payment is being checked: 502 ADAPTER_ERROR with Retry-After, nothing begun. The same
//     payment is good once the node is back.
//  2. It is gone after the broadcast: the buyer waits and gets its grant when the node is back.
//  3. The first of two endpoints is dead, broken or busy: the second one serves.
//  4. It lies about the receipt: no events, another amount, another recipient, another token, another authorization. Never a
//     grant for it.
//  5. When the lie has ended, the money that did arrive is found by the time at which the authorization is over for good, with
//     nobody asking, and the buyer gets its grant without paying again.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { pad, toHex } from 'viem';
import { income } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { assertRefused } from './support/refusal.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const RECEIPT = 'eth_getTransactionReceipt';
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

describe('a receipt', { concurrency: true }, () => {
  const world = useWorld({ backend: false, vars: { CHALLENGE_TTL_SECONDS: '10' } }, async ({ rpc }) => {
    rpc.on(RECEIPT, { kind: 'alter', change: (receipt) => receipt && lieFor(receipt) });
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
    'over a smaller amount': change(1, () => ({ data: toHex(14_999n, { size: 32 }) })),
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
      // Either the lie is believed to be a failure, and answered so, or it is believed not at all, and asked for again.
      await poll(() => answer || lied >= 3, 'what comes of the lie');
      assert.equal((await mine()).length, 1);
      if (answer) {
        assert.equal(answer.status, 402, answer.text);
        assert.doesNotMatch(answer.text, /accessToken|eyJ/);
        assert.equal(answer.settled.success, false);
      }
      lies.delete(payer);
      await answering;
      await poll(() => world.logs.some((line) => line.includes(buyer.body.requestId) && line.includes('"DELIVERED"')), 'the delivery', 75_000);
      const granted = await buyer.send();
      assert.equal(granted.status, 200, granted.text);
      assert.deepEqual((await mine()).map(({ value, hash }) => ({ value, hash })), [{ value: 15_000n, hash: granted.body.txHash }]);
    });
  }
});
