// A backend that issues nothing: what is paid then only comes back, and costs the seller gas twice.
//
//  1. The backend is off. Twenty buyers come, one after the other: a few are charged, and the others are told when to come
//     back, before anything is booked; they are offered nothing. /health says degraded and why, and the log says it.
//  2. A transfer that was made already, or a purchase that was charged, is answered as always.
//  3. The backend is back: what was paid is delivered by itself, and the shop is open again.
//  4. Where the gateway issues the tokens itself a backend that is off keeps nobody from buying.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { income, statuses, traces } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const BUYERS = 20;
const MOST_CHARGES = 4;
const issuer = await startIssuer('fails');
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, REFUND_MIN_AGE_MS: '120000' },
});
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const health = async () => (await fetch(`${world.url}/health`)).json();

test('while the backend is off few are charged, and the others are told to come back', async () => {
  assert.deepEqual([(await health()).status, (await health()).deliveries], ['ok', { status: 'ok' }]);
  const answers = [];
  for (let number = 0; number < BUYERS; number += 1) {
    const request = order();
    answers.push({ request, ...(await buy(world.url, (await world.newBuyer()).privateKey, request)) });
  }
  const charges = await income(world);
  assert.ok(charges.length >= 1 && charges.length <= MOST_CHARGES, `${charges.length} charges`);
  const [charged, refused] = [502, 503].map((wanted) => answers.filter(({ status }) => status === wanted));
  assert.equal(charged.length + refused.length, BUYERS);
  const { purchases, payments } = traces(world);
  for (const { body, headers, required, request, text } of refused) {
    assert.equal(body.code, 'TEMPORARILY_UNAVAILABLE', text);
    assert.ok(Number(headers.get('retry-after')) > 0 && Number(headers.get('retry-after')) <= 300);
    assert.equal(required, undefined);
    assert.equal(purchases[request.requestId], undefined, 'something was begun');
    assert.ok(!payments.join().includes(request.requestId), 'something was booked');
  }
  const { status, deliveries } = await health();
  assert.deepEqual([status, deliveries.status], ['degraded', 'failing']);
  assert.ok(world.worker.logs.some((line) => line.includes('"not_begun"')));

  const again = await access(world.url, charged[0].request, { payment: charged[0].payment });
  assert.equal(again.body.code, 'TOKEN_ISSUE_FAILED', again.text);
});

test('when the backend is back, what was paid is delivered and the shop is open', async () => {
  issuer.behave('works');
  await poll(() => Object.values(statuses(world)).every((status) => status === 'DELIVERED'), 'the deliveries', 90_000);
  assert.equal((await health()).status, 'ok');
  const bought = await buy(world.url, (await world.newBuyer()).privateKey, order());
  assert.equal(bought.status, 200, bought.text);
});

test('a gateway that issues the tokens itself sells whatever the backend does', async () => {
  issuer.behave('fails');
  issuer.answerNotices(() => 500);
  await world.restartWorker({ TOKEN_MODE: 'native' });
  for (let number = 0; number < 5; number += 1) {
    const request = order();
    const { required } = await access(world.url, request);
    const buyer = await world.newBuyer();
    const answer = await access(world.url, request, { payment: await signPayment(buyer.privateKey, required) });
    assert.equal(answer.status, 200, answer.text);
  }
  assert.equal((await health()).deliveries, undefined);
});
