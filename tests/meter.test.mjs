// A token of a plan with limits: its calls are counted, and never more are made than were sold.
//
//  1. A plan without limits works without a meter: no object is made.
//  2. 20 calls are exactly 20, however many are tried at once. Who is told to pay is told so when nothing can come back.
//  3. What the API does not answer, or answers with 500, is given back: it costs no unit and holds no place.
//  4. Ten at a time: of eleven slow calls one is refused, and the ten are answered. An answer that streams holds its place until it
//     ends, or its reader leaves, or its API is silent for a minute; it may take as long as it likes.
//  5. A rate holds to the call, and the headers say how the grant stands.
//  6. What a call costs is what the API says. Of a route that says what a call may cost, never more is sold at once. The buyer sees
//     no cost; what cannot be read is one unit and one line in the log.
//  7. Nobody pays and spends a unit: a payment that has begun a purchase gets its answer, whatever the token is good for; another one
//     is not used while something is left, and counts when nothing is.
//  8. SIGKILL: the buyer never has less than was sold, and at most 20 calls, and those under way, more.
//  9. A token that names no purchase with limits opens nothing, and stores nothing.
// 10. 35 days after the end of the access nothing is left of its meter.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, beforeEach, test } from 'node:test';
import { call } from './support/calls.mjs';
import { paidBy, stored } from './support/facts.mjs';
import { leftOver } from './support/occupied.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { CENT, selling } from './support/routes.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';
import { buy, signPayment } from './support/x402.mjs';

const MINUTE = 60_000;
const LIMITS = {
  plain: {},
  one: { quota: { calls: 1 } },
  two: { quota: { calls: 2 } },
  twenty: { quota: { calls: 20 } },
  thirty: { quota: { calls: 30 } },
  hundred: { quota: { calls: 100 } },
  credit: { quota: { credit: '$0.05' } },
  alone: { concurrency: 1 },
  ten: { concurrency: 10 },
  hourly: { quota: { calls: 50 }, rate: { calls: 5, per: 'hour' }, concurrency: 20 },
};
const PLANS = Object.entries(LIMITS).map(([planId, limits]) => ({ planId, unitAmount: '$0.015', ...limits }));
const plans = Object.keys(LIMITS);
const ROUTES = [
  { routeId: 'weather', method: 'GET', path: '/api/weather/:city', unitAmount: '$0.01', plans },
  { routeId: 'dear', method: 'GET', path: '/api/dear/:name', unitAmount: '$0.01', plans, maxCost: 20 },
];
const origin = await startOrigin();
after(() => origin.stop());
const vars = { PLANS: JSON.stringify(PLANS), ROUTES: JSON.stringify(ROUTES), PROXY_TIMEOUT_MS: '15000' };
const world = useWorld(selling(origin, vars));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
  origin.streams.length = 0;
});

/** Buys a plan. @returns its token, and what calls with it */
async function bought(planId) {
  const buyer = await world.newBuyer();
  const { status, text, body } = await buy(world.url, buyer.privateKey, { planId, requestId: randomUUID() });
  assert.equal(status, 200, text);
  const headers = { authorization: `Bearer ${body.accessToken}` };
  return { buyer, token: body.accessToken, headers, get: (path, options = {}) => call(`${world.url}${path}`, { headers, ...options }) };
}

/** Calls again as long as it is told to wait a moment. */
async function patiently(get, path) {
  for (;;) {
    const answer = await get(path);
    const { status, headers, body } = answer;
    if (status !== 429) return answer;
    assert.ok(Number(headers.get('retry-after')) >= 1);
    assert.equal(body.code, 'RATE_LIMITED');
    await sleep(50);
  }
}

const times = (count, act) => Promise.all(Array.from({ length: count }, (_, at) => act(at)));
const counts = (answers) => Object.groupBy(answers, ({ status }) => status);
const many = (answers, status) => counts(answers)[status]?.length ?? 0;
/** How many grants have an object. */
const objects = () => {
  const folder = join(world.state, 'objects', 'key0-GrantObject');
  return existsSync(folder) ? readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name)).length : 0;
};
const meters = () => (stored(world).GrantObject?.meter ?? []).map(({ body }) => JSON.parse(String(body)));

test('a token without limits opens its routes as ever, and makes no object', async () => {
  const before = objects();
  const { get } = await bought('plain');
  const answers = await times(5, () => get('/api/weather/oslo'));
  assert.equal(many(answers, 200), 5);
  for (const name of ['key0-left', 'ratelimit', 'ratelimit-policy']) assert.equal(answers[0].headers.get(name), null);
  assert.equal(objects(), before);
});

