// Authorizations and offers that were good once.
//
//  1. A buyer buys a plan: its authorization is spent.
//  2. The same authorization is presented for another request id, for another plan at the same price, and without the offer
//     that it belongs to. Each time: TX_ALREADY_REDEEMED, nothing broadcast, nothing stored.
//  3. The buyer's request id is presented with a payment for another plan, for another resource, and by another wallet, all
//     correctly offered and signed. Each time: REQUEST_CONFLICT, and the other payment stays unspent.
//  4. In a shop whose offers last a second, an offer that has expired is paid: CHALLENGE_EXPIRED.
//  5. An offer sealed by a shop with another secret, or by this one for another network, is paid: CHALLENGE_NOT_FOUND.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { income, isUsed } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { assertRefused } from './support/refusal.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const TAKEN = { status: 409, code: 'TX_ALREADY_REDEEMED' };
const CONFLICT = { status: 409, code: 'REQUEST_CONFLICT' };
const PLANS = JSON.stringify([{ planId: 'red', unitAmount: '$0.02' }, { planId: 'blue', unitAmount: '$0.02' }]);

let buyer, spent;
const body = { planId: 'red', requestId: randomUUID() };
const world = useWorld({ backend: false, vars: { PLANS } }, async (ready) => {
  buyer = await ready.newBuyer();
  spent = await buy(ready.url, buyer.privateKey, body);
  assert.equal(spent.status, 200, spent.text);
});
const short = useWorld({ backend: false, vars: { PLANS, CHALLENGE_TTL_SECONDS: '1' } });

describe('a spent authorization', () => {
  const spentUnder = async (request, change = {}) => {
    const { required } = await access(world.url, request);
    return { ...spent.payment, accepted: { ...required.accepts[0], ...change } };
  };
  const requests = {
    'for another request id': { planId: 'red', requestId: randomUUID() },
    'for no request id': { planId: 'red' },
    'for another plan at the same price': { planId: 'blue', requestId: randomUUID() },
    'for another resource': { planId: 'red', resourceId: 'other' },
  };
  for (const [name, request] of Object.entries(requests)) {
    test(`${name}: TX_ALREADY_REDEEMED`, async () => {
      const payment = await spentUnder(request);
      await assertRefused(world, () => access(world.url, request, { payment }), TAKEN);
    });
    test(`${name}, without echoing an offer: TX_ALREADY_REDEEMED`, async () => {
      const payment = await spentUnder(request, { extra: undefined });
      await assertRefused(world, () => access(world.url, request, { payment }), TAKEN);
    });
  }
});

describe('a request id that is taken', () => {
  const requests = {
    'by the same wallet for another plan': [{ ...body, planId: 'blue' }, () => buyer],
    'by the same wallet for another resource': [{ ...body, resourceId: 'other' }, () => buyer],
    'by another wallet': [body, () => world.newBuyer()],
  };
  for (const [name, [request, wallet]] of Object.entries(requests)) {
    test(`${name}: REQUEST_CONFLICT, and the payment stays unspent`, async () => {
      const { privateKey } = await wallet();
      const { required } = await access(world.url, request);
      const payment = await signPayment(privateKey, required);
      await assertRefused(world, () => access(world.url, request, { payment }), CONFLICT);
      assert.equal(await isUsed(world, payment.payload.authorization), false);
    });
  }
});

describe('an offer', () => {
  const expire = ({ body: { expiresAt } }) => poll(() => Date.now() >= Date.parse(expiresAt), 'the end of the offer', 5_000);

  test('that lasts a second is good before its end', async () => {
    const { privateKey } = await short.newBuyer();
    const answer = await buy(short.url, privateKey, { planId: 'red' });
    assert.equal(answer.status, 200, answer.text);
  });
  test('that has expired: CHALLENGE_EXPIRED, with a request id and without', async () => {
    const { privateKey, address } = await short.newBuyer();
    const requests = [{ planId: 'red', requestId: randomUUID() }, { planId: 'red' }];
    const offers = await Promise.all(requests.map((request) => access(short.url, request)));
    const payments = await Promise.all(offers.map(({ required }) => signPayment(privateKey, required)));
    for (const offer of offers) await expire(offer);
    for (const [i, request] of requests.entries()) {
      await assertRefused(short, () => access(short.url, request, { payment: payments[i] }), { status: 410, code: 'CHALLENGE_EXPIRED' });
    }
    assert.deepEqual((await income(short)).filter(({ from }) => from === address), []);
  });
  test('that was paid in time gives its grant also after its end', async () => {
    const { privateKey } = await short.newBuyer();
    const request = { planId: 'red', requestId: randomUUID() };
    const offer = await access(short.url, request);
    const payment = await signPayment(privateKey, offer.required);
    const first = await access(short.url, request, { payment });
    assert.equal(first.status, 200, first.text);
    await expire(offer);
    const again = await access(short.url, request, { payment });
    assert.equal(again.text, first.text);
  });
  test('that the same shop sealed while it sold on another network: CHALLENGE_NOT_FOUND', async () => {
    const { privateKey } = await short.newBuyer();
    const { required } = await access(short.url, { planId: 'red' });
    const payment = await signPayment(privateKey, required);
    await short.restartWorker({ KEY0_NETWORK: 'mainnet', CHALLENGE_TTL_SECONDS: '900' });
    await assertRefused(short, () => access(short.url, { planId: 'red' }, { payment }), { status: 404, code: 'CHALLENGE_NOT_FOUND' });
    await short.restartWorker();
  });
  test('that another shop sealed: CHALLENGE_NOT_FOUND', async () => {
    const { required } = await access(short.url, { planId: 'red' });
    const payment = await signPayment(buyer.privateKey, required, { authorization: { to: world.seller.address }, accepted: { payTo: world.seller.address } });
    await assertRefused(world, () => access(world.url, { planId: 'red' }, { payment }), { status: 404, code: 'CHALLENGE_NOT_FOUND' });
  });
});
