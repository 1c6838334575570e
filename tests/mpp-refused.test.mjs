// What clients of the Machine Payments Protocol are told when a payment does not buy. They sign a new payment for every 402 that
// has a challenge, so there is one only where certainly nothing was begun.
//
//  1. Nothing was begun: 402 with a new challenge, and the problem that it is. A challenge of another seller or of another
//     request, an altered one, a changed digest, an expired one; another amount, recipient, chain or payer; garbage. Nothing is
//     stored, nothing is broadcast.
//  2. A credential that has paid gets its answer again, with the same receipt; for another purchase it is 403.
//  3. The transfer is included and reverts: 503 until the authorization is over, then 403; no challenge.
//  4. The outcome is open: 503 with Retry-After, no challenge. SIGKILL after the broadcast: the same; then the grant, with the
//     receipt of the one transfer.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { encodeFunctionData, parseGwei } from 'viem';
import { call } from './support/calls.mjs';
import { broadcasts, income, paidBy, stored } from './support/facts.mjs';
import { challengeOf, credentialFor, mppxFetch, paying, receiptOf } from './support/mpp.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { access } from './support/x402.mjs';

const PRICE = 15_000n;
const PLAN = { planId: 'basic' };
const STRANGER = '0x00000000000000000000000000000000000000A1';
const origin = await startOrigin();
after(() => origin.stop());

const problemOf = ({ body }) => body.type.split('/').at(-1);
const challenge = async (world, body, headers) => challengeOf((await access(world.url, body, { headers })).headers);
const pay = (world, body, credential, name) => access(world.url, body, { headers: paying(credential, name) });

/** 402 with a challenge that is a new one, or another status without any. */
function assertTold(answer, status, problem) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(problemOf(answer), problem, answer.text);
  assert.equal(answer.body.status, status);
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(answer.headers.has('www-authenticate'), status === 402, answer.text);
  assert.equal(answer.headers.has('payment-required'), status === 402, answer.text);
  assert.equal(answer.headers.get('payment-receipt'), null);
}