test('20 calls are exactly 20, whatever is tried at once', async () => {
  const { get } = await bought('twenty');
  const answers = await times(60, () => patiently(get, '/api/weather/oslo'));
  assert.equal(many(answers, 200), 20);
  assert.equal(many(answers, 402), 40);
  assert.equal(origin.calls.length, 20);
  const refused = await get('/api/weather/oslo');
  assert.equal(refused.status, 402);
  assert.match(refused.body.message, /used up: 20 calls/);
  assert.equal(refused.required.accepts[0].amount, String(CENT), 'the price of this call');
  assert.equal(refused.headers.get('key0-left'), '0');
  const [{ used }] = meters().filter(({ granted }) => granted.limits.quota?.calls === 20);
  assert.equal(used, 20, 'what is used up is written');
});

test('what the API does not answer well costs nothing and holds no place', async () => {
  const { get } = await bought('two');
  for (const [how, status] of /** @type {const} */ ([[500, 500], [503, 503], ['cuts', 502], ['hangs', 504], ['redirects', 502]])) {
    origin.behave(how);
    const answer = await get('/api/weather/oslo');
    assert.equal(answer.status, status, answer.text);
    if (typeof how === 'number') assert.equal(answer.body.called, 'GET /api/weather/oslo', 'it is passed on');
  }
  origin.behave(404);
  const first = await get('/api/weather/oslo');
  assert.equal(first.status, 404);
  assert.equal(first.headers.get('key0-left'), '1');
  origin.behave('works');
  assert.equal((await get('/api/weather/oslo')).headers.get('key0-left'), '0');
  assert.equal((await get('/api/weather/oslo')).status, 402);
  const [{ used }] = meters().filter(({ granted }) => granted.limits.quota?.calls === 2);
  assert.equal(used, 2, 'it is written before it is told');
});

test('the last unit is not offered for sale while it may come back', async () => {
  const { get } = await bought('one');
  origin.behave('waits');
  const first = get('/api/weather/oslo');
  await poll(() => origin.calls.length === 1, 'the call');
  const second = await get('/api/weather/oslo');
  assert.equal(second.status, 429, second.text);
  assert.equal(second.body.details.reason, 'units_outstanding');
  origin.behave(500);
  assert.equal((await first).status, 500);
  origin.behave('works');
  assert.equal((await get('/api/weather/oslo')).status, 200);
  assert.equal((await get('/api/weather/oslo')).status, 402);
});

test('of eleven slow calls at a concurrency of ten, ten are answered and one is refused', async () => {
  const { get } = await bought('ten');
  origin.behave('waits');
  const calls = Array.from({ length: 11 }, () => get('/api/weather/oslo'));
  const refused = await Promise.race(calls);
  assert.equal(refused.status, 429, refused.text);
  assert.equal(refused.body.details.reason, 'too_many_at_once');
  await poll(() => origin.calls.length === 10, 'the calls');
  origin.behave('works');
  const answers = await Promise.all(calls);
  assert.equal(many(answers, 200), 10);
  // Who has an answer to its end may make the next call at once.
  for (let number = 0; number < 3; number += 1) {
    const next = await times(10, () => get('/api/weather/oslo'));
    assert.equal(many(next, 200), 10);
  }
});

/** A call whose answer streams, with the side of the API. */
async function streaming({ headers }, path) {
  const answer = await new Promise((resolve, reject) => {
    const sent = request(`${world.url}${path}`, { headers });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const over = new Promise((done) => response.on('close', done));
      let text = '';
      response.on('data', (piece) => (text += piece));
      response.on('error', () => {});
      resolve({ status: response.statusCode, headers: response.headers, text: () => text, over, isWhole: () => response.complete, leave: () => sent.destroy() });
    });
    sent.end();
  });
  const { response } = await poll(() => origin.streams.find(({ call: its }) => its.path === path), 'the call');
  return { answer, response };
}

test('an answer that streams holds its place until it ends or its reader leaves', async () => {
  const its = await bought('alone');
  origin.behave('streams');
  const first = await streaming(its, '/api/weather/one');
  assert.equal(first.answer.status, 200);
  first.response.write('data: 1\n\n');
  await poll(() => first.answer.text() === 'data: 1\n\n', 'the first event');
  const refused = await its.get('/api/weather/two');
  assert.equal(refused.status, 429, refused.text);
  first.response.end('data: 2\n\n');
  await first.answer.over;
  assert.ok(first.answer.isWhole());
  assert.equal(first.answer.text(), 'data: 1\n\ndata: 2\n\n');
  const second = await streaming(its, '/api/weather/three');
  assert.equal(second.answer.status, 200, 'the end was told before it was seen');
  second.answer.leave();
  second.response.write('x'.repeat(200_000));
  origin.behave('works');
  await poll(async () => (await its.get('/api/weather/four')).status === 200, 'the place', 20_000);
  // One who leaves before there is an answer holds it no longer than the API takes.
  origin.behave('waits');
  const gone = new AbortController();
  const abandoned = its.get('/api/weather/gone', { headers: its.headers, signal: gone.signal }).catch(() => undefined);
  await poll(() => origin.callsOf('/api/weather/gone').length === 1, 'the call');
  gone.abort();
  await abandoned;
  await sleep(500);
  assert.equal((await its.get('/api/weather/still')).status, 429);
  origin.behave('works');
  await poll(async () => (await its.get('/api/weather/next')).status === 200, 'the place', 5_000);
  origin.behave('tears');
  await its.get('/api/weather/five').catch(() => undefined);
  origin.behave('works');
  assert.equal((await its.get('/api/weather/six')).status, 200, 'an answer that was cut holds nothing');
});

