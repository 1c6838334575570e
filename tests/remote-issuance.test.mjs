// A backend that misbehaves while it issues: each way has its outcome, which the agent, the backend and the chain see.
//
//  1. It answers 500 twice and then works: the buyer notices nothing. Three calls with one key and one body.
//  2. It goes on failing: 502 after the repeats, 500 ms and 1 s apart; the purchase is delivered when it works again.
//  3. It gives no answer in time, or one without end, drop by drop, or half of one: 504 after a single call.
//  4. It answers without end, fast; sends elsewhere; cuts the connection, also in the middle of the answer; answers without a
//     token: 502. Answers without end are cut off, and the other place is never asked.
//  5. It issues and does not tell: the call is repeated with the same key, and the buyer gets what was issued first.
//  6. What the seller wrote into the plan's `extra` reaches the backend, and no buyer.
//  7. In all of them the buyer is charged once, and gets the goods and no refund.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const PRICE = 15_000n;
const issuer = await startIssuer();
const elsewhere = { asked: 0 };
const other = createServer((_, response) => {
  elsewhere.asked += 1;
  response.writeHead(200).end('{"token":"from elsewhere"}');
});
await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
after(() => Promise.all([issuer.stop(), new Promise((resolve) => other.close(resolve))]));
issuer.redirectTo(`http://127.0.0.1:${other.address().port}/internal/issue-token`);

const world = useWorld({
  backend: false,
  vars: {
    TOKEN_MODE: 'remote',
    BACKEND_API_URL: issuer.url,
    TOKEN_ISSUE_TIMEOUT_MS: '1500',
    REFUND_MIN_AGE_MS: '120000',
    PLANS: JSON.stringify([
      { planId: 'basic', unitAmount: '$0.015' },
      { planId: 'team', unitAmount: '$0.015', quota: { calls: 50 }, extra: { seats: 5, tier: { name: 'gold' }, planId: 'forged' } },
    ]),
  },
});
beforeEach(() => issuer.behave('works'));

/** Buys while the backend behaves like this, and says how often it was called until the buyer had an answer. */
async function buyWhile(how, planId = 'basic') {
  issuer.behave(how);
  const buyer = await world.newBuyer();
  const request = { planId, requestId: randomUUID() };
  const bought = await buy(world.url, buyer.privateKey, request);
  return { buyer, request, bought, calls: issuer.callsFor(request.requestId) };
}

async function assertDelivered({ buyer, request, bought }) {
  issuer.behave('works');
  const ask = () => access(world.url, request, { payment: bought.payment });
  const delivered = await poll(async () => {
    const answer = await ask();
    return answer.status === 200 && answer;
  }, 'the delivery', 30_000);
  const calls = issuer.callsFor(request.requestId);
  assert.deepEqual(new Set(calls.map(({ key }) => key)), new Set([delivered.body.challengeId]));
  assert.equal(new Set(calls.map(({ text }) => text)).size, 1, 'a repeated call is another');
  assert.equal(delivered.body.accessToken, issuer.issued.get(delivered.body.challengeId).token);
  assert.equal((await ask()).text, delivered.text);
  const charges = await world.chain.transfers({ from: buyer.address, to: world.seller.address });
  assert.deepEqual(charges.map(({ args }) => args.value), [PRICE]);
  assert.deepEqual(await world.chain.transfers({ from: world.seller.address, to: buyer.address }), []);
}

const failures = (count) => {
  let left = count;
  return () => (left-- > 0 ? 'fails' : 'works');
};

test('two failures in a row are not noticed', async () => {
  const purchase = await buyWhile(failures(2));
  assert.equal(purchase.bought.status, 200, purchase.bought.text);
  assert.equal(issuer.callsFor(purchase.request.requestId).length, 3);
  await assertDelivered(purchase);
});

for (const [how, status, code, repeats] of [
  ['fails', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['cuts', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['loses', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['tears', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['empty', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['redirects', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['floods', 502, 'TOKEN_ISSUE_FAILED', 2],
  ['hangs', 504, 'TOKEN_ISSUE_TIMEOUT', 0],
  ['mutes', 504, 'TOKEN_ISSUE_TIMEOUT', 0],
  ['drips', 504, 'TOKEN_ISSUE_TIMEOUT', 0],
  ['stalls', 504, 'TOKEN_ISSUE_TIMEOUT', 0],
]) {
  test(`a backend that ${how} is told of with ${status} after ${repeats} repeats, and delivers later`, async () => {
    const before = issuer.cutOff.count;
    const purchase = await buyWhile(how);
    const { bought, calls } = purchase;
    assert.equal(bought.status, status, bought.text);
    assert.equal(bought.body.code, code);
    assert.equal(bought.body.details.state, 'PAID');
    assert.equal(bought.settled.success, true, 'the payment itself has succeeded');
    assert.equal(calls.length, 1 + repeats);
    // Pauses may only be longer than they are documented.
    const pauses = calls.slice(1).map(({ at }, index) => at - calls[index].at);
    pauses.forEach((pause, index) => assert.ok(pause >= 500 * 2 ** index - 50, `repeated after ${pause} ms`));
    if (['floods', 'drips', 'stalls', 'tears'].includes(how)) await poll(() => issuer.cutOff.count >= before + 1 + repeats, 'the connections to be closed');
    await assertDelivered(purchase);
    assert.equal(elsewhere.asked, 0);
  });
}

test('the extra of a plan reaches the backend and no buyer', async () => {
  const purchase = await buyWhile('works', 'team');
  assert.equal(purchase.bought.status, 200, purchase.bought.text);
  const [{ body }] = issuer.callsFor(purchase.request.requestId);
  assert.equal(body.seats, 5);
  assert.deepEqual(body.tier, { name: 'gold' });
  assert.deepEqual(body.limits, { quota: { calls: 50 } }, 'the limits are told too');
  assert.equal(body.planId, 'team', 'extra replaces nothing that the worker says');
  assert.doesNotMatch(purchase.bought.text + JSON.stringify(purchase.bought.required), /gold|seats/);
  assert.doesNotMatch(await (await fetch(`${world.url}/discover`)).text(), /gold|seats/);
});

test('without repeats a failure is told at once', async () => {
  await world.restartWorker({ TOKEN_ISSUE_RETRIES: '0' });
  const purchase = await buyWhile('fails');
  assert.equal(purchase.bought.status, 502, purchase.bought.text);
  assert.equal(purchase.calls.length, 1);
  await assertDelivered(purchase);
});
