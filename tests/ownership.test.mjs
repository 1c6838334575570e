// Who gets a grant, and who does not.
//
//  1. A buyer buys with the published kind of request, with and without echoing the offer.
//  2. A stranger knows the request id and nothing else: 402, no token.
//  3. A stranger pays correctly, from another wallet, under the buyer's request id: REQUEST_CONFLICT, not charged.
//  4. A stranger reads the authorization and its signature from the chain, as anybody can, and presents them under a request
//     id of its own, under none, and under the buyer's request id: never a grant.
//  5. The buyer itself, by a fresh signature, gets the grant again; so does a client that kept neither request id nor offer,
//     while its own payment, public by then, opens nothing any more.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { broadcasts, isUsed } from './support/facts.mjs';
import { assertNoGrant, seenOnChain } from './support/stranger.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const world = useWorld({ backend: false });

describe('a request id alone', () => {
  test('opens nothing', async () => {
    const { privateKey } = await world.newBuyer();
    const request = { planId: 'basic', requestId: randomUUID() };
    const bought = await buy(world.url, privateKey, request);
    assert.equal(bought.status, 200, bought.text);
    const answer = await assertNoGrant(world, request, undefined, [402]);
    assert.doesNotMatch(answer.text, new RegExp(bought.body.txHash), 'the transaction is told to a stranger');
  });

  test('with another wallet’s good payment opens nothing, and that wallet is not charged', async () => {
    const { privateKey } = await world.newBuyer();
    const request = { planId: 'basic', requestId: randomUUID() };
    await buy(world.url, privateKey, request);
    const stranger = await world.newBuyer();
    const { required } = await access(world.url, request);
    const payment = await signPayment(stranger.privateKey, required);
    const answer = await assertNoGrant(world, request, payment, [409]);
    assert.equal(answer.body.code, 'REQUEST_CONFLICT');
    assert.equal(await isUsed(world, payment.payload.authorization), false);
    assert.equal(await world.chain.usdcBalance(stranger.address), 1_000_000_000n);
  });

  test('with the payer’s own authorization under a stranger’s signature opens nothing', async () => {
    const { privateKey, address } = await world.newBuyer();
    const stranger = await world.newBuyer();
    const request = { planId: 'basic', requestId: randomUUID() };
    await buy(world.url, privateKey, request);
    const { required } = await access(world.url, request);
    const payment = await signPayment(stranger.privateKey, required, { after: { from: address } });
    await assertNoGrant(world, request, payment, [402]);
  });
});

describe('an authorization seen on chain', () => {
  /** Buys, and tells what the chain shows of it. */
  const stolen = async () => {
    const { privateKey } = await world.newBuyer();
    const bought = await buy(world.url, privateKey, { planId: 'basic', requestId: randomUUID() });
    assert.equal(bought.status, 200, bought.text);
    return seenOnChain(world, bought.body.txHash);
  };
  const bareOffer = () => ({ scheme: 'exact', network: NETWORK, amount: '15000', asset: USDC_ADDRESS, payTo: world.seller.address });
  const present = (payload, accepted) => ({ x402Version: 2, accepted, payload });

  test('presented for an offer of the stranger’s own: no grant', async () => {
    const payload = await stolen();
    for (const request of [{ planId: 'basic' }, { planId: 'basic', requestId: randomUUID() }]) {
      const { required } = await access(world.url, request);
      await assertNoGrant(world, request, present(payload, required.accepts[0]), [409]);
    }
  });

  test('presented without any offer: no grant', async () => {
    const payload = await stolen();
    await assertNoGrant(world, { planId: 'basic' }, present(payload, bareOffer()), [409]);
    await assertNoGrant(world, { planId: 'basic', requestId: randomUUID() }, present(payload, bareOffer()), [409]);
  });
});

test('a client that keeps no secret at all is served once, and again only for a fresh signature', async () => {
  const { privateKey } = await world.newBuyer();
  const request = { planId: 'basic' };
  const { required } = await access(world.url, request);
  const bare = ({ extra, ...accepted }) => accepted;
  const keepingNothing = async () => {
    const payment = await signPayment(privateKey, required);
    return { ...payment, accepted: bare(payment.accepted) };
  };
  const payment = await keepingNothing();
  const bought = await access(world.url, request, { payment });
  assert.equal(bought.status, 200, bought.text);
  assert.match(bought.body.requestId, /^x402-[0-9a-f]{32}$/);

  // Everything in this payment can be read from the chain by now.
  const seen = { x402Version: 2, accepted: payment.accepted, payload: await seenOnChain(world, bought.body.txHash) };
  const refused = await assertNoGrant(world, request, seen, [409]);
  assert.equal(refused.body.code, 'TX_ALREADY_REDEEMED');
  assert.equal(refused.body.details.requestId, bought.body.requestId);

  const before = await broadcasts(world);
  const again = await access(world.url, { ...request, requestId: refused.body.details.requestId }, { payment: await keepingNothing() });
  assert.equal(again.text, bought.text);
  assert.equal(await broadcasts(world), before);
});

test('the buyer itself gets its grant again by a fresh signature', async () => {
  const { privateKey } = await world.newBuyer();
  const request = { planId: 'basic', requestId: randomUUID() };
  const bought = await buy(world.url, privateKey, request);
  const again = await buy(world.url, privateKey, request);
  assert.equal(again.text, bought.text);
  assert.equal(await isUsed(world, again.payment.payload.authorization), false);
});