test('an answer may take as long as it likes, and holds its place, but a minute of silence ends it', { timeout: 3 * MINUTE }, async () => {
  const [slow, mute] = await times(2, () => bought('alone'));
  origin.behave('streams');
  const halting = await streaming(slow, '/api/weather/halting');
  const silent = await streaming(mute, '/api/weather/silent');
  for (const { response } of [halting, silent]) response.write('data: 1\n\n');
  const began = Date.now();
  setTimeout(() => halting.response.write('data: 2\n\n'), 0.7 * MINUTE);
  // The runtime gives up an object that hears nothing for ten seconds: one with something set aside must not be.
  const last = await bought('one');
  origin.except('/api/weather/last', 'waits');
  const waiting = last.get('/api/weather/last');
  await sleep(13_000);
  assert.equal((await last.get('/api/weather/next')).body.details?.reason, 'units_outstanding');
  origin.except('/api/weather/last', 'works');
  assert.equal((await waiting).status, 200);
  await silent.answer.over;
  assert.ok(!silent.answer.isWhole());
  assert.ok(Date.now() - began >= MINUTE - 1_000, 'it was waited for');
  origin.behave('works');
  assert.equal((await mute.get('/api/weather/next')).status, 200);
  // Longer than a lease, and than any silence may be.
  await sleep(1.2 * MINUTE - (Date.now() - began));
  assert.equal((await slow.get('/api/weather/next')).status, 429, 'it still holds its place');
  halting.response.end('data: 3\n\n');
  await halting.answer.over;
  assert.ok(halting.answer.isWhole());
  assert.equal((await slow.get('/api/weather/next')).status, 200);
});

test('a rate holds to the call, and the headers say how the grant stands', async () => {
  const { get } = await bought('hourly');
  const answers = await times(12, () => get('/api/weather/oslo'));
  assert.equal(many(answers, 200), 5);
  assert.equal(many(answers, 429), 7);
  const good = counts(answers)[200].map(({ headers }) => headers);
  const policy = '"rate";q=5;w=3600, "quota";q=50, "concurrency";q=20;qu="concurrent-requests"';
  for (const headers of good) assert.equal(headers.get('ratelimit-policy'), policy);
  const left = good.map((headers) => /^"rate";r=(\d);t=\d+, "quota";r=\d+;t=\d+$/.exec(headers.get('ratelimit'))?.[1]);
  assert.deepEqual(left.sort(), ['0', '1', '2', '3', '4']);
  for (const { headers, body } of counts(answers)[429]) {
    assert.equal(body.details.reason, 'too_fast');
    assert.ok(Number(headers.get('retry-after')) <= 3600);
  }
});

test('a call costs what the API says, and with maxCost no more is sold at once than is left', async () => {
  const hundred = await bought('hundred');
  const answers = await times(20, () => patiently(hundred.get, '/api/dear/a?cost=20'));
  assert.equal(many(answers, 200), 5);
  assert.equal(many(answers, 402), 15);
  for (const { headers } of answers) assert.equal(headers.get('key0-cost'), null);

  // Where nobody says what a call may cost, calls for credit go one at a time.
  const dear = await bought('credit');
  const parallel = await times(20, () => patiently(dear.get, '/api/weather/a?cost=$0.03'));
  assert.equal(many(parallel, 200), 2);
  assert.equal(many(parallel, 402), 18);

  const { get } = await bought('credit');
  for (const [path, left] of [
    ['/api/weather/a?cost=$0.0123', '$0.0377'],
    ['/api/weather/a?cost=$0', '$0.0377'],
    ['/api/weather/a', '$0.037699'],
    ['/api/weather/a?cost=3', '$0.037698'],
    ['/api/weather/a?cost=$0.037697', '$0.000001'],
    ['/api/weather/a?cost=$9', '$0.00'],
  ]) {
    const answer = await get(path);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers.get('key0-left'), left, path);
  }
  assert.equal((await get('/api/weather/a')).status, 402);
  assert.equal(world.logs.filter((line) => line.includes('cost_not_read')).length, 1);
});

