// What is particular about clients of x402 version 1. (That the published one buys is in clients.test.mjs.)
//
//  1. The 402 carries the offer twice: in the header for version 2, in the body for version 1, both over the same price.
//  2. A version 1 payment knows no offer, so one that is sent without a requestId is a purchase that follows from the payment.
//     Sent again, while its answer is lost, it is the same purchase: charged once.
//  3. Delivered, its payment is public and opens nothing any more; a fresh signature with the requestId does.
//  4. Both payment headers: version 2 is taken, and answered.
//  5. A refusal is told in kind, with an offer that can be paid.
//  6. The seller changes the price, its wallet or the catalog: a payment that was taken before and is sent again gets its outcome;
//     one that was not is refused as today's offer refuses it. Neither begins anything.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { income, isUsed, records } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, encodeHeader, legacyFetch, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const world = useWorld({ backend: false });
const pay = (body, payment, headers = {}) => access(world.url, body, { headers: { 'x-payment': encodeHeader(asVersion1(payment)), ...headers } });
const sign = async ({ privateKey }, body = { planId: 'basic' }) => signPayment(privateKey, (await access(world.url, body)).required);
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

test('the offer stands in header and body, over the same price', async () => {
  const { status, body, required } = await access(world.url, { planId: 'basic', requestId: randomUUID() });
  assert.equal(status, 402);
  assert.deepEqual([body.x402Version, body.error], [1, 'Payment required']);
  assert.deepEqual(body.accepts, [
    {
      scheme: 'exact',
      network: 'base-sepolia',
      maxAmountRequired: required.accepts[0].amount,
      resource: `${world.url}/x402/access`,
      description: required.resource.description,
      mimeType: 'application/json',
      payTo: world.seller.address,
      maxTimeoutSeconds: 300,
      asset: USDC_ADDRESS,
      extra: { name: 'USDC', version: '2' },
    },
  ]);
  assert.equal(body.type, 'X402Challenge', 'our own members stay');
});

test('the same payment sent twice at once, without a requestId, is one purchase', async () => {
  const buyer = await world.newBuyer();
  const payment = await sign(buyer);
  const answers = await Promise.all([1, 2, 3].map(() => pay({ planId: 'basic' }, payment)));
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200], answers.map(({ text }) => text).join('\n'));
  assert.equal(new Set(answers.map(({ body }) => body.requestId)).size, 1);
  assert.deepEqual((await paidBy(buyer)).map(({ value }) => value), [PRICE]);
});

test('a payment whose answer was lost is answered when it is sent again, and not charged again', async () => {
  const buyer = await world.newBuyer();
  const payment = await sign(buyer);
  const lost = world.rpc.on('eth_sendRawTransaction', { kind: 'delay', ms: 500 }, 1);
  const gone = access(world.url, { planId: 'basic' }, { headers: { 'x-payment': encodeHeader(asVersion1(payment)) }, signal: AbortSignal.timeout(300) });
  await assert.rejects(gone);
  lost.end();
  const answer = await pay({ planId: 'basic' }, payment);
  if (answer.status !== 200) {
    // It was delivered in between: then the payment is public, and the answer says how to get the grant.
    assert.equal(answer.status, 409, answer.text);
    const again = await pay({ planId: 'basic', requestId: answer.body.details.requestId }, await sign(buyer));
    assert.equal(again.status, 200, again.text);
  }
  assert.equal((await paidBy(buyer)).length, 1);
});

test('delivered, its payment opens nothing any more; a fresh signature with the requestId does', async () => {
  const buyer = await world.newBuyer();
  const payment = await sign(buyer);
  const bought = await pay({ planId: 'basic' }, payment);
  assert.equal(bought.status, 200, bought.text);
  const replayed = await pay({ planId: 'basic' }, payment);
  assert.equal(replayed.status, 409, replayed.text);
  assert.equal(replayed.body.details.requestId, bought.body.requestId);
  assert.equal(replayed.settledV1.errorReason, 'invalid_exact_evm_nonce_already_used');
  const fresh = await sign(buyer);
  const again = await pay({ planId: 'basic', requestId: bought.body.requestId }, fresh);
  assert.equal(again.status, 200, again.text);
  assert.equal(again.body.txHash, bought.body.txHash);
  assert.equal(await isUsed(world, fresh.payload.authorization), false);
  assert.equal((await paidBy(buyer)).length, 1);
});

