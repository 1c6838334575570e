// What is left of a call.
//
//  1. A call is paid for and over.
//  2. Five weeks pass. Its purchase has removed itself: no record, no alarm, and no empty database for which the platform would charge;
//     and the payer's book no longer knows the payment.
//  3. The ledger still counts it, and does not list it.
//  4. The same payment again is neither taken nor charged.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { operator, reported } from './support/admin.mjs';
import { call, payFor } from './support/calls.mjs';
import { income, records, stored } from './support/facts.mjs';
import { leftOver } from './support/occupied.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { selling } from './support/routes.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';

const DAY = 24 * 3_600_000;
const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(selling(origin));

const removed = async () => (await operator(world, '/totals')).body.removed.map(({ status, count }) => [status, count]);

test('a call that is long over leaves its sum in the ledger and nothing else', async () => {
  const url = `${world.url}/api/weather/oslo`;
  const paid = await payFor(url, (await world.newBuyer()).privateKey);
  assert.equal(paid.status, 200, paid.text);
  const before = await income(world);
  await poll(() => Object.values(records(world)).every(({ rest }) => rest?.since), 'the call to be over', 30_000);
  await reported(world);
  assert.deepEqual(await removed(), []);

  await letTimePass(world, 36 * DAY);
  await poll(() => Object.keys(records(world)).length === 0, 'the call to be removed', 60_000);
  await poll(() => leftOver(world, 'PurchaseObject').length === 0, 'the storage to be empty', 10_000);
  assert.deepEqual(await removed(), [['DELIVERED', 1]]);
  assert.deepEqual((await operator(world, '/purchases')).body.purchases, []);

  const again = await call(url, { payment: paid.payment });
  assert.equal(again.status, 402, again.text);
  assert.equal((await income(world)).length, before.length);
  assert.deepEqual(stored(world).PayerObject?.payments ?? [], []);
  assert.deepEqual(leftOver(world, 'PayerObject'), []);
});
