// What the API does wrong costs no buyer anything.
//
//  1. An answer that is not charged (500, 404) is passed on. `after`: nothing is charged. `before`: the money goes back.
//  2. No answer (timeout, cut connection, half an answer, a redirect to the API itself): 504 or 502 with words that say what becomes of
//     the money. `after`: nothing is charged, also for an endless answer and one of 10 MB. `before`: exactly one refund.
//  3. The same payment sent again after an uncharged answer makes the call once more, and is charged if that is answered.
//  4. A redirect to another host is goods. So is a status that the seller lists in `charged`.
//  5. Of the API's headers none is passed on that lets a cache or another host have the answer.
//  6. Calls that nothing is charged for are bounded: 429 before the API is called.
//  7. A route that is paid for first, whose calls fail in a row for several payers, is not sold for a while: 503 before anything is
//     paid. Other routes are. Calls that cost nothing when they fail close no route.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { call, payFor } from './support/calls.mjs';
import { paidBy, refundsTo } from './support/facts.mjs';
import { ELSEWHERE, startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { ROUTES, failing, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';

const origin = await startOrigin();
after(() => origin.stop());
/** @type {[string, number, string][]} */
const FAULTS = [
  ['hangs', 504, 'TOKEN_ISSUE_TIMEOUT'],
  ['stalls', 504, 'TOKEN_ISSUE_TIMEOUT'],
  ['cuts', 502, 'ADAPTER_ERROR'],
  ['tears', 502, 'ADAPTER_ERROR'],
  ['huge', 502, 'ANSWER_TOO_LARGE'],
  ['endless', 504, 'TOKEN_ISSUE_TIMEOUT'],
  ['redirects', 502, 'ADAPTER_ERROR'],
];
const NAMES = FAULTS.map(([how]) => how);
const FAILING = [...failing([...NAMES.map((how) => `after-${how}`), 'open'], 'GET'), ...failing([...NAMES.map((how) => `before-${how}`), 'rests'], 'POST')];
const world = useWorld(selling(origin, { ROUTES: JSON.stringify([...ROUTES, ...FAILING]) }));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
});

const at = (path) => `${world.url}${path}`;
const AFTER = ['/api/weather/oslo', {}];
const BEFORE = ['/api/messages', { method: 'POST', body: { text: 'hello' } }];

for (const status of [500, 404, 429]) {
  test(`after: an answer with ${status} is passed on and nothing is charged`, async () => {
    const buyer = await world.newBuyer();
    origin.behave(status);
    const answer = await payFor(at(AFTER[0]), buyer.privateKey, AFTER[1]);
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.body.called, `GET ${AFTER[0]}`);
    assert.notEqual(answer.settled?.success, true);
    assert.deepEqual(await paidBy(world, buyer), []);
  });
}

test('before: an answer with 500 is passed on and the money goes back', async () => {
  const buyer = await world.newBuyer();
  origin.behave(500);
  const answer = await payFor(at(BEFORE[0]), buyer.privateKey, BEFORE[1]);
  assert.equal(answer.status, 500, answer.text);
  assert.equal(answer.body.called, `POST ${BEFORE[0]}`);
  assert.notEqual(answer.settled?.success, true);
  await poll(async () => (await refundsTo(world, buyer)).length > 0, 'the refund');
  const [refund, ...others] = await refundsTo(world, buyer);
  assert.deepEqual(others, []);
  const [payment] = await paidBy(world, buyer);
  assert.equal(refund.args.value, payment.value);
  assert.equal(origin.callsOf(BEFORE[0]).length, 1);
});

for (const [how, status, code] of FAULTS) {
  test(`after: an API that ${how} costs nothing`, async () => {
    const buyer = await world.newBuyer();
    origin.behave(/** @type {any} */ (how));
    const answer = await payFor(at(`/api/after-${how}`), buyer.privateKey);
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.body.code, code);
    assert.match(answer.body.message, /[Nn]othing was charged/);
    assert.deepEqual(await paidBy(world, buyer), []);
  });
}

