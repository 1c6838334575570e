// Payments that echo another offer than ours.
//
//  1. A buyer asks for a plan and gets an offer.
//  2. It signs a correct authorization, but what it says it accepted, or what it asks for beside it, differs from the offer
//     in one member; for the terms that are signed also, the authorization follows the change, so that nothing else is wrong.
//  3. Each is refused with its documented status and code, and the member is named. Nothing is broadcast, nothing stored.
//  4. The offer that came with a refusal can be paid.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { income } from './support/facts.mjs';
import { assertRefused } from './support/refusal.mjs';
import { number } from './support/seal.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const STRANGER = '0x00000000000000000000000000000000000000AA';
const NO_MATCH = { status: 402, code: 'PAYMENT_FAILED', reason: 'invalid_payment_requirements' };
const UNKNOWN = { status: 404, code: 'CHALLENGE_NOT_FOUND' };
let buyer;
const world = useWorld({ backend: false }, async (ready) => {
  buyer = await ready.newBuyer();
});

describe('what the client echoes decides nothing', () => {
  const changes = {
    scheme: { change: { accepted: { scheme: 'upto' } } },
    'amount, signed as well': { change: { accepted: { amount: '1' }, authorization: { value: '1' } }, mismatch: ['amount'] },
    'amount as a number': { change: { accepted: { amount: 15000 } }, mismatch: ['amount'] },
    'amount left out': { change: { accepted: { amount: undefined } }, mismatch: ['amount'] },
    'payTo, signed as well': { change: { accepted: { payTo: STRANGER }, authorization: { to: STRANGER } }, mismatch: ['payTo'] },
    'asset, signed as well': { change: { accepted: { asset: STRANGER }, domain: { verifyingContract: STRANGER } }, mismatch: ['asset'] },
    'network, signed as well': { change: { accepted: { network: 'eip155:8453' }, domain: { chainId: 8453 } }, mismatch: ['network'] },
    maxTimeoutSeconds: { change: { accepted: { maxTimeoutSeconds: 301 } } },
    'extra.name': { change: { extra: { name: 'USD Coin' } }, mismatch: ['name'] },
    'extra.version': { change: { extra: { version: '1' } }, mismatch: ['version'] },
    'extra.paymentFlow': { change: { extra: { paymentFlow: 'authorization' } }, mismatch: ['paymentFlow'] },
    'extra.planId': { change: { extra: { planId: 'pro-monthly' } }, mismatch: ['planId'] },
    'extra.requestId': { change: { extra: { requestId: randomUUID() } }, mismatch: ['requestId'] },
    'extra.resourceId': { change: { extra: { resourceId: 'other' } }, mismatch: ['resourceId'] },
  };
  for (const [name, { change, mismatch = [name] }] of Object.entries(changes)) {
    test(`${name} changed in \`accepted\`: refused, and the member is named`, async () => {
      const body = { planId: 'basic', requestId: randomUUID() };
      const { required } = await access(world.url, body);
      const payment = await signPayment(buyer.privateKey, required, change);
      await assertRefused(world, () => access(world.url, body, { payment }), { ...NO_MATCH, mismatch });
    });
  }
});

describe('an offer pays for nothing but itself', () => {
  const offered = { planId: 'basic', requestId: randomUUID(), resourceId: 'photos' };
  const requests = {
    'a dearer plan': { body: { ...offered, planId: 'pro-monthly' }, mismatch: ['planId'] },
    'another request id': { body: { ...offered, requestId: randomUUID() }, mismatch: ['requestId'] },
    'another resource': { body: { ...offered, resourceId: 'films' }, mismatch: ['resourceId'] },
  };
  for (const [name, { body, mismatch }] of Object.entries(requests)) {
    test(`the offer of one purchase echoed for ${name}: refused`, async () => {
      const { required } = await access(world.url, offered);
      const payment = await signPayment(buyer.privateKey, required);
      await assertRefused(world, () => access(world.url, body, { payment }), { ...NO_MATCH, mismatch });
    });
  }

  test('the cheap price for a dear plan, without any echoed challenge: refused', async () => {
    const { required } = await access(world.url, { planId: 'basic' });
    const payment = await signPayment(buyer.privateKey, required, { accepted: { extra: undefined } });
    await assertRefused(world, () => access(world.url, { planId: 'pro-monthly' }, { payment }), { ...NO_MATCH, mismatch: ['amount'] });
  });
});

describe('a challenge id that we did not seal opens nothing', () => {
  /** The bytes of issue, expiry, amount and chain id follow the version byte, eight each. */
  const withAmount = (id, amount) => {
    const bytes = Buffer.from(id, 'base64url');
    // Behind version, flags, kind, request id, plan, resource, recipient and chain.
    const at = 3 + 16 + 1 + 'basic'.length + 1 + 'default'.length + 20 + number(84532).length;
    return Buffer.concat([bytes.subarray(0, at), number(amount), bytes.subarray(at + number(15_000n).length)]).toString('base64url');
  };
  const forgeries = {
    'one character changed': (id) => id.slice(0, 9) + (id[9] === 'A' ? 'B' : 'A') + id.slice(10),
    'the seal cut off': (id) => id.slice(0, -22),
    'another text': () => 'not-a-challenge',
    'nothing but a seal': (id) => id.slice(-22),
    'a text of 10 kB': () => 'A'.repeat(10_000),
  };
  for (const [name, forge] of Object.entries(forgeries)) {
    test(`${name}: CHALLENGE_NOT_FOUND`, async () => {
      const { required } = await access(world.url, { planId: 'basic' });
      const payment = await signPayment(buyer.privateKey, required, { extra: { challengeId: forge(required.accepts[0].extra.challengeId) } });
      await assertRefused(world, () => access(world.url, { planId: 'basic' }, { payment }), UNKNOWN);
    });
  }

  test('a lower amount written into the id, and accepted, and signed: CHALLENGE_NOT_FOUND', async () => {
    const { required } = await access(world.url, { planId: 'basic' });
    const id = required.accepts[0].extra.challengeId;
    assert.equal(withAmount(id, 15_000n), id, 'the amount is not where this test looks for it');
    const payment = await signPayment(buyer.privateKey, required, { authorization: { value: '1' }, accepted: { amount: '1' }, extra: { challengeId: withAmount(id, 1n) } });
    await assertRefused(world, () => access(world.url, { planId: 'basic' }, { payment }), UNKNOWN);
  });
});

test('the offer that came with a refusal can be paid', async () => {
  const body = { planId: 'basic' };
  const { required } = await access(world.url, body);
  const refused = await access(world.url, body, { payment: await signPayment(buyer.privateKey, required, { accepted: { amount: '1' } }) });
  assert.deepEqual(await income(world), [], 'some refused payment was taken');
  const paid = await access(world.url, body, { payment: await signPayment(buyer.privateKey, refused.required) });
  assert.equal(paid.status, 200, paid.text);
  assert.equal((await income(world)).length, 1);
});
