// What the worker logs, as a person reads it in `npm start`.
//
//  1. A sale is one line, with what, how much, who and how long; the steps between are left out.
//  2. A delivery that fails and the money that goes back are a line each.
//  3. Failures are sentences; stacks of the runtime are left out; every other line stays as it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newReader } from '../tools/lib/readable.mjs';

const about = { event: 'purchase', requestId: '41fca0bb-55b6-425f-82a2-b8a4ebd4ca15', target: 'basic', amount: '$0.015', payer: `0x772c${'0'.repeat(36)}` };
const read = (...facts) => {
  const reader = newReader();
  return facts.map((fact) => reader(typeof fact === 'string' ? fact : JSON.stringify(fact))).filter((line) => line !== undefined);
};
const step = (change, status, transaction) => ({ ...about, change, status, transaction });
const paid = `0xda09${'1'.repeat(60)}`;

test('an answer that is passed on is one line when it ends', () => {
  for (const change of ['streamed', 'buyer_left']) {
    const lines = read(step('settled', 'PAID', paid), step('calling', 'PAID'), step('streaming', 'PAID'), step(change, 'DELIVERED'));
    assert.equal(lines.length, 1, change);
    assert.match(lines[0], /delivered/);
  }
  for (const change of ['stream_cut', 'stream_too_long', 'stream_silent', 'stream_lost']) {
    assert.deepEqual(read(step(change, 'PAID')).map((line) => /the answer was cut$/.test(line)), [true], change);
  }
});

test('a sale is one line', () => {
  const lines = read(step('attempted', 'PENDING'), step('reserved', 'PENDING'), step('submitted', 'PENDING', paid), step('settled', 'PAID', paid), step('issued', 'DELIVERED'), step('target_released', 'DELIVERED'), step('notified', 'DELIVERED'));
  assert.equal(lines.length, 1);
  assert.match(lines[0], /^basic \$0\.015 by 0x772c… · paid 0xda09… · delivered in \d+\.\d s$/);
});

test('what fails and goes back is a line each', () => {
  const back = `0xbeef${'2'.repeat(60)}`;
  assert.deepEqual(read(step('settled', 'PAID', paid), step('issue_failed', 'PAID'), step('refund_begun', 'REFUND_PENDING'), step('submitted', 'REFUND_PENDING', back), step('settled', 'REFUNDED', back)), [
    'basic $0.015 paid by 0x772c…: the backend did not deliver it',
    'basic $0.015: the money goes back to 0x772c…',
    'basic $0.015 went back to 0x772c… · 0xbeef…',
  ]);
});

test('a call whose answer is not charged for is no payment that failed', () => {
  const [began, calls] = [step('attempted', 'PENDING'), step('calling', 'PENDING')];
  assert.deepEqual(read(began, calls, step('attempt_failed', 'PENDING')), ['basic by 0x772c…: your API gave no answer that is charged for']);
  assert.deepEqual(read(began, calls, step('answered', 'PENDING'), step('attempt_failed', 'PENDING')), ['basic $0.015: the payment by 0x772c… was not settled']);
  assert.deepEqual(read(step('settled', 'PAID', paid), step('calling', 'PAID'), step('issue_failed', 'PAID')), ['basic $0.015 paid by 0x772c…: your API gave no answer that is charged for']);
  assert.deepEqual(read('workerd/server/server.c++:372: error: Uncaught exception: workerd/jsg/value.h:1456: failed: remote.jsg.Error: the answer was cut'), []);
});

test('failures are sentences, and stacks are left out', () => {
  const fault = { event: 'backend_call_failed', url: 'http://127.0.0.1:5600/internal/issue-token', detail: 'Error: Network connection lost.' };
  assert.deepEqual(read(fault, { event: 'issue_failed', detail: about.requestId }, { event: 'notice_failed', detail: 'no answer' }, { event: 'notice_failed', detail: 'status 500' }, 'workerd/jsg/util.c++:320: error: e = failed to lookup address', 'stack: /workerd@1', { event: 'object_fault', object: 'purchase' }, 'panicked at …', '{"no":"event"}'), [
    'the backend does not answer at http://127.0.0.1:5600/internal/issue-token: Network connection lost.',
    'the backend does not take a notification: status 500',
    'object fault {"object":"purchase"}',
    'panicked at …',
    '{"no":"event"}',
  ]);
});
