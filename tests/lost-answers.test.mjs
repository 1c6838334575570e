// The answer to a payment is lost, and the agent, which remembers nothing, starts over.
//
//  1. Blocks are held. An agent pays without a requestId; its transaction waits in the node; its connection is cut.
//  2. It asks again, gets a new offer under a new request id, signs a new authorization and pays.
//  3. It is kept waiting. When blocks go on, it gets the grant of its first purchase; its second authorization stays unused.
//  4. Where blocks do not go on for long, it is told to come back: 503, Retry-After, settlement_pending with the hash of the
//     first transaction, no new offer. Coming back later with either payment gets the grant of the first purchase.
//  5. A dozen new signatures at once, while the first purchase is unresolved, are all booked to it.
//  6. Its answer was lost after the delivery: within two minutes a new signature gets the same grant, uncharged.
//  7. A client that names its purchases means another one, at once; without names, it does two minutes later.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { NETWORK } from '../tools/lib/chain.mjs';
import { broadcasts, handedOver, income, isUsed, stored } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const BODY = { planId: 'basic' };

async function sign(world, privateKey) {
  const { required } = await access(world.url, BODY);
  const payment = await signPayment(privateKey, required);
  return { payment, authorization: payment.payload.authorization, send: (options) => access(world.url, BODY, { payment, ...options }) };
}

/** A purchase whose transaction waits in the node and whose client is gone. */
async function cutOff(world) {
  const buyer = await world.newBuyer();
  const first = await sign(world, buyer.privateKey);
  const sent = await broadcasts(world);
  await world.chain.holdBlocks();
  const connection = new AbortController();
  const lost = assert.rejects(first.send({ signal: connection.signal }), { name: 'AbortError' });
  await poll(async () => (await broadcasts(world)) === sent + 1, 'the transaction in the node');
  connection.abort();
  await lost;
  return { ...buyer, first, sent: sent + 1 };
}

async function blocksGoOn(world) {
  await world.chain.setBlockTime(0);
  await world.chain.mine();
}

async function assertPaidOnce(world, { address, sent }, ...unused) {
  assert.equal((await income(world)).filter(({ from }) => from === address).length, 1);
  assert.equal(await broadcasts(world), sent);
  for (const { authorization } of unused) assert.equal(await isUsed(world, authorization), false, 'charged twice');
}

describe('an agent that lost its answer', { concurrency: true }, () => {
  const waiting = useWorld({ backend: false });
  test('and signs anew is not charged anew: it gets the grant of its first purchase', async () => {
    const world = waiting;
    const buyer = await cutOff(world);
    const second = await sign(world, buyer.privateKey);
    const answering = second.send();
    await poll(() => stored(world).PayerObject.payments.length === 2, 'the second payment booked');
    await blocksGoOn(world);
    const answer = await answering;
    assert.equal(answer.status, 200, answer.text);
    const firstAnswer = await buyer.first.send();
    assert.equal(firstAnswer.text, answer.text);
    assert.equal((await second.send()).text, answer.text, 'sent again after the delivery');
    await assertPaidOnce(world, buyer, second);
  });

  const patient = useWorld({ backend: false });
  test('and finds its purchase still unresolved is told to come back, and never to pay again', async () => {
    const world = patient;
    const buyer = await cutOff(world);
    const second = await sign(world, buyer.privateKey);
    const [pendingSecond, pendingFirst] = await Promise.all([second.send(), buyer.first.send()]);
    for (const pending of [pendingSecond, pendingFirst]) {
      assert.equal(pending.status, 503, pending.text);
      assert.equal(pending.body.code, 'SETTLEMENT_PENDING');
      assert.ok(Number(pending.headers.get('retry-after')) > 0);
      assert.equal(pending.required, undefined, 'a new offer invites a second payment');
      const hash = pending.settled.transaction;
      assert.deepEqual(pending.settled, { success: false, errorReason: 'settlement_pending', transaction: hash, network: NETWORK, payer: buyer.address });
      assert.ok(handedOver(world).includes(hash), 'no transaction of the gas wallet has this hash');
    }
    await blocksGoOn(world);
    const answer = await second.send();
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await buyer.first.send()).text, answer.text);
    await assertPaidOnce(world, { ...buyer, sent: await broadcasts(world) }, second);
  });

  const dozen = useWorld({ backend: false });
  test('and signs a dozen times at once is charged once', async () => {
    const world = dozen;
    const buyer = await cutOff(world);
    const more = await Promise.all(Array.from({ length: 12 }, () => sign(world, buyer.privateKey)));
    const answering = more.map(({ send }) => send());
    await poll(() => stored(world).PayerObject.payments.length === 13, 'all payments booked');
    await blocksGoOn(world);
    const answers = await Promise.all(answering);
    assert.deepEqual(answers.map(({ status }) => status), Array(12).fill(200));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    await assertPaidOnce(world, buyer, ...more);
  });

  const later = useWorld({ backend: false });
  test('and signs anew after the delivery is not charged anew, unless it names a new purchase', async () => {
    const world = later;
    const { privateKey, address } = await world.newBuyer();
    const first = await buy(world.url, privateKey, BODY);
    await poll(() => stored(world).PayerObject.open.length === 0, 'the first purchase at rest');
    const repeat = await sign(world, privateKey);
    assert.equal((await repeat.send()).text, first.text, 'a lost answer');
    assert.equal(await isUsed(world, repeat.authorization), false);
    for (const name of [{ requestId: randomUUID() }, { key: randomUUID() }, { key: 'second order' }]) {
      const headers = name.key && { 'idempotency-key': name.key };
      const body = { ...BODY, requestId: name.requestId };
      const { required } = await access(world.url, body, { headers });
      const payment = await signPayment(privateKey, required);
      const named = await access(world.url, body, { payment, headers });
      assert.equal(named.status, 200, named.text);
      assert.notEqual(named.body.requestId, first.body.requestId);
      if (name.requestId) assert.equal(named.body.requestId, name.requestId);
      assert.equal((await access(world.url, body, { payment, headers })).text, named.text, 'repeated');
    }
    assert.equal((await income(world)).filter(({ from }) => from === address).length, 4);
  });
});