describe('nothing was begun', () => {
  const world = useWorld(selling(origin));
  const other = useWorld(selling(origin));

  /** A challenge to this buyer, changed or signed otherwise. */
  const cases = {
    'an amount that was changed in what is repeated': [{ challenge: { request: Buffer.from('{"amount":"1"}').toString('base64url') } }, 'invalid-challenge'],
    'another expiry': [{ challenge: { expires: '2099-01-01T00:00:00Z' } }, 'invalid-challenge'],
    'another realm': [{ challenge: { realm: 'other.example' } }, 'invalid-challenge'],
    'a changed digest': [{ challenge: { digest: 'sha-256=:AAAA:' } }, 'invalid-challenge'],
    'an `opaque` that was never sent': [{ challenge: { opaque: 'e30' } }, 'invalid-challenge'],
    'another header': [{ challenge: { header: 'Payment-Authorization' } }, 'invalid-challenge'],
    'an id that was altered': [{ challenge: { id: 'AAAA' } }, 'invalid-challenge'],
    'too little': [{ authorization: { value: '1' } }, 'verification-failed'],
    'another recipient': [{ authorization: { to: STRANGER } }, 'verification-failed'],
    'another chain': [{ chainId: 8453 }, 'verification-failed'],
    'a nonce that does not follow from the challenge': [{ authorization: { nonce: `0x${'2'.repeat(64)}` } }, 'verification-failed'],
    'a source that is not the payer': [{ source: `did:pkh:eip155:84532:${STRANGER}` }, 'verification-failed'],
    'an authorization that is over': [{ authorization: { validBefore: '1700000000' } }, 'payment-expired'],
    'an authorization that has not begun': [{ authorization: { validAfter: '4000000000', validBefore: '4000000900' } }, 'verification-failed'],
  };
  for (const [name, [change, problem]] of Object.entries(cases)) {
    test(`for ${name}: ${problem}`, async () => {
      const buyer = await world.newBuyer();
      const before = await broadcasts(world);
      const credential = await credentialFor(buyer.privateKey, await challenge(world, PLAN), change);
      assertTold(await pay(world, PLAN, credential, 'Authorization'), 402, problem);
      assert.equal(await broadcasts(world), before);
      assert.deepEqual(await paidBy(world, buyer), []);
    });
  }

  test('for a wallet without money: payment-insufficient', async () => {
    const buyer = await world.newBuyer(0n);
    const credential = await credentialFor(buyer.privateKey, await challenge(world, PLAN));
    assertTold(await pay(world, PLAN, credential), 402, 'payment-insufficient');
  });

  test('for a challenge of another seller, or for another plan, resource or call: invalid-challenge', async () => {
    const buyer = await world.newBuyer();
    const foreign = await credentialFor(buyer.privateKey, await challenge(other, PLAN));
    assertTold(await pay(world, PLAN, foreign), 402, 'invalid-challenge');
    const own = await credentialFor(buyer.privateKey, await challenge(world, PLAN));
    for (const body of [{ planId: 'other' }, { ...PLAN, resourceId: 'else' }, { ...PLAN, requestId: randomUUID() }]) {
      const answer = await pay(world, body, own);
      if (answer.status === 402) assertTold(answer, 402, 'invalid-challenge');
      else assert.equal(answer.status, 400, answer.text);
      assert.equal(answer.headers.has('www-authenticate'), answer.status === 402);
    }
    const url = `${world.url}/api/search?q=1`;
    const { headers } = await call(url);
    const forCall = await credentialFor(buyer.privateKey, challengeOf(headers));
    assertTold(await call(`${world.url}/api/search?q=2`, { headers: paying(forCall) }), 402, 'invalid-challenge');
    assertTold(await call(`${world.url}/api/premium/rome`, { headers: paying(forCall) }), 402, 'invalid-challenge');
    // Without the call it hears where the call belongs.
    const lost = await pay(world, '', forCall);
    assertTold(lost, 400, 'about:blank');
    assert.equal(lost.body.code, 'MISSING_RESOURCE_FIELD');
    assertTold(await pay(world, PLAN, forCall), 402, 'invalid-challenge');
    assert.deepEqual(await income(world), []);
  });

  test('for what cannot be read: malformed-credential, invalid-payload; for what is not offered: method-unsupported', async () => {
    const buyer = await world.newBuyer();
    for (const text of ['garbage', 'e30', 'W10', 'A'.repeat(20_000)]) {
      const answer = await access(world.url, PLAN, { headers: { authorization: `Payment ${text}` } });
      assertTold(answer, 402, 'malformed-credential');
    }
    const credential = await credentialFor(buyer.privateKey, await challenge(world, PLAN));
    const hash = { ...credential, payload: { type: 'hash', hash: `0x${'a'.repeat(64)}` } };
    assertTold(await pay(world, PLAN, hash), 402, 'invalid-payload');
    const tempo = { ...credential, challenge: { ...credential.challenge, method: 'tempo' } };
    assertTold(await pay(world, PLAN, tempo), 400, 'method-unsupported');
    for (const headers of [{ authorization: 'Bearer abc' }, { authorization: 'Basic YTpi' }]) {
      const answer = await access(world.url, PLAN, { headers });
      assert.equal(answer.status, 402, answer.text);
      assert.match(answer.headers.get('www-authenticate'), /header="Payment-Authorization"$/);
    }
  });

  test('and no object holds anything after all of this', () => {
    const { PurchaseObject, PayerObject } = stored(world);
    assert.deepEqual(PurchaseObject?.record ?? [], []);
    assert.deepEqual(PayerObject?.payments ?? [], []);
  });
});

describe('an offer that is over', () => {
  const world = useWorld({ backend: false, vars: { CHALLENGE_TTL_SECONDS: '8' } });
  test('is not charged, and the answer has a new challenge; one that was paid in time gets its grant also then', async () => {
    const [late, early] = [await world.newBuyer(), await world.newBuyer()];
    const unpaid = await credentialFor(late.privateKey, await challenge(world, PLAN));
    const inTime = await credentialFor(early.privateKey, await challenge(world, PLAN), { authorization: { validBefore: '4000000000' } });
    const first = await pay(world, PLAN, inTime);
    assert.equal(first.status, 200, first.text);
    const over = Date.parse(inTime.challenge.expires) + 1_000;
    await poll(() => Date.now() > over, 'the end of the offer', 30_000);
    assertTold(await pay(world, PLAN, unpaid), 402, 'payment-expired');
    const again = await pay(world, PLAN, inTime);
    assert.equal(again.status, 200, again.text);
    assert.deepEqual(receiptOf(again.headers), receiptOf(first.headers));
    assert.equal((await income(world)).length, 1);
  });
});

