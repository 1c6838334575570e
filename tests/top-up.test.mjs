// A plan is bought for a grant: it ends later, and more may be used of it.
//
//  1. Used up, a caller is told how to top up, and does it with the published client, by its token. It has exactly the calls of the
//     top-up more. The answer has a token that lasts as long as the grant; the old one goes on, too, also after its own end.
//  2. Through every door: x402, A2A, MCP, MPP, by the token and by the wallet that bought the access.
//  3. Nobody tops up a grant that is not theirs, and no other plan extends it: it is refused before anything is charged or stored.
//  4. The same payment again adds nothing. Two top-ups are two.
//  5. SIGKILL while a top-up is settled: it is delivered once.
//  6. A transfer by a stranger for a grant that is not theirs goes back, and adds nothing.
//  7. The backend hears payment.topped_up; the ledger has it.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { after, beforeEach, describe, test } from 'node:test';
import { DIALECTS, Door, assertGranted as assertTask } from './support/a2a.mjs';
import { operator, reported } from './support/admin.mjs';
import { call } from './support/calls.mjs';
import { paidBy, refundsTo, stored } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { ERAS, Mcp, assertGranted as assertTool, assertOffered } from './support/mcp.mjs';
import { mppxFetch } from './support/mpp.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { selling } from './support/routes.mjs';
import { newSender, offer, present, proofOf, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, payingFetch, signPayment } from './support/x402.mjs';

const HOUR = 3_600;
const PLANS = [
  { planId: 'twenty', unitAmount: '$0.015', expiresIn: HOUR, quota: { calls: 20 } },
  { planId: 'five', unitAmount: '$0.01', expiresIn: HOUR, quota: { calls: 5 } },
  { planId: 'credit', unitAmount: '$0.015', expiresIn: HOUR, quota: { credit: '$0.05' } },
  { planId: 'plain', unitAmount: '$0.015', expiresIn: HOUR },
];
const ROUTES = [{ routeId: 'weather', method: 'GET', path: '/api/weather/:city', unitAmount: '$0.01', plans: PLANS.map(({ planId }) => planId) }];
const origin = await startOrigin();
const issuer = await startIssuer();
after(() => Promise.all([origin.stop(), issuer.stop()]));
const vars = { PLANS: JSON.stringify(PLANS), ROUTES: JSON.stringify(ROUTES), REFUND_MIN_AGE_MS: '2000', BACKEND_API_URL: issuer.url };
const world = useWorld({ ...selling(origin, vars), backend: false });
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
});

const calling = (token) => call(`${world.url}/api/weather/oslo`, { headers: { authorization: `Bearer ${token}` } });
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
const times = (count, act) => Promise.all(Array.from({ length: count }, (_, at) => act(at)));

/** Buys a plan. */
async function founded(planId = 'five') {
  const buyer = await world.newBuyer();
  const { status, text, body } = await buy(world.url, buyer.privateKey, { planId, requestId: randomUUID() });
  assert.equal(status, 200, text);
  assert.equal(body.grant, body.requestId);
  return { buyer, grant: body.grant, token: body.accessToken };
}

/** @returns the token of a plan without limits */
async function plain() {
  const buyer = await world.newBuyer();
  const { body } = await buy(world.url, buyer.privateKey, { planId: 'plain' });
  assert.equal(body.grant, undefined);
  return body.accessToken;
}

