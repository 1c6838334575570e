// SIGKILL in the middle of a paid call.
//
//  1. `after`, while the API is called: nothing is charged. The same payment sent again makes the call once more and is charged once.
//  2. `after`, when the answer is held and the settlement is under way: the same payment gets the held answer, without another call.
//  3. `before`, while a call that may not be repeated runs: nobody knows what it did, so it is never made again, and the money goes back
//     once.
//  4. `before`, while a call that may be repeated runs: who comes back gets it made once more, and nothing goes back.
//  5. `after`, and nobody comes back: nothing is charged, ever.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { call } from './support/calls.mjs';
import { paidBy, refundsTo } from './support/facts.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { signPayment } from './support/x402.mjs';

const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(selling(origin, { PROXY_TIMEOUT_MS: '10000' }));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
  world.rpc.clear();
});


/** A call whose payment is signed and not sent yet. */
async function signedCall(path, options = {}) {
  const buyer = await world.newBuyer();
  const { required } = await call(`${world.url}${path}`, options);
  const payment = await signPayment(buyer.privateKey, required);
  const send = () => call(`${world.url}${path}`, { ...options, payment });
  return { buyer, send, sendAgain: () => poll(() => send().catch(() => undefined), 'an answer') };
}

/** Sends a call, kills the runtime as soon as the API has it, and starts it again. */
async function killInTheCall(its, path) {
  origin.except(path, 'waits');
  const lost = its.send().catch(() => undefined);
  await poll(() => origin.callsOf(path).length === 1, 'the call of the API');
  await world.killWorker();
  await lost;
  origin.except(path, 'works');
  await world.restartWorker();
}

test('after: a crash while the API is called charges nothing, and the same payment makes the call once more', async () => {
  const path = '/api/weather/crash-1';
  const its = await signedCall(path);
  await killInTheCall(its, path);
  assert.deepEqual(await paidBy(world, its.buyer), []);
  const answer = await its.sendAgain();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(origin.callsOf(path).length, 2);
  assert.equal((await paidBy(world, its.buyer)).length, 1);
  const again = await its.send();
  assert.equal(again.text, answer.text);
  assert.equal(origin.callsOf(path).length, 2);
});

test('after: a crash while the price is settled loses neither the answer nor the money', async () => {
  const path = '/api/weather/crash-2';
  const its = await signedCall(path);
  const before = world.rpc.callsOf('eth_sendRawTransaction').length;
  world.rpc.on('eth_sendRawTransaction', { kind: 'lose' });
  const lost = its.send().catch(() => undefined);
  await poll(() => world.rpc.callsOf('eth_sendRawTransaction').length > before, 'the transaction');
  await world.killWorker();
  await lost;
  world.rpc.clear();
  await world.restartWorker();
  const answer = await its.sendAgain();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.number, 1);
  assert.equal(origin.callsOf(path).length, 1);
  assert.equal((await paidBy(world, its.buyer)).length, 1);
  assert.deepEqual(await refundsTo(world, its.buyer), []);
});

test('before: a crash in a call that may not be repeated gives the money back, once', async () => {
  const path = '/api/messages';
  const its = await signedCall(path, { method: 'POST', body: { text: 'crash' } });
  await killInTheCall(its, path);
  assert.equal((await paidBy(world, its.buyer)).length, 1);
  const told = await its.sendAgain();
  assert.notEqual(told.status, 200, told.text);
  await poll(async () => (await refundsTo(world, its.buyer)).length > 0, 'the refund', 30_000);
  const late = await its.send();
  assert.notEqual(late.status, 200, late.text);
  assert.equal(origin.callsOf(path).length, 1, 'what a call has done must not be done twice');
  assert.equal((await refundsTo(world, its.buyer)).length, 1);
});

test('before: who comes back after a crash gets a call that may be repeated', async () => {
  const path = '/api/summaries';
  const its = await signedCall(path, { method: 'POST', body: { text: 'crash' } });
  await killInTheCall(its, path);
  const answer = await its.sendAgain();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(origin.callsOf(path).length, 2);
  assert.equal((await paidBy(world, its.buyer)).length, 1);
  assert.deepEqual(await refundsTo(world, its.buyer), []);
});

test('after: nothing is charged to somebody who does not come back', async () => {
  const path = '/api/weather/crash-5';
  const its = await signedCall(path);
  await killInTheCall(its, path);
  await world.restartWorker();
  const other = await signedCall('/api/weather/other');
  assert.equal((await other.send()).status, 200);
  assert.equal(origin.callsOf(path).length, 1);
  assert.deepEqual(await paidBy(world, its.buyer), []);
});