describe('something was begun', { concurrency: true }, () => {
  const reused = useWorld({ backend: false });
  test('a credential that has paid gets its answer again, and buys nothing else', async () => {
    const world = reused;
    const buyer = await world.newBuyer();
    const credential = await credentialFor(buyer.privateKey, await challenge(world, PLAN));
    const first = await pay(world, PLAN, credential);
    assert.equal(first.status, 200, first.text);
    const again = await pay(world, PLAN, credential);
    assert.equal(again.status, 200, again.text);
    assert.equal(again.body.accessToken, first.body.accessToken);
    assert.equal(again.headers.get('payment-receipt'), first.headers.get('payment-receipt'));
    assert.equal((await paidBy(world, buyer)).length, 1);
  });

  const reverting = useWorld({ backend: false });
  test('a transfer that is included and reverts: 503 while it may still be executed, then 403, and nobody signs anew', async () => {
    const world = reverting;
    const buyer = await world.newBuyer();
    const offer = await challenge(world, PLAN);
    // It is certain to have failed once it can no longer be executed.
    const soon = String(Math.floor(Date.now() / 1000) + 20);
    const credential = await credentialFor(buyer.privateKey, offer, { authorization: { validBefore: soon } });
    await world.chain.holdBlocks();
    const first = pay(world, PLAN, credential);
    await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node');
    // In the same block, and before it, the token blocks the payer.
    const data = encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'setBlacklisted', args: [buyer.address, true] });
    const blocking = world.chain.transact({ to: world.chain.usdc.address, data, maxPriorityFeePerGas: parseGwei('90'), maxFeePerGas: parseGwei('200') });
    await poll(async () => (await world.chain.client.getTxpoolStatus()).pending === 2, 'both transactions in the node');
    await world.chain.setBlockTime(0);
    await world.chain.mine();
    await blocking;
    assert.notEqual((await first).status, 402);
    const told = await poll(async () => {
      const answer = await pay(world, PLAN, credential);
      return answer.status !== 503 && answer;
    }, 'the outcome', 60_000);
    assertTold(told, 403, 'verification-failed');
    const other = await credentialFor(buyer.privateKey, offer, { form: 'list' });
    assertTold(await pay(world, PLAN, other), 403, 'verification-failed');
    assert.deepEqual(await paidBy(world, buyer), []);
  });

  const killed = useWorld({ backend: false });
  test('SIGKILL after the broadcast: no challenge, and then the grant with the receipt of the one transfer', async () => {
    const world = killed;
    const buyer = await world.newBuyer();
    const credential = await credentialFor(buyer.privateKey, await challenge(world, PLAN));
    await world.chain.holdBlocks();
    const lost = assert.rejects(pay(world, PLAN, credential));
    await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node');
    await world.killWorker();
    await lost;
    await world.restartWorker();
    const open = await pay(world, PLAN, credential);
    assertTold(open, 503, 'internal-payment-error');
    assert.ok(Number(open.headers.get('retry-after')) > 0);
    // The published client starts anew, as an application does after a 503; it signs once more, and is not charged.
    const again = await mppxFetch(buyer.privateKey)(`${world.url}/x402/access`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(PLAN) });
    assert.equal(again.status, 503, await again.text());
    await world.chain.setBlockTime(0);
    await world.chain.mine();
    const granted = await poll(async () => {
      const answer = await pay(world, PLAN, credential);
      return answer.status === 200 && answer;
    }, 'the grant', 60_000);
    const paid = await income(world);
    assert.deepEqual(paid.map(({ value }) => value), [PRICE]);
    assert.equal(receiptOf(granted.headers).reference, paid[0].hash);
    assert.equal(await broadcasts(world), 1);
  });
});
