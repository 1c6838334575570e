// The backend is told how purchases end (BACKEND_NOTIFICATIONS), behind the buyer's back.
//
//  1. A delivery is told once, with the grant's facts and without the token; a published Standard Webhooks library accepts
//     the signature, and so does it with the secret that is about to replace it.
//  2. A backend that does not take it delays no buyer. It is told again, with the same key and the same body.
//  3. A delivery whose notice is under way when the runtime is killed is told after the restart, with an acceptable signature.
//  4. A refund that fails and is tried again by the operator: refund_failed, then refunded, in this order, although the
//     backend does not take the first for a while.
//  5. A backend without such an endpoint is told four times less often; with BACKEND_NOTIFICATIONS=false never.
//  6. Two days later what no backend took is given up: the operator sees it, and the purchase comes to its end.
//  7. No log line holds the signing secret, a signature or a token.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, beforeEach, test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { records } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const DAY_MS = 86_400_000;
const issuer = await startIssuer();
after(() => issuer.stop());
const secrets = [24, 32].map((bytes) => `whsec_${randomBytes(bytes).toString('base64')}`);
const world = useWorld({
  backend: false,
  vars: {
    TOKEN_MODE: 'remote',
    BACKEND_API_URL: issuer.url,
    TOKEN_ISSUE_RETRIES: '0',
    REFUND_MIN_AGE_MS: '1000',
    REFUND_INTERVAL_MS: '100',
    WEBHOOK_SIGNING_SECRET: secrets.join(','),
  },
});
beforeEach(() => {
  issuer.behave('works');
  issuer.answerNotices();
});
const tokens = [];

async function purchase() {
  const buyer = await world.newBuyer();
  const request = { planId: 'basic', requestId: randomUUID() };
  const bought = await buy(world.url, buyer.privateKey, request);
  if (bought.status === 200) tokens.push(bought.body.accessToken);
  return { buyer, request, bought, requestId: request.requestId, ask: () => access(world.url, request, { payment: bought.payment }) };
}

const told = (requestId, count = 1) => poll(() => issuer.noticesFor(requestId).length >= count && issuer.noticesFor(requestId), `${count} notices`, 60_000);
const closed = (requestId) => poll(() => (records(world)[requestId]?.outbox?.open ?? []).length === 0, 'an empty outbox', 60_000);

/** The signature is good by a published library, with each of the secrets. */
function assertSigned({ text, headers }) {
  for (const secret of secrets) assert.deepEqual(new Webhook(secret).verify(text, headers), JSON.parse(text));
  assert.throws(() => new Webhook(secrets[0]).verify(`${text} `, headers));
  assert.equal(headers['webhook-id'], headers['idempotency-key']);
}

test('a delivery is told once, signed, without the token', async () => {
  const { buyer, bought, requestId } = await purchase();
  assert.equal(bought.status, 200, bought.text);
  const [notice] = await told(requestId);
  await closed(requestId);
  assert.equal(issuer.noticesFor(requestId).length, 1);
  assertSigned(notice);
  assert.equal(notice.key, `${bought.body.challengeId}:1`);
  const { timestamp, expiresAt, ...facts } = notice.body;
  assert.ok(Date.parse(timestamp) <= Date.now() && Date.parse(expiresAt) > Date.now());
  assert.deepEqual(facts, {
    type: 'payment.delivered',
    requestId,
    challengeId: bought.body.challengeId,
    resourceId: 'default',
    planId: 'basic',
    txHash: bought.body.txHash,
    explorerUrl: bought.body.explorerUrl,
    unitAmount: '$0.015',
    chainId: 84532,
    payer: buyer.address,
  });
});

test('a backend that does not take a notice delays no buyer and is told again the same', async () => {
  let left = 1;
  issuer.answerNotices(() => (left-- > 0 ? 500 : 200));
  const { bought, requestId, ask } = await purchase();
  assert.equal(bought.status, 200, bought.text);
  assert.equal((await ask()).text, bought.text);
  const [first, second] = await told(requestId, 2);
  await closed(requestId);
  assert.equal(first.key, second.key);
  assert.equal(first.text, second.text);
  assertSigned(second);
});

