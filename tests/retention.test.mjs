// What is kept of a purchase, for how long, and how large it is.
//
//  1. Two purchases are delivered, one for an hour and one for a month; a third is refunded. What each occupies is measured.
//  2. A week but an hour passes: everything is still there, and the payers get the same answers.
//  3. The week is over: the histories are gone, and the grant of the hour. The month's grant is still given, byte for byte.
//  4. The month is over: its grant is gone, too.
//  5. Everybody asks once more: with the old payment, with a new signature, with a new offer under the old requestId, and with
//     the old signature for a new purchase. Nothing is charged, and every answer is true.
//  6. The operator still sees how each ended, and the ledger says what it said before, also after it was told again.
//  7. What is left of each is measured: it is small, and the same for all.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { command, operator, reported } from './support/admin.mjs';
import { broadcasts, income, isUsed, records } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { ofPurchase, shared } from './support/occupied.mjs';
import { poll } from './support/poll.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** More than what is left of any purchase for ever. */
const MAX_LEFT = 1_000;

const issuer = await startIssuer();
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: {
    TOKEN_MODE: 'remote',
    BACKEND_API_URL: issuer.url,
    REFUND_MIN_AGE_MS: '1000',
    REFUND_INTERVAL_MS: '100',
    PLANS: JSON.stringify([
      { planId: 'hour', unitAmount: '$0.015', expiresIn: 3600 },
      { planId: 'month', unitAmount: '$0.015', expiresIn: 2_592_000 },
    ]),
  },
});

const inspect = async ({ requestId }) => (await operator(world, `/purchases/${requestId}`)).body;
const ledger = async () => (await operator(world, '/purchases')).body.purchases.map(({ version, ...entry }) => entry);
const ask = ({ order, payment }) => access(world.url, order, { payment });

async function purchase(planId, behaviour) {
  const buyer = await world.newBuyer();
  const order = { planId, requestId: randomUUID() };
  issuer.except(order.requestId, behaviour);
  const bought = await buy(world.url, buyer.privateKey, order);
  return { ...buyer, order, requestId: order.requestId, payment: bought.payment, first: bought };
}