test('before: an API that fails gives every buyer the money back', async () => {
  const outcomes = [];
  // What is longer than what is kept is passed on while it arrives.
  const faults = FAULTS.filter(([how]) => how !== 'huge' && how !== 'endless');
  for (const [how, status, code] of faults) {
    const buyer = await world.newBuyer();
    origin.behave(/** @type {any} */ (how));
    const answer = await payFor(at(`/api/before-${how}`), buyer.privateKey, BEFORE[1]);
    assert.equal(answer.status, status, `${how}: ${answer.text}`);
    assert.equal(answer.body.code, code, how);
    assert.match(answer.body.message, /sent back|goes back/, how);
    outcomes.push([how, buyer]);
  }
  for (const [how, buyer] of outcomes) {
    await poll(async () => (await refundsTo(world, buyer)).length > 0, 'the refund');
    assert.equal((await refundsTo(world, buyer)).length, 1, how);
    assert.equal((await paidBy(world, buyer)).length, 1, how);
    assert.equal(origin.callsOf(`/api/before-${how}`).length, 1, 'no call is made twice');
  }
});

test('the same payment sent again after an uncharged answer makes the call once more', async () => {
  const buyer = await world.newBuyer();
  origin.behave(503);
  const first = await payFor(at(AFTER[0]), buyer.privateKey);
  assert.equal(first.status, 503, first.text);
  origin.behave('works');
  const again = await call(at(AFTER[0]), { payment: first.payment });
  assert.equal(again.status, 200, again.text);
  assert.equal(again.settled.success, true);
  assert.equal((await paidBy(world, buyer)).length, 1);
  assert.equal(origin.calls.length, 2);
});

test('a redirect to another host and a listed status are goods', async () => {
  const buyer = await world.newBuyer();
  origin.behave('refers');
  const referred = await payFor(at(AFTER[0]), buyer.privateKey);
  assert.equal(referred.status, 302, referred.text);
  assert.equal(referred.headers.get('location'), ELSEWHERE);
  assert.equal((await paidBy(world, buyer)).length, 1);
  const seeker = await world.newBuyer();
  origin.behave(404);
  const nothing = await payFor(at('/api/search?q=none'), seeker.privateKey);
  assert.equal(nothing.status, 404, nothing.text);
  assert.equal(nothing.settled.success, true);
  assert.equal((await paidBy(world, seeker)).length, 1);
});

test('no header of the API lets a cache or another host have the answer', async () => {
  const buyer = await world.newBuyer();
  origin.behave('chatty');
  const answer = await payFor(at(AFTER[0]), buyer.privateKey);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers.get('cache-control'), 'private, no-store');
  for (const name of ['etag', 'set-cookie', 'x-key0-route']) assert.equal(answer.headers.get(name), null, name);
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  assert.equal(answer.headers.get('x-total'), '7');
  assert.equal(answer.settled.success, true);
});

test('calls that nothing is charged for are bounded', async () => {
  const buyer = await world.newBuyer();
  origin.behave(404);
  const statuses = [];
  for (let number = 0; number < 12; number += 1) {
    const { status } = await payFor(at(`/api/weather/nowhere-${number}`), buyer.privateKey);
    statuses.push(status);
  }
  assert.deepEqual(statuses, [...Array(10).fill(404), 429, 429]);
  assert.equal(origin.calls.length, 10);
  assert.deepEqual(await paidBy(world, buyer), []);
});

/** Three failing calls in a row, of two buyers, and what a third buyer is answered afterwards. */
async function afterFailures(path, request) {
  const [ann, bob, eve] = [await world.newBuyer(), await world.newBuyer(), await world.newBuyer()];
  origin.behave(500);
  for (const [number, buyer] of [ann, bob, ann].entries()) {
    const { status } = await payFor(at(`${path}?number=${number}`), buyer.privateKey, request);
    assert.equal(status, 500);
  }
  origin.behave('works');
  return { eve, answer: await payFor(at(path), eve.privateKey, request) };
}

test('a route that is paid for first, whose calls fail in a row, is not sold for a while, and other routes are', async () => {
  const { eve, answer } = await afterFailures('/api/rests', BEFORE[1]);
  assert.equal(answer.status, 503, answer.text);
  assert.equal(answer.body.details.reason, 'calls_fail');
  const wait = Number(answer.headers.get('retry-after'));
  assert.ok(wait > 0 && wait <= 30, `${wait} s`);
  assert.equal(origin.calls.length, 3);
  assert.deepEqual(await paidBy(world, eve), []);
  const other = await payFor(at(BEFORE[0]), eve.privateKey, BEFORE[1]);
  assert.equal(other.status, 200, other.text);
});

test('calls that cost nothing when they fail close no route', async () => {
  const { answer } = await afterFailures('/api/open');
  assert.equal(answer.status, 200, answer.text);
});
