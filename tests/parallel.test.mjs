// Many at once.
//
//  1. One buyer sends the same paid request twenty times in parallel: with a requestId, without one, and as a client that
//     does not even echo the offer. The node answers none before all twenty have asked it whether the payment is good, so
//     that all race for the beginning. Each time: one transaction, one transfer, twenty equal grants.
//  2. Blocks are held. Fifty buyers pay in parallel, and all fifty transactions wait in the node before the first of them
//     is confirmed: none waits for another's confirmation.
//  3. One block settles all fifty.
//  4. One buyer with money for three signs forty payments, each for a purchase and a resource of its own, and sends all at once:
//     at most three transactions, none of which reverts; the others are told to wait, and that their money is not enough.
//  5. A platform with money for 97 sends a hundred named purchases of one plan at once, and each again while it is told to wait:
//     97 grants, 97 transactions.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { broadcasts, income, statuses } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const world = useWorld({ backend: false });

/** Sends twenty requests, and lets none begin its purchase before all can. */
async function racing(sends) {
  world.rpc.forget();
  world.rpc.on('eth_estimateGas', { kind: 'hang' });
  const answering = sends.map((send) => send());
  await poll(() => world.rpc.callsOf('eth_estimateGas').length === sends.length, 'all requests at the start', 4_000);
  world.rpc.clear();
  world.rpc.release();
  const answers = await Promise.all(answering);
  assert.deepEqual(answers.map(({ status }) => status), sends.map(() => 200), answers.find(({ status }) => status !== 200)?.text);
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1, 'the grants differ');
  return answers;
}

async function twentyTimes(body, change) {
  const { privateKey, address } = await world.newBuyer();
  const { required } = await access(world.url, body);
  const payment = await signPayment(privateKey, required, change);
  const before = { received: (await income(world)).length, sent: await broadcasts(world), purchases: Object.keys(statuses(world)).length };

  const answers = await racing(Array(20).fill(() => access(world.url, body, { payment })));
  assert.equal(answers[0].body.type, 'AccessGrant');

  const transfers = (await income(world)).slice(before.received);
  assert.deepEqual(transfers.map(({ from, value, hash }) => ({ from, value, hash })), [{ from: address, value: 15_000n, hash: answers[0].body.txHash }]);
  assert.equal(await broadcasts(world), before.sent + 1, 'more than one transaction');
  assert.equal(Object.keys(statuses(world)).length, before.purchases + 1, 'more than one purchase');
}

test('twenty identical paid requests in parallel: one transfer, twenty equal grants', () => twentyTimes({ planId: 'basic', requestId: randomUUID() }));

test('twenty identical paid requests without a requestId: one transfer, twenty equal grants', () => twentyTimes({ planId: 'basic' }));

test('twenty identical paid requests that do not echo the offer: one transfer, twenty equal grants', () =>
  twentyTimes({ planId: 'basic' }, { accepted: { extra: undefined } }));

test('twenty fresh signatures of one wallet for one request id in parallel: one transfer, twenty equal grants', async () => {
  const { privateKey, address } = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payments = await Promise.all(Array.from({ length: 20 }, () => signPayment(privateKey, required)));
  const sent = await broadcasts(world);
  await racing(payments.map((payment) => () => access(world.url, body, { payment })));
  assert.equal((await income(world)).filter(({ from }) => from === address).length, 1);
  assert.equal(await broadcasts(world), sent + 1);
});

/** Pays, and repeats while it is told to come back. */
async function insist(body, payment) {
  for (;;) {
    const answer = await access(world.url, body, { payment });
    if (answer.status !== 503) return answer;
    assert.ok(Number(answer.headers.get('retry-after')) > 0, answer.text);
    assert.equal(answer.required, undefined, 'a new offer invites a second payment');
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function ordersOf({ privateKey }, count, order) {
  const bodies = Array.from({ length: count }, order);
  return Promise.all(bodies.map(async (body) => [body, await signPayment(privateKey, (await access(world.url, body)).required)]));
}

test('forty purchases at once of a wallet that has money for three: at most three transactions, and none reverts', async () => {
  const buyer = await world.newBuyer(45_000n);
  const orders = await ordersOf(buyer, 40, (_, at) => ({ planId: 'basic', requestId: randomUUID(), resourceId: `r${at}` }));
  const before = await broadcasts(world);
  const first = await Promise.all(orders.map(([body, payment]) => access(world.url, body, { payment })));
  assert.ok(first.every(({ status }) => [200, 402, 503].includes(status)), first.map(({ status }) => status).join());
  const answers = await Promise.all(orders.map(([body, payment]) => insist(body, payment)));
  const paid = answers.filter(({ status }) => status === 200);
  assert.equal(paid.length, 3);
  for (const { status, body } of answers.filter((answer) => !paid.includes(answer))) {
    assert.deepEqual([status, body.details.reason], [402, 'insufficient_funds']);
  }
  assert.equal(await broadcasts(world), before + 3);
});

test('a hundred named purchases at once of a platform that has money for 97: it gets 97', async () => {
  const buyer = await world.newBuyer(97n * 15_000n);
  const orders = await ordersOf(buyer, 100, () => ({ planId: 'basic', requestId: randomUUID() }));
  const before = await broadcasts(world);
  const answers = await Promise.all(orders.map(([body, payment]) => insist(body, payment)));
  const paid = answers.filter(({ status }) => status === 200);
  assert.equal(paid.length, 97, answers.find(({ status }) => status !== 200)?.text);
  assert.equal(new Set(paid.map(({ body }) => body.requestId)).size, 97);
  assert.equal(await broadcasts(world), before + 97);
});

test('fifty different buyers in parallel: all are broadcast before any is confirmed, and one block settles all', async () => {
  const buyers = await Promise.all(Array.from({ length: 50 }, () => world.newBuyer()));
  const before = { received: (await income(world)).length, sent: await broadcasts(world) };
  await world.chain.holdBlocks();
  const buying = buyers.map(({ privateKey }) => buy(world.url, privateKey, { planId: 'basic' }));
  await poll(async () => (await broadcasts(world)) === before.sent + 50, 'fifty transactions in the node', 15_000);
  assert.equal((await income(world)).length, before.received, 'something was confirmed already');
  await world.chain.mine();
  const transfers = (await income(world)).slice(before.received);
  assert.equal(transfers.length, 50);
  assert.equal(new Set(transfers.map(({ block }) => block)).size, 1, 'more than one block');

  const answers = await Promise.all(buying);
  await world.chain.setBlockTime(0);
  assert.deepEqual(answers.map(({ status }) => status), Array(50).fill(200), answers.find(({ status }) => status !== 200)?.text);
  assert.deepEqual(new Set(answers.map(({ body }) => body.txHash)), new Set(transfers.map(({ hash }) => hash)));
  assert.deepEqual(new Set(transfers.map(({ from }) => from)), new Set(buyers.map(({ address }) => address)));
  assert.equal(new Set(answers.map(({ body }) => body.accessToken)).size, 50);
});