/** How many of these calls are answered until nothing is left. */
async function answered(token, tries = 60) {
  const patiently = async () => {
    for (;;) {
      const answer = await calling(token);
      if (answer.status !== 429) return answer;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const answers = await times(tries, patiently);
  for (const { status, text } of answers) assert.ok([200, 402].includes(status), text);
  return answers.filter(({ status }) => status === 200).length;
}

test('who has used up its access is told how to top it up, and gets exactly its calls more', async () => {
  const { buyer, grant, token } = await founded('twenty');
  assert.equal(await answered(token), 20);
  const refused = await calling(token);
  assert.equal(refused.status, 402);
  assert.match(refused.body.message, /used up: 20 calls.*top it up for \$0\.015/s);
  const { topUp } = refused.body;
  assert.deepEqual(topUp.body, { planId: 'twenty', grant });
  assert.deepEqual([topUp.method, topUp.url, topUp.amount], ['POST', `${world.url}/x402/access`, '$0.015']);
  const paying = payingFetch(buyer.privateKey);
  const response = await paying(topUp.url, { method: topUp.method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(topUp.body) });
  const added = await response.json();
  assert.equal(response.status, 200, JSON.stringify(added));
  assert.equal(added.grant, grant);
  assert.notEqual(added.requestId, grant);
  const [before, now] = [claimsOf(token), claimsOf(added.accessToken)];
  assert.equal(now.exp, before.exp + HOUR);
  assert.equal(now.grant, grant);
  assert.deepEqual(now.limits, { quota: { calls: 40 } });
  // Both tokens are of one grant.
  assert.equal((await calling(token)).status, 200);
  assert.equal(await answered(added.accessToken), 19);
  assert.equal((await calling(token)).status, 402);
  assert.equal((await paidBy(world, buyer)).length, 2);
});

test('a token opens its routes as long as its grant lives, also after its own end', async () => {
  const { buyer, grant, token } = await founded();
  const now = Math.floor(Date.now() / 1000);
  /** As the worker signed it an hour and more ago. */
  const ended = (text) => {
    const payload = Buffer.from(JSON.stringify({ ...claimsOf(text), iat: now - HOUR - 60, exp: now - 60 })).toString('base64url');
    const signed = `${text.split('.')[0]}.${payload}`;
    return `${signed}.${createHmac('sha256', world.tokenSecret).update(signed).digest('base64url')}`;
  };
  const old = ended(token);
  assert.equal((await calling(old)).status, 200);
  const { status, text, body } = await buy(world.url, buyer.privateKey, { grant: old });
  assert.equal(status, 200, text);
  assert.equal(body.grant, grant);
  // One without a grant has ended.
  assert.equal((await calling(ended(await plain()))).status, 402);
});

/** Each door: tops up with this request, and gives the grant. @type {Record<string, (buyer: any, wish: any) => Promise<any>>} */
const DOORS = {
  '/x402/access': async (buyer, wish) => {
    const { status, text, body } = await buy(world.url, buyer.privateKey, wish);
    assert.equal(status, 200, text);
    return body;
  },
  mpp: async (buyer, wish) => {
    const response = await mppxFetch(buyer.privateKey)(`${world.url}/x402/access`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(wish) });
    const body = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body;
  },
  ...Object.fromEntries(
    DIALECTS.map((dialect, at) => [
      `a2a ${at}`,
      async (buyer, wish) => {
        const door = new Door(world, dialect);
        const offered = await door.offer({ ...wish, requestId: randomUUID() });
        return assertTask(await door.pay(offered, await signPayment(buyer.privateKey, offered.required)));
      },
    ]),
  ),
  ...Object.fromEntries(
    ERAS.map((era, at) => [
      `mcp ${at}`,
      async (buyer, wish) => {
        const door = new Mcp(world, era);
        const required = assertOffered(await door.access(wish));
        return assertTool(await door.access(wish, await signPayment(buyer.privateKey, required)));
      },
    ]),
  ),
};

for (const [door, topUp] of Object.entries(DOORS)) {
  test(`an access is topped up through ${door}, by its token and by its wallet`, async () => {
    const { buyer, grant, token } = await founded();
    const friend = await world.newBuyer();
    const first = await topUp(friend, { planId: 'five', grant: token });
    assert.equal(first.grant, grant);
    assert.deepEqual(claimsOf(first.accessToken).limits, { quota: { calls: 10 } });
    const second = await topUp(buyer, { planId: 'five', grant });
    assert.deepEqual(claimsOf(second.accessToken).limits, { quota: { calls: 15 } });
    assert.equal(claimsOf(second.accessToken).exp, claimsOf(token).exp + 2 * HOUR);
    assert.equal(await answered(token, 20), 15);
    assert.deepEqual([(await paidBy(world, friend)).length, (await paidBy(world, buyer)).length], [1, 2]);
  });
}

describe('nobody', () => {
  test('tops up a grant of another wallet without its token', async () => {
    const { grant } = await founded();
    const stranger = await world.newBuyer();
    const before = stored(world).PurchaseObject.record.length;
    for (const named of [grant, randomUUID()]) {
      const refused = await buy(world.url, stranger.privateKey, { planId: 'five', grant: named });
      assert.equal(refused.status, 404, refused.text);
      assert.equal(refused.body.code, 'NOT_FOUND');
      assert.match(refused.body.message, /pay from the wallet that bought the access/);
    }
    assert.deepEqual(await paidBy(world, stranger), []);
    assert.equal(stored(world).PurchaseObject.record.length, before);
  });

  test('extends a grant with another plan', async () => {
    const { buyer, grant, token } = await founded('twenty');
    const told = await access(world.url, { planId: 'five', grant: token });
    assert.equal(told.status, 409, told.text);
    const refused = await buy(world.url, buyer.privateKey, { planId: 'five', grant });
    assert.equal(refused.status, 409, refused.text);
    assert.match(refused.body.message, /with the plan that it was bought with/);
    const unlimited = await access(world.url, { planId: 'plain', grant });
    assert.equal(unlimited.status, 400, unlimited.text);
    assert.equal((await paidBy(world, buyer)).length, 1);
  });

  test('names a grant in another way', async () => {
    const { token, grant } = await founded();
    for (const [wish, message] of [
      [{ grant }, /planId is missing/],
      [{ planId: 'five', grant: 7 }, /must be a string/],
      [{ planId: 'five', grant: `${token}x` }, /neither an access token/],
      [{ planId: 'five', grant: 'nonsense' }, /neither an access token/],
      [{ planId: 'five', grant: 'x'.repeat(5_000) }, /neither an access token/],
      [{ planId: 'five', grant, resourceId: 'default' }, /neither routeId nor resourceId/],
      [{ planId: 'five', Grant: grant }, /did you mean `grant`/],
    ]) {
      const answer = await access(world.url, wish);
      assert.equal(answer.status, 400, answer.text);
      assert.match(answer.body.message, message);
    }
    const unlimited = await access(world.url, { planId: 'five', grant: await plain() });
    assert.equal(unlimited.status, 400, unlimited.text);
  });
});

test('the same payment adds once, and two payments add twice', async () => {
  const { buyer, grant, token } = await founded();
  const wish = { planId: 'five', grant, requestId: randomUUID() };
  const { payment, body } = await buy(world.url, buyer.privateKey, wish);
  const again = await times(5, () => access(world.url, wish, { payment }));
  for (const answer of again) assert.deepEqual(answer.body, body);
  const { required } = await access(world.url, { ...wish, requestId: randomUUID() });
  const other = await access(world.url, { planId: 'five', grant }, { payment: await signPayment(buyer.privateKey, required) });
  assert.equal(other.status, 200, other.text);
  assert.deepEqual(claimsOf(other.body.accessToken).limits, { quota: { calls: 15 } });
  assert.equal(await answered(token, 20), 15);
});

test('a top-up whose worker is killed while it is settled is delivered, once', async () => {
  const { buyer, grant, token } = await founded();
  const wish = { planId: 'five', grant, requestId: randomUUID() };
  const { required } = await access(world.url, wish);
  const payment = await signPayment(buyer.privateKey, required);
  const lost = access(world.url, wish, { payment }).catch(() => undefined);
  await poll(async () => (await paidBy(world, buyer)).length === 2, 'the payment');
  await world.killWorker();
  await lost;
  await world.restartWorker();
  const answer = await poll(async () => {
    const told = await access(world.url, wish, { payment });
    return told.status === 200 && told;
  }, 'the grant', 30_000);
  assert.deepEqual(claimsOf(answer.body.accessToken).limits, { quota: { calls: 10 } });
  assert.equal(await answered(token, 15), 10);
  assert.equal((await paidBy(world, buyer)).length, 2);
});

test('a transfer for a grant that is not the payer’s goes back, and adds nothing', async () => {
  const { grant, token } = await founded();
  const stranger = await newSender(world);
  const offered = await offer(world, { planId: 'five', grant, requestId: randomUUID() });
  const hash = await transfer(world, stranger, 10_000n);
  const answer = await present(world, await proofOf(offered, stranger, hash));
  assert.notEqual(answer.status, 200, answer.text);
  await poll(async () => (await refundsTo(world, stranger)).length === 1, 'the refund', 30_000);
  assert.equal(await answered(token, 10), 5);
});

test('the backend hears of a top-up, and the ledger has it', async () => {
  const { buyer, grant } = await founded();
  const { body } = await buy(world.url, buyer.privateKey, { planId: 'five', grant });
  const its = ({ requestId }) => requestId === body.requestId;
  await reported(world);
  const { body: ledger } = await operator(world, '/purchases?limit=200');
  const { target, status } = ledger.purchases.find(its);
  assert.deepEqual([target, status], ['topUp:five', 'DELIVERED']);
  const notices = await poll(() => issuer.noticesFor(body.requestId).length > 0 && issuer.noticesFor(body.requestId), 'the notification');
  assert.deepEqual(notices.map(({ body: told }) => [told.type, told.grant, told.planId, told.expiresAt]), [['payment.topped_up', grant, 'five', body.expiresAt]]);
});