test('nobody pays and spends a unit', async () => {
  const its = await bought('two');
  const path = '/api/weather/paid';
  assert.equal((await its.get('/api/weather/a')).headers.get('key0-left'), '1');
  // Something is left: a payment is not used.
  const { required } = await call(`${world.url}${path}`);
  const payment = await signPayment(its.buyer.privateKey, required);
  const unused = await its.get(path, { headers: its.headers, payment });
  assert.equal(unused.status, 200, unused.text);
  assert.ok(unused.headers.get('key0-payment-unused'));
  assert.equal(unused.headers.get('key0-left'), '0');
  assert.equal((await paidBy(world, its.buyer)).length, 1, 'the plan');
  // Nothing is left: the payment counts, and gets the same answer again, which the meter does not hear of.
  const paid = await its.get(path, { headers: its.headers, payment });
  assert.equal(paid.status, 200, paid.text);
  assert.ok(paid.settled.success);
  assert.equal((await its.get(path, { headers: its.headers, payment })).text, paid.text);
  assert.equal((await paidBy(world, its.buyer)).length, 2);
  assert.equal(origin.callsOf(path).length, 2);
  // Paid for before there was a token with something left: that answer, and no unit.
  const other = await bought('two');
  const again = await other.get(path, { headers: other.headers, payment });
  assert.equal(again.text, paid.text);
  assert.equal(origin.callsOf(path).length, 2);
  assert.equal((await other.get('/api/weather/a')).headers.get('key0-left'), '1');
});

test('a crash takes nothing from the buyer, and costs the seller 20 calls and those under way at most', async () => {
  const { get } = await bought('thirty');
  const path = '/api/weather/oslo';
  for (let number = 0; number < 25; number += 1) assert.equal((await get(path)).status, 200);
  origin.behave('waits');
  const cut = Array.from({ length: 3 }, () => get(path).catch(() => undefined));
  await poll(() => origin.calls.length === 28, 'the calls');
  await world.killWorker();
  origin.behave('works');
  await Promise.all(cut);
  await world.restartWorker();
  let more = 0;
  while ((await patiently(get, path)).status === 200) more += 1;
  assert.ok(more >= 5, `${25 + more} of 30`);
  assert.ok(more <= 5 + 20 + 3, `${25 + more} of 30`);
  // What five seconds have passed over is not lost.
  const other = await bought('twenty');
  for (let number = 0; number < 4; number += 1) assert.equal((await other.get(path)).status, 200);
  const used = () => meters().filter(({ granted, used }) => granted.limits.quota?.calls === 20 && used === 4).length === 1;
  await poll(used, 'the count to be written', 10_000);
  await world.killWorker();
  await world.restartWorker();
  assert.equal((await other.get(path)).headers.get('key0-left'), '15');
});

test('a token that names no purchase with limits opens nothing and stores nothing', async () => {
  const { token } = await bought('two');
  const { token: plain } = await bought('plain');
  const claimsOf = (text) => JSON.parse(Buffer.from(text.split('.')[1], 'base64url').toString());
  const before = meters().length;
  for (const grant of [randomUUID(), claimsOf(plain).sub, 'nonsense']) {
    const payload = Buffer.from(JSON.stringify({ ...claimsOf(token), grant })).toString('base64url');
    const signed = `${token.split('.')[0]}.${payload}`;
    const forged = `${signed}.${createHmac('sha256', world.tokenSecret).update(signed).digest('base64url')}`;
    const answer = await call(`${world.url}/api/weather/oslo`, { headers: { authorization: `Bearer ${forged}` } });
    assert.equal(answer.status, 503, answer.text);
    assert.equal(answer.body.details.reason, 'meter_unavailable');
  }
  assert.equal(meters().length, before);
  assert.deepEqual(origin.calls, []);
});

test('35 days after the end of the access nothing is left of its meter', async () => {
  const { get } = await bought('two');
  assert.equal((await get('/api/weather/oslo')).status, 200);
  await letTimePass(world, 34 * 24 * 3_600_000);
  const kept = meters().length;
  assert.ok(kept > 0);
  const ended = await get('/api/weather/oslo');
  assert.equal(ended.status, 402, ended.text);
  assert.match(ended.body.message, /has ended at/);
  await letTimePass(world, 2 * 24 * 3_600_000);
  await poll(() => meters().length === 0, 'the meters to be removed', 60_000);
  await poll(() => leftOver(world, 'GrantObject').length === 0, 'the storage to be empty', 10_000);
});
