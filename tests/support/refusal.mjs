// Promises: a refusal is looked at as a whole: status, code and reason as documented, no token, an offer that can be paid
// where there must be one, and behind it nothing broadcast and nothing stored.

import assert from 'node:assert/strict';
import { NETWORK } from '../../tools/lib/chain.mjs';
import { broadcasts, traces } from './facts.mjs';

/**
 * @typedef {object} Expected
 * @property {number} status
 * @property {string} code
 * @property {string} [reason]      `details.reason`, and what the headers say
 * @property {string[]} [mismatch]  `details.mismatch`
 * @property {RegExp} [message]
 * @property {1 | 2} [version]      of the payment that was sent
 */

/**
 * @param {import('./world.mjs').TestWorld} world
 * @param {() => Promise<Awaited<ReturnType<import('./x402.mjs').decodeAnswer>>>} send  the request that must be refused
 * @param {Expected} expected
 */
export async function assertRefused(world, send, { status, code, reason, mismatch, message, version = 2 }) {
  const before = { sent: await broadcasts(world), traces: traces(world) };
  const answer = await send();
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.body?.type, 'Error', answer.text);
  assert.equal(answer.body.code, code, answer.text);
  if (reason) assert.equal(answer.body.details?.reason, reason, answer.text);
  if (mismatch) assert.deepEqual(answer.body.details?.mismatch, mismatch, answer.text);
  if (message) assert.match(answer.body.message, message);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.doesNotMatch(answer.text, /accessToken|eyJ/);
  if (status === 402) {
    const network = version === 1 ? 'base-sepolia' : NETWORK;
    const [told, other] = version === 1 ? [answer.settledV1, answer.settled] : [answer.settled, answer.settledV1];
    assert.deepEqual({ ...told, payer: undefined }, { success: false, errorReason: reason, transaction: '', network, payer: undefined });
    assert.equal(other, undefined, 'an answer in kind');
  }
  if (status === 402 || (status === 400 && reason)) {
    assert.equal(answer.required?.error, reason, 'the new offer must say what was wrong');
    assert.equal(answer.required.accepts[0].payTo, world.seller.address);
    assert.ok(answer.required.accepts[0].extra.challengeId);
    assert.equal(answer.body.x402Version, 1, 'clients of version 1 read the offer in the body');
    assert.deepEqual([answer.body.error, answer.body.accepts[0].payTo], [reason, world.seller.address]);
  } else {
    assert.equal(answer.required, undefined, 'no offer belongs here');
    assert.equal(answer.body.accepts, undefined, 'no offer belongs here');
  }
  assert.equal(await broadcasts(world), before.sent, 'something was broadcast');
  assert.deepEqual(traces(world), before.traces, 'something was stored');
  return answer;
}