test('a notice that is under way when the runtime is killed arrives after the restart', async () => {
  let first = true;
  issuer.answerNotices(() => (first ? ((first = false), 0) : 204));
  const { bought, requestId } = await purchase();
  assert.equal(bought.status, 200, bought.text);
  await world.killWorker();
  await world.restartWorker();
  const notices = await poll(async () => (await closed(requestId)) && issuer.noticesFor(requestId), 'the notice', 60_000);
  assert.ok(notices.length >= 1);
  assert.deepEqual(new Set(notices.map(({ key, text }) => key + text)).size, 1);
  notices.forEach(assertSigned);
});

test('a refund that failed and then succeeded is told in that order', async () => {
  issuer.behave('fails');
  issuer.answerNotices(() => 503);
  const { buyer, requestId, ask } = await purchase();
  await world.chain.blacklist(buyer.address, true);
  await poll(async () => (await ask()).body?.details?.state === 'REFUND_FAILED', 'the failure', 90_000);
  await told(requestId);
  await world.chain.blacklist(buyer.address, false);
  const retry = await fetch(`${world.url}/admin/purchases/${requestId}/retry-refund`, { method: 'POST', headers: { authorization: `Bearer ${world.adminSecret}` } });
  assert.equal(retry.status, 200);
  const refunded = await poll(async () => {
    const answer = await ask();
    return answer.body?.details?.state === 'REFUNDED' && answer;
  }, 'the refund', 60_000);
  issuer.answerNotices();
  await closed(requestId);
  const notices = issuer.noticesFor(requestId);
  const types = notices.map(({ body }) => body.type);
  assert.deepEqual([...new Set(types)], ['payment.refund_failed', 'payment.refunded']);
  assert.ok(types.lastIndexOf('payment.refund_failed') < types.indexOf('payment.refunded'), String(types));
  assert.equal(notices.at(-1).body.refundTxHash, refunded.body.details.refundTransaction);
  notices.forEach(assertSigned);
});

test('what no backend takes is given up after two days, visibly, and the purchase ends', async () => {
  issuer.answerNotices(() => 404);
  const { bought, requestId, ask } = await purchase();
  await told(requestId);
  await poll(() => records(world)[requestId].outbox.notice.count > 1, 'the answer to count for more', 10_000);
  await letTimePass(world, 2 * DAY_MS);
  await closed(requestId);
  const shown = await fetch(`${world.url}/admin/purchases/${requestId}`, { headers: { authorization: `Bearer ${world.adminSecret}` } });
  const { record, audit } = await shown.json();
  assert.equal(record.outbox.givenUp, 1);
  assert.equal(audit.at(-1).event, 'notice_given_up');
  assert.ok(world.logs.some((line) => line.includes('notice_given_up') && line.includes(requestId)));
  assert.ok(issuer.noticesFor(requestId).length <= 3);
  assert.equal((await ask()).text, bought.text);
});

test('without notifications nobody is told', async () => {
  await world.restartWorker({ BACKEND_NOTIFICATIONS: 'false' });
  const { bought, requestId } = await purchase();
  assert.equal(bought.status, 200, bought.text);
  await poll(() => records(world)[requestId] && !records(world)[requestId].outbox?.report, 'the purchase to have told the ledger');
  assert.equal(records(world)[requestId].outbox, undefined);
  assert.deepEqual(issuer.noticesFor(requestId), []);
});

test('no log line holds a secret, a signature or a token', () => {
  const signatures = issuer.notices.flatMap(({ headers }) => String(headers['webhook-signature']).split(' '));
  for (const secret of [...secrets.map((text) => text.slice(6)), ...signatures, ...tokens]) {
    assert.ok(world.logs.every((line) => !line.includes(secret)), 'a secret was logged');
  }
});
