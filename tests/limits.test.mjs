// What a plan with limits sells: fixed by the offer, told by the token.
//
//  1. The price list and the offer say the limits in words, and the price list has them as members. The token names its grant, which is
//     the purchase, and the limits. Those of a plan without limits have neither.
//  2. The seller changes the limits while offers are open. An offer made before takes no payment: 410, and nothing is charged. A purchase
//     that was delivered before is answered as ever.
//  3. A plan gets limits while an offer is open that was made without any. It is paid, and its token has none.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { income } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const LIMITS = { quota: { calls: 1650 }, rate: { calls: 100, per: 'minute' }, concurrency: 10 };
const SAID = '1,650 calls, at most 100 a minute and 10 at a time.';
const plans = (starter, basic = {}) => ({
  PLANS: JSON.stringify([
    { planId: 'starter', unitAmount: '$0.02', description: 'A month', ...starter },
    { planId: 'basic', unitAmount: '$0.015', description: 'An hour', ...basic },
  ]),
});
const claimsOf = ({ body }) => JSON.parse(Buffer.from(body.accessToken.split('.')[1], 'base64url').toString());

describe('a plan with limits', () => {
  const world = useWorld({ backend: false, vars: plans(LIMITS) });

  /** An offer and a payment for it that was not sent yet. */
  async function offered(planId) {
    const buyer = await world.newBuyer();
    const order = { planId, requestId: randomUUID() };
    const { required } = await access(world.url, order);
    const payment = await signPayment(buyer.privateKey, required);
    return { required, order, pay: () => access(world.url, order, { payment }) };
  }

  test('says them in price list, offer and token; another plan does not', async () => {
    const { plans: listed } = await (await fetch(`${world.url}/discover`)).json();
    assert.deepEqual(listed.map(({ limits, description }) => [limits, description]), [[LIMITS, `A month. ${SAID}`], [undefined, 'An hour']]);
    const { required, order, pay } = await offered('starter');
    assert.equal(required.resource.description, `A month. ${SAID}`);
    const paid = await pay();
    assert.equal(paid.status, 200, paid.text);
    const { sub, grant, limits } = claimsOf(paid);
    assert.deepEqual([sub, grant, limits], [order.requestId, order.requestId, LIMITS]);

    const plain = await (await offered('basic')).pay();
    assert.deepEqual(['grant', 'limits'].filter((name) => name in claimsOf(plain)), []);
  });

  test('sells what was offered or nothing', async () => {
    const [done, open, plain] = [await offered('starter'), await offered('starter'), await offered('basic')];
    const before = await done.pay();
    assert.equal(before.status, 200, before.text);
    const charged = (await income(world)).length;

    await world.restartWorker(plans({ ...LIMITS, quota: { calls: 5 } }, { concurrency: 1 }));
    const refused = await open.pay();
    assert.deepEqual([refused.status, refused.settled.errorReason], [410, 'challenge_withdrawn'], refused.text);
    assert.equal((await income(world)).length, charged);
    assert.equal((await done.pay()).text, before.text);

    const unlimited = await plain.pay();
    assert.equal(unlimited.status, 200, unlimited.text);
    assert.equal(claimsOf(unlimited).limits, undefined);
  });
});