test('of both payment headers version 2 is taken and answered', async () => {
  const [buyer, other] = [await world.newBuyer(), await world.newBuyer()];
  const body = { planId: 'basic', requestId: randomUUID() };
  const [payment, ignored] = [await sign(buyer, body), await sign(other, body)];
  const answer = await pay(body, ignored, { 'payment-signature': encodeHeader(payment) });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.settled.network, NETWORK);
  assert.equal(answer.settledV1, undefined);
  assert.deepEqual([(await paidBy(buyer)).length, (await paidBy(other)).length], [1, 0]);
});

test('a refusal is told in kind, with an offer that can be paid', async () => {
  const buyer = await world.newBuyer(0n);
  const body = { planId: 'basic', requestId: randomUUID() };
  const refused = await pay(body, await sign(buyer, body));
  assert.equal(refused.status, 402, refused.text);
  assert.deepEqual(refused.settledV1, { success: false, errorReason: 'insufficient_funds', transaction: '', network: 'base-sepolia', payer: buyer.address });
  assert.equal(refused.body.error, 'insufficient_funds');
  await world.chain.mint(buyer.address, PRICE);
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  // The published client reads a 402 as what it is, whoever sends it: here, the refusal.
  const answers = [new Response(refused.text, { status: 402, headers: refused.headers })];
  const send = async (...args) => answers.shift() ?? fetch(...args);
  const bought = await legacyFetch(buyer.privateKey, send)(`${world.url}/x402/access`, init);
  assert.equal(bought.status, 200);
  assert.equal((await paidBy(buyer)).length, 1);
});

describe('a payment that was taken before the seller changed', () => {
  const shop = useWorld({ backend: false }, async (ready) => {
    for (const [name, body] of Object.entries({ named: { planId: 'basic', requestId: randomUUID() }, unnamed: { planId: 'basic' } })) {
      const payment = await offered(await ready.newBuyer(), body);
      const answer = await send(body, payment);
      assert.equal(answer.status, 200, answer.text);
      taken[name] = { body, payment, answer };
    }
    never = await offered(await ready.newBuyer(), { planId: 'basic' });
  });
  const taken = {};
  let never;
  const offered = async ({ privateKey }, body) => signPayment(privateKey, (await access(shop.url, body)).required);
  const send = (body, payment) => access(shop.url, body, { headers: { 'x-payment': encodeHeader(asVersion1(payment)) } });
  const plans = (...all) => ({ PLANS: JSON.stringify(all) });
  const changes = {
    'the price': [402, () => plans({ planId: 'basic', unitAmount: '$0.02' })],
    'its wallet': [
      402,
      async () => {
        const { address, privateKey } = await shop.newBuyer();
        return { KEY0_WALLET_ADDRESS: address, KEY0_WALLET_PRIVATE_KEY: privateKey };
      },
    ],
    'the catalog': [400, () => plans({ planId: 'other', unitAmount: '$0.015' })],
  };
  for (const [what, [refusal, vars]] of Object.entries(changes)) {
    test(`${what} is answered, and one that was not taken is refused`, async () => {
      await shop.restartWorker(await vars());
      const { named, unnamed } = taken;
      const again = await send(named.body, named.payment);
      assert.equal(again.status, 200, again.text);
      assert.deepEqual([again.body.txHash, again.body.accessToken], [named.answer.body.txHash, named.answer.body.accessToken]);
      const replayed = await send(unnamed.body, unnamed.payment);
      assert.equal(replayed.status, 409, replayed.text);
      assert.equal(replayed.body.details.requestId, unnamed.answer.body.requestId);
      for (const body of [{ planId: 'basic' }, named.body]) {
        const refused = await send(body, never);
        assert.equal(refused.status, refusal, refused.text);
      }
      assert.equal(await isUsed(shop, never.payload.authorization), false);
      assert.equal(Object.keys(records(shop)).length, 2);
      assert.equal((await income(shop)).length, 2);
    });
  }
});
