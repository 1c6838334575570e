// What is particular about clients of x402 version 1. (That the published one buys is in clients.test.mjs.)
//
//  1. The 402 carries the offer twice: in the header for version 2, in the body for version 1, both over the same price.
//  2. A version 1 payment knows no offer, so one that is sent without a requestId is a purchase that follows from the payment.
//     Sent again, while its answer is lost, it is the same purchase: charged once.
//  3. Delivered, its payment is public and opens nothing any more; a fresh signature with the requestId does.
//  4. Both payment headers: version 2 is taken, and answered.
//  5. A refusal is told in kind, with an offer that can be paid.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { income, isUsed } from './support/facts.mjs';
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