describe('a purchase that is over', () => {
  const made = {};
  const told = {};
  let entries;

  before(async () => {
    made.hour = await purchase('hour', 'works');
    made.month = await purchase('month', 'works');
    made.refunded = await purchase('hour', 'fails');
    assert.deepEqual(Object.values(made).map(({ first }) => first.status), [200, 200, 502]);
    await poll(async () => (await inspect(made.refunded)).status === 'REFUNDED', 'the refund', 30_000);
    await poll(() => Object.values(records(world)).every(({ rest }) => rest?.since), 'all purchases to be over', 30_000);
    await reported(world);
    told.refunded = (await ask(made.refunded)).text;
    entries = await ledger();
  });

  test('is kept whole for a week', async (t) => {
    for (const [name, { requestId }] of Object.entries(made)) {
      const { rows, pages } = ofPurchase(world, requestId);
      t.diagnostic(`${name}: ${rows} bytes in rows, ${pages} in pages; elsewhere ${JSON.stringify(shared(world, requestId))}`);
      assert.ok(rows > MAX_LEFT);
    }
    const before = await Promise.all(Object.values(made).map(inspect));
    await letTimePass(world, 7 * DAY - HOUR);
    assert.equal((await ask(made.hour)).text, made.hour.first.text);
    assert.equal((await ask(made.month)).text, made.month.first.text);
    assert.equal((await ask(made.refunded)).text, told.refunded);
    const later = await Promise.all(Object.values(made).map(inspect));
    assert.deepEqual(later.map(({ audit }) => audit.length), before.map(({ audit }) => audit.length));
    assert.deepEqual(later.map(({ historyRemoved }) => historyRemoved), [false, false, false]);
    assert.ok(before.every(({ audit }) => audit.length >= 5));
  });

  test('loses its history then, and its grant when the token has expired', async () => {
    await letTimePass(world, HOUR);
    await poll(async () => (await Promise.all(Object.values(made).map(inspect))).every((view) => view.historyRemoved), 'the histories to go', 30_000);
    await poll(() => records(world)[made.hour.requestId].state.CLOSED, 'the grant of the hour to go', 30_000);
    assert.ok(records(world)[made.month.requestId].state.DELIVERED);
    assert.equal((await ask(made.month)).text, made.month.first.text, 'the grant of the month');
    assert.equal((await ask(made.refunded)).text, told.refunded);
    assert.equal((await ask(made.hour)).body.code, 'ACCESS_ENDED');
    await letTimePass(world, 22 * DAY);
    assert.equal((await ask(made.month)).text, made.month.first.text, 'on its last day');
    await letTimePass(world, DAY + HOUR);
    await poll(() => records(world)[made.month.requestId].state.CLOSED, 'the grant of the month to go', 30_000);
  });

  test('is never charged again, whatever is presented, and says how it ended', async () => {
    const before = { sent: await broadcasts(world), income: (await income(world)).length };
    for (const [name, its] of Object.entries(made)) {
      const { required } = await access(world.url, its.order);
      const anew = await signPayment(its.privateKey, required);
      const answers = [await ask(its), await ask({ ...its, payment: anew }), await ask({ ...its, payment: { ...its.payment, accepted: anew.accepted } })];
      for (const answer of answers) {
        if (name === 'refunded') {
          assert.equal(answer.text, told.refunded);
          continue;
        }
        assert.equal(answer.status, 410, answer.text);
        assert.equal(answer.body.code, 'ACCESS_ENDED');
        assert.deepEqual(answer.body.details, { requestId: its.requestId, state: 'DELIVERED', transaction: its.first.body.txHash });
        assert.equal(answer.settled.errorReason, 'access_ended');
        assert.equal(answer.required, undefined, 'a new offer under this requestId invites a second payment');
      }
      const elsewhere = { planId: its.order.planId, requestId: randomUUID() };
      const offer = (await access(world.url, elsewhere)).required;
      const stale = { ...its.payment, accepted: offer.accepts[0] };
      assert.equal((await access(world.url, elsewhere, { payment: stale })).body.code, 'TX_ALREADY_REDEEMED');
      assert.equal(await isUsed(world, anew.payload.authorization), false, 'charged again');
    }
    assert.deepEqual({ sent: await broadcasts(world), income: (await income(world)).length }, before);
  });

  test('is shown to nobody but its payer, as before', async () => {
    const stranger = await world.newBuyer();
    const { required } = await access(world.url, made.hour.order);
    const answer = await ask({ ...made.hour, payment: await signPayment(stranger.privateKey, required) });
    assert.equal(answer.body.code, 'REQUEST_CONFLICT');
  });

  test('stays in the books and in the operator\'s view', async () => {
    for (const [name, status] of [['hour', 'DELIVERED'], ['month', 'DELIVERED'], ['refunded', 'REFUNDED']]) {
      const view = await inspect(made[name]);
      assert.deepEqual([view.status, view.audit, view.historyRemoved], [status, [], true]);
      const [{ payment }] = Object.values(view.record.state);
      const { hash } = (await income(world)).find(({ from }) => from === made[name].address);
      assert.deepEqual([payment.transaction, payment.amount], [hash, '$0.015']);
      for (const verb of ['cancel', 'retry-refund']) {
        const refused = await command(world, `/purchases/${made[name].requestId}/${verb}`);
        assert.deepEqual([refused.status, refused.body.details.status], [409, status]);
      }
      const again = await command(world, `/purchases/${made[name].requestId}/report`);
      assert.deepEqual([again.status, again.body.status], [200, status]);
    }
    await reported(world);
    // The record was made older and the ledger was not, so the moments differ.
    const facts = (list) => list.map(({ createdAt, changedAt, ...entry }) => entry).sort((a, b) => a.requestId.localeCompare(b.requestId));
    assert.deepEqual(facts(await ledger()), facts(entries));
  });

  test('leaves little behind', async (t) => {
    await world.worker.stop();
    for (const [name, { requestId }] of Object.entries(made)) {
      const { rows, pages } = ofPurchase(world, requestId);
      t.diagnostic(`${name}: ${rows} bytes in rows, ${pages} in pages for ever`);
      assert.ok(rows < MAX_LEFT, `${rows} bytes`);
      assert.equal(pages, 3 * 4096, 'schema, record, and the platform\'s own table');
      assert.doesNotMatch(JSON.stringify(records(world)[requestId]), /signature|remote|claims/);
    }
  });
});
