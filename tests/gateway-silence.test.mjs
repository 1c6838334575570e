// While an answer is passed on while it arrives, neither side may be silent for longer than a minute. The minutes are real, and all pass at once.
//
//  1. An API that begins an answer and sends nothing more, with or without a first part, has cut it: the money goes back.
//  2. An API that takes its time, but less than that between any two pieces, is waited for.
//  3. A buyer who takes nothing, though there is something, has left: the money stays.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, test } from 'node:test';
import { call } from './support/calls.mjs';
import { paidBy, records, refundsTo, stored } from './support/facts.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { ROUTES, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { encodeHeader, signPayment } from './support/x402.mjs';

const MINUTE = 60_000;
const FEED = { routeId: 'feed', method: 'GET', path: '/api/feed/:name', unitAmount: '$0.02', stream: true };
const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(selling(origin, { ROUTES: JSON.stringify([...ROUTES, FEED]) }));

/** Pays for a feed, and gives out its answer as soon as there is a head, and the side of the API. */
async function opened(name, { reads = true } = {}) {
  const buyer = await world.newBuyer();
  const url = `${world.url}/api/feed/${name}`;
  const { required } = await call(url);
  const payment = await signPayment(buyer.privateKey, required);
  const answer = await new Promise((resolve, reject) => {
    const sent = request(url, { headers: { 'payment-signature': encodeHeader(payment) } });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const began = Date.now();
      const its = { status: response.statusCode, text: '', isOver: false, isWhole: () => response.complete, lasted: 0, leave: () => sent.destroy() };
      if (reads) response.on('data', (piece) => (its.text += piece));
      response.on('error', () => {});
      response.on('close', () => Object.assign(its, { isOver: true, lasted: Date.now() - began }));
      resolve(its);
    });
    sent.end();
  });
  assert.equal(answer.status, 200);
  const { response, isOver } = await poll(() => origin.streams.find(({ call: { path } }) => path.endsWith(`/${name}`)), 'the call');
  return { buyer, answer, response, isOver };
}

const statusOf = ({ buyer }) => {
  const its = Object.values(records(world)).find(({ payer }) => payer.toLowerCase() === buyer.address.toLowerCase());
  return Object.keys(its?.state ?? {})[0];
};

test('a minute of silence ends an answer, and whose silence it is decides about the money', { timeout: 2 * MINUTE }, async () => {
  origin.behave('streams');
  const [mute, halting, slow, rude] = await Promise.all([opened('mute'), opened('halting'), opened('slow'), opened('rude', { reads: false })]);
  halting.response.write('data: 1\n\n');
  slow.response.write('data: 1\n\n');
  // More than what lies between the two can hold.
  rude.response.write(Buffer.alloc(100_000_000, 'x'));
  setTimeout(() => slow.response.write('data: 2\n\n'), 0.7 * MINUTE);

  for (const its of [mute, halting]) {
    await poll(() => its.answer.isOver, 'the end of a silent answer', MINUTE + 15_000);
    assert.ok(its.answer.lasted >= MINUTE - 1_000, `${its.answer.lasted}`);
    assert.ok(!its.answer.isWhole(), 'the buyer sees that the answer is cut');
    await poll(its.isOver, 'the API to be left');
  }
  assert.equal(halting.answer.text, 'data: 1\n\n');
  await poll(rude.isOver, 'the buyer who takes nothing to be given up', MINUTE);
  rude.answer.leave();
  slow.response.end('data: 3\n\n');
  await poll(() => slow.answer.isOver, 'the end of the slow answer');
  assert.ok(slow.answer.isWhole());
  assert.equal(slow.answer.text, 'data: 1\n\ndata: 2\n\ndata: 3\n\n');

  for (const its of [mute, halting]) {
    await poll(async () => (await refundsTo(world, its.buyer)).length > 0, 'the refund', 15_000);
    const [payment, ...others] = await paidBy(world, its.buyer);
    assert.deepEqual(others, []);
    assert.deepEqual((await refundsTo(world, its.buyer)).map(({ args }) => args.value), [payment.value]);
  }
  for (const its of [slow, rude]) {
    await poll(() => statusOf(its) === 'CLOSED', 'the delivery');
    assert.equal((await paidBy(world, its.buyer)).length, 1);
    assert.deepEqual(await refundsTo(world, its.buyer), []);
  }
  const ends = (stored(world).PurchaseObject?.audit ?? []).map(({ event }) => event).filter((event) => /^(stream_|streamed$|buyer_left$)/.test(event));
  assert.deepEqual(ends.sort(), ['buyer_left', 'stream_silent', 'stream_silent', 'streamed']);
});
