// Buying without naming a plan.
//
//  1. A registry probes the door with an empty body: 402 with sealed offers, the cheapest plans of at most $1, at most three, all
//     headers below 6 kB; the body for version 1 has the first alone. Nothing is stored.
//  2. With a requestId the first plan is offered, under that id; with a resourceId, what opens it.
//  3. The published clients of version 2 and version 1 pay what they are offered, with no body and with {}: the first plan, once.
//  4. A client that chooses another entry pays that plan, and sends no planId.
//  5. A payment that echoes nothing pays the first plan if the amount is its price, otherwise 402.
//  6. The seller makes another plan the cheapest: a payment that was taken before and is sent again gets its outcome.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { income, records } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, decodeAnswer, encodeHeader, legacyFetch, payingFetch, signPayment } from './support/x402.mjs';

const plan = (planId, unitAmount, more = {}) => ({ planId, unitAmount, description: `Some ${planId}.`, ...more });
const PLANS = [plan('year', '$90'), plan('day', '$0.05'), plan('hour', '$0.02'), plan('week', '$0.90'), plan('photos', '$0.95', { resourceIds: ['photos'] }), plan('dear', '$1.01')];
const HOUR = 20_000n;
const world = useWorld({ backend: false, vars: { PLANS: JSON.stringify(PLANS) } });
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address).map(({ value }) => value);
const plansOf = ({ required }) => required.accepts.map(({ extra }) => extra.planId);
const headerBytes = ({ headers }) => [...headers].reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
const BODIES = { 'no body': undefined, '{}': '{}' };

/** One POST with exactly this body. */
const post = (send, body) => send(`${world.url}/x402/access`, { method: 'POST', ...(body !== undefined && { body, headers: { 'content-type': 'application/json' } }) });

for (const [name, body] of Object.entries(BODIES)) {
  test(`${name}: the cheapest plans are offered, each under a sealed id of its own, and nothing is stored`, async () => {
    const before = Object.keys(records(world));
    const answer = await decodeAnswer(await post(fetch, body));
    assert.equal(answer.status, 402, answer.text);
    assert.deepEqual(plansOf(answer), ['hour', 'day', 'week']);
    assert.equal(new Set(answer.required.accepts.map(({ extra }) => extra.requestId)).size, 3);
    assert.ok(headerBytes(answer) < 6_000, `${headerBytes(answer)} bytes of headers`);
    assert.deepEqual(answer.body.accepts.map(({ maxAmountRequired }) => maxAmountRequired), [String(HOUR)]);
    assert.deepEqual([answer.body.planId, answer.body.nextStep.body.planId], ['hour', 'hour']);
    assert.match(answer.body.message, /\/discover/);
    assert.deepEqual(Object.keys(records(world)), before);
  });

  for (const [version, fetchOf] of [[2, payingFetch], [1, legacyFetch]]) {
    test(`${name}: the published client of version ${version} buys the first plan, once`, async () => {
      const buyer = await world.newBuyer();
      const answer = await decodeAnswer(await post(fetchOf(buyer.privateKey), body));
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.body.planId, 'hour');
      assert.ok(answer.body.accessToken);
      assert.deepEqual(await paidBy(buyer), [HOUR]);
      assert.equal((version === 1 ? answer.settledV1 : answer.settled).success, true);
    });
  }
}

test('with a requestId the first plan is offered under that id; with a resourceId, the plans that open it', async () => {
  const requestId = randomUUID();
  const named = await access(world.url, { requestId });
  assert.deepEqual(plansOf(named), ['hour']);
  assert.equal(named.required.accepts[0].extra.requestId, requestId);
  const buyer = await world.newBuyer();
  const bought = await access(world.url, { requestId }, { payment: await signPayment(buyer.privateKey, named.required) });
  assert.deepEqual([bought.status, bought.body.requestId], [200, requestId], bought.text);
  const photos = await access(world.url, { resourceId: 'photos' });
  assert.deepEqual(photos.required.accepts.map(({ extra }) => extra.resourceId), ['photos', 'photos', 'photos']);
});

test('a client that chooses another entry pays that plan without naming it', async () => {
  const buyer = await world.newBuyer();
  const { required } = await access(world.url, {});
  const payment = await signPayment(buyer.privateKey, required, { offer: 1 });
  const answer = await access(world.url, {}, { payment });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual([answer.body.planId, answer.body.requestId], ['day', required.accepts[1].extra.requestId]);
  const again = await access(world.url, '', { payment });
  assert.equal(again.text, answer.text);
  assert.deepEqual(await paidBy(buyer), [50_000n]);
});

test('a payment that echoes nothing pays the first plan, and no other', async () => {
  const [{ required }, other] = [await access(world.url, {}), await world.newBuyer()];
  const dearer = asVersion1(await signPayment(other.privateKey, required, { offer: 1 }));
  const refused = await access(world.url, {}, { headers: { 'x-payment': encodeHeader(dearer) } });
  assert.equal(refused.status, 402, refused.text);
  assert.deepEqual(plansOf(refused), ['hour']);
  assert.deepEqual(await paidBy(other), []);
  const bare = await signPayment(other.privateKey, required, { accepted: { extra: undefined } });
  const answer = await access(world.url, {}, { payment: bare });
  assert.deepEqual([answer.status, answer.body.planId], [200, 'hour'], answer.text);
  assert.deepEqual(await paidBy(other), [HOUR]);
});

test('what was taken is found again when another plan has become the cheapest', async () => {
  const buyer = await world.newBuyer();
  const requestId = randomUUID();
  const { required } = await access(world.url, { requestId });
  const payment = encodeHeader(asVersion1(await signPayment(buyer.privateKey, required)));
  const send = () => access(world.url, { requestId }, { headers: { 'x-payment': payment } });
  const first = await send();
  assert.equal(first.status, 200, first.text);
  const purchases = Object.keys(records(world)).length;
  for (const cheapest of [plan('minute', '$0.001'), plan('another', '$0.02')]) {
    await world.restartWorker({ PLANS: JSON.stringify([cheapest, ...PLANS.slice(0, 2)]) });
    const again = await send();
    assert.equal(again.status, 200, again.text);
    assert.deepEqual([again.body.txHash, again.body.planId], [first.body.txHash, 'hour']);
  }
  assert.deepEqual(await paidBy(buyer), [HOUR]);
  assert.equal(Object.keys(records(world)).length, purchases);
});
