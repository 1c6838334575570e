// The extensions of an offer: bazaar and payment-identifier.
//
//  1. An offer advertises both, within 8 KB of header, also with the longest description. Neither is required.
//  2. A client that echoes them without a name for its payment buys as ever; and so does one that gives a name.
//  3. The same name with the same payment: the same answer, charged once. The same name with another payment of the same payer:
//     409, not charged, whatever it is for. Another payer may use the same name.
//  4. A name that was refused with its payment is still free: nothing is kept of who has not paid.
//  5. A name of the wrong form: 400.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { income, isUsed, stored } from './support/facts.mjs';
import { assertRefused } from './support/refusal.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const PLANS = JSON.stringify([
  { planId: 'basic', unitAmount: '$0.015', description: 'One hour.' },
  { planId: 'p'.repeat(64), unitAmount: '$0.015', description: '\u00e9'.repeat(500), resourceIds: ['r'.repeat(128)] },
]);
const world = useWorld({ backend: false, vars: { PLANS } });
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const newName = () => `pay_${randomBytes(16).toString('hex')}`;
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

async function sign({ privateKey }, body, name) {
  const payment = await signPayment(privateKey, (await access(world.url, body)).required);
  if (name !== undefined) payment.extensions['payment-identifier'].info.id = name;
  return payment;
}
const send = (body, payment) => access(world.url, body, { payment });

test('an offer advertises both, requires neither, and fits into 8 KB', async () => {
  for (const planId of ['basic', 'p'.repeat(64)]) {
    const { required, headers } = await access(world.url, { planId });
    assert.ok(headers.get('payment-required').length < 8 * 1024, `${headers.get('payment-required').length}`);
    const { bazaar, 'payment-identifier': identifier } = required.extensions;
    assert.deepEqual(Object.keys(required.extensions).sort(), ['bazaar', 'payment-identifier']);
    assert.deepEqual(bazaar.info.input, { type: 'http', method: 'POST', bodyType: 'json', body: { planId } });
    assert.deepEqual(identifier.info, { required: false });
    for (const { schema } of [bazaar, identifier]) assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema');
  }
});

describe('a name for a payment', () => {
  test('with the same payment gives the same answer and is charged once', async () => {
    const [buyer, body, name] = [await world.newBuyer(), order(), newName()];
    const payment = await sign(buyer, body, name);
    const [first, second] = [await send(body, payment), await send(body, payment)];
    assert.deepEqual([first.status, second.status], [200, 200], first.text + second.text);
    assert.deepEqual(second.body, first.body);
    assert.deepEqual(second.settled, first.settled);
    assert.deepEqual((await paidBy(buyer)).map(({ value }) => value), [PRICE]);
  });

  test('with another payment of the same payer is a conflict, for the same purchase and for another', async () => {
    const [buyer, body, name] = [await world.newBuyer(), order(), newName()];
    const bought = await send(body, await sign(buyer, body, name));
    assert.equal(bought.status, 200, bought.text);
    for (const other of [body, order()]) {
      const payment = await sign(buyer, other, name);
      const answer = await send(other, payment);
      assert.equal(answer.status, 409, answer.text);
      assert.equal(answer.body.code, 'REQUEST_CONFLICT');
      assert.equal(answer.settled.errorReason, 'payment_identifier_conflict');
      assert.doesNotMatch(answer.text, /accessToken|eyJ/);
      assert.equal(await isUsed(world, payment.payload.authorization), false);
    }
    assert.equal((await paidBy(buyer)).length, 1);
    const fresh = await send(body, await sign(buyer, body, newName()));
    assert.equal(fresh.status, 200, fresh.text);
  });

  test('with two payments at once is one purchase', async () => {
    const [buyer, name] = [await world.newBuyer(), newName()];
    const orders = [order(), order()];
    const payments = await Promise.all(orders.map((body) => sign(buyer, body, name)));
    const answers = await Promise.all(orders.map((body, i) => send(body, payments[i])));
    assert.ok(answers.some(({ status }) => status === 200), answers.map(({ text }) => text).join('\n'));
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test('is each payer’s own', async () => {
    const name = newName();
    for (const buyer of [await world.newBuyer(), await world.newBuyer()]) {
      const body = order();
      assert.equal((await send(body, await sign(buyer, body, name))).status, 200);
      assert.equal((await paidBy(buyer)).length, 1);
    }
  });

  test('is still free when its payment was refused', async () => {
    const [buyer, body, name] = [await world.newBuyer(0n), order(), newName()];
    const before = stored(world).PayerObject?.identifiers?.length ?? 0;
    await assertRefused(world, async () => send(body, await sign(buyer, body, name)), { status: 402, code: 'PAYMENT_FAILED', reason: 'insufficient_funds' });
    assert.equal(stored(world).PayerObject?.identifiers?.length ?? 0, before);
    await world.chain.mint(buyer.address, PRICE);
    assert.equal((await send(body, await sign(buyer, body, name))).status, 200);
  });

  for (const [what, name] of [['15 characters', 'a'.repeat(15)], ['129 characters', 'a'.repeat(129)], ['a space', `${'a'.repeat(16)} b`], ['a number', 7]]) {
    test(`of ${what} is refused`, async () => {
      const [buyer, body] = [await world.newBuyer(), order()];
      const payment = await sign(buyer, body, name);
      await assertRefused(world, () => send(body, payment), { status: 400, code: 'INVALID_REQUEST', reason: 'invalid_payload' });
    });
  }
});
