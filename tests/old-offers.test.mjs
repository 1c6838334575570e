// Offers that name another wallet than today's, or that ended long ago. Whoever has the token secret can seal any.
//
//  1. An offer that was sealed with the secret and names a wallet of the sealer's is taken neither by an authorization nor by a
//     transfer: the seller's wallet would have to return money that it never got. Nothing is stored.
//  2. With a KEY0_SEAL_SECRET the token secret seals nothing, unless it stands behind the new secret; and what the new secret has
//     sealed is paid.
//  3. A transfer can be shown until thirty days after the end of its offer.
//  4. The seller takes another wallet. Offers of the first one are taken no more; what was paid to it is answered.
//  5. With KEY0_WALLET_ADDRESSES_OLD they are taken, and pay the first wallet.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { broadcasts, income, stored } from './support/facts.mjs';
import { seal } from './support/seal.mjs';
import { newSender, present, proofOf, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const DAY = 86_400;
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const now = () => Math.floor(Date.now() / 1000);

describe('an offer that somebody else has sealed with the secret', () => {
  const world = useWorld({ backend: false });

  test('and that names a wallet of his own is not taken, however it is paid', async () => {
    const [thief, his] = [await newSender(world), await world.newBuyer(0n)];
    const request = order();
    const challengeId = seal(world.tokenSecret, { requestId: request.requestId, payTo: his.address, issuedAt: now() - 60, expiresAt: now() + 600 });
    const { required } = await access(world.url, request);
    const change = { authorization: { to: his.address }, accepted: { payTo: his.address }, extra: { challengeId } };
    const sent = await broadcasts(world);
    const paid = await access(world.url, request, { payment: await signPayment(thief.privateKey, required, change) });
    assert.deepEqual([paid.status, paid.body.code], [410, 'CHALLENGE_EXPIRED'], paid.text);
    assert.equal(paid.settled.errorReason, 'challenge_withdrawn');

    const hash = await transfer(world, thief, 15_000n, his.address);
    const shown = await present(world, await proofOf({ challengeId }, thief, hash));
    assert.deepEqual([shown.status, shown.body.code, shown.body.details.reason], [400, 'INVALID_PROOF', 'wallet_not_used'], shown.text);
    assert.equal(await broadcasts(world), sent);
    assert.deepEqual(stored(world), {});
  });

  test('is taken when it names the seller’s wallet: it is like any other', async () => {
    const sender = await newSender(world);
    const challengeId = seal(world.tokenSecret, { ...order(), payTo: world.seller.address, issuedAt: now() - 60, expiresAt: now() + 600 });
    const hash = await transfer(world, sender);
    const shown = await present(world, await proofOf({ challengeId }, sender, hash));
    assert.equal(shown.status, 200, shown.text);
  });

  test('is not taken where offers have a secret of their own, unless the token secret stands behind that', async () => {
    const own = 'a secret for offers of 32 letters';
    const sender = await newSender(world);
    const challengeId = seal(world.tokenSecret, { ...order(), payTo: world.seller.address, issuedAt: now() - 60, expiresAt: now() + 600 });
    const proof = await proofOf({ challengeId }, sender, await transfer(world, sender));
    await world.restartWorker({ KEY0_SEAL_SECRET: own });
    const unknown = await present(world, proof);
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'CHALLENGE_NOT_FOUND'], unknown.text);
    const buyer = await world.newBuyer();
    const offered = await access(world.url, order());

    await world.restartWorker({ KEY0_SEAL_SECRET: `${own},${world.tokenSecret}` });
    const shown = await present(world, proof);
    assert.equal(shown.status, 200, shown.text);
    const { requestId } = offered.body;
    const paid = await access(world.url, { planId: 'basic', requestId }, { payment: await signPayment(buyer.privateKey, offered.required) });
    assert.equal(paid.status, 200, paid.text);
    await world.restartWorker({});
  });

  test('and that ended thirty days ago is not paid by any transfer', async () => {
    const sender = await newSender(world);
    const hash = await transfer(world, sender);
    const ended = async (expiresAt) => {
      const challengeId = seal(world.tokenSecret, { ...order(), payTo: world.seller.address, issuedAt: expiresAt - 900, expiresAt });
      return present(world, await proofOf({ challengeId }, sender, hash));
    };
    const late = await ended(now() - 30 * DAY);
    assert.deepEqual([late.status, late.body.code, late.body.details.reason], [410, 'CHALLENGE_EXPIRED', 'shown_too_late'], late.text);
    assert.match(late.body.message, /30 days.*Ask the seller/);
    const inTime = await ended(now() - 30 * DAY + 120);
    assert.equal(inTime.body.details.reason, 'transfer_after_expiry', inTime.text);
  });
});

describe('the wallet that the seller had before', () => {
  const world = useWorld({ backend: false });

  test('is paid no more for its offers, and what was paid to it is answered', async () => {
    const [buyer, late] = [await world.newBuyer(), await newSender(world)];
    const [done, open] = [order(), order()];
    const payment = await signPayment(buyer.privateKey, (await access(world.url, done)).required);
    const grant = await access(world.url, done, { payment });
    assert.equal(grant.status, 200, grant.text);
    const offered = await access(world.url, open);
    const unpaid = await signPayment(late.privateKey, offered.required);

    const other = await world.newBuyer(0n);
    const moved = { KEY0_WALLET_ADDRESS: other.address, KEY0_WALLET_PRIVATE_KEY: other.privateKey };
    await world.restartWorker(moved);
    assert.equal((await access(world.url, done, { payment })).text, grant.text);
    const refused = await access(world.url, open, { payment: unpaid });
    assert.deepEqual([refused.status, refused.settled.errorReason], [410, 'challenge_withdrawn'], refused.text);
    assert.equal((await income(world)).length, 1);

    await world.restartWorker({ ...moved, KEY0_WALLET_ADDRESSES_OLD: world.seller.address });
    const taken = await access(world.url, open, { payment: unpaid });
    assert.equal(taken.status, 200, taken.text);
    assert.deepEqual((await income(world)).map(({ from }) => from), [buyer.address, late.address]);
    const { required } = await access(world.url, order());
    assert.equal(required.accepts[0].payTo, other.address);
  });
});
