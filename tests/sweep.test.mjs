// Alarms that are lost, and what still ends. The alarms are taken out of the objects' storage while the runtime is down: so it
// is after a deployment that did not start, or with storage that took no writes.
//
//  1. A refund is on its way and has lost its alarm. The buyer asks and gets the same answer as before, and the refund goes on.
//  2. A payment is broadcast and its purchase is held there; the runtime dies; the purchase's alarm is gone before it ever
//     rang, so the ledger has never heard of the purchase. Another one was paid and could not be delivered, which the ledger
//     knows. Blocks pass, and nobody asks.
//  3. The clock strikes once: both come to their ends, and the ledger knows all.
//  4. The clock strikes again: nothing is charged, refunded or delivered once more.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { statuses, stored } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { Purchase, met } from './support/kill.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';

/** The sweep leaves alone what is younger than so many blocks. */
const SETTLING_BLOCKS = 300;
const issuer = await startIssuer();
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, TOKEN_ISSUE_RETRIES: '0', REFUND_MIN_AGE_MS: '600000', BACKEND_NOTIFICATIONS: 'false' },
});

/** Takes the alarms of all purchases away. The runtime keeps each twice: with the object, and in a list of all of them. */
function loseAlarms() {
  const folder = join(world.state, 'objects', 'key0-PurchaseObject');
  let lost = 0;
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith('.sqlite'))) {
    const database = new DatabaseSync(join(folder, name));
    if (name === 'metadata.sqlite') lost += Number(database.prepare('DELETE FROM _cf_ALARM').run().changes);
    else database.prepare("DELETE FROM _cf_METADATA WHERE key = 1").run();
    database.close();
  }
  return lost;
}

/** What the ledger knows becomes older. @param {number} ms */
function ageLedger(ms) {
  const folder = join(world.state, 'objects', 'key0-LedgerObject');
  for (const name of readdirSync(folder).filter((entry) => /^[0-9a-f]{64}\.sqlite$/.test(entry))) {
    const database = new DatabaseSync(join(folder, name));
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'entries'").get()) {
      database.exec(`UPDATE entries SET changed_at = changed_at - ${ms}, body = json_set(body, '$.changedAt', changed_at - ${ms})`);
    }
    database.close();
  }
}

async function restartWithoutAlarms(vars) {
  await world.killWorker();
  assert.ok(loseAlarms() > 0, 'there was no alarm to lose');
  ageLedger(660_000);
  await world.restartWorker(vars);
}

const ledger = () => Object.fromEntries((stored(world).LedgerObject?.entries ?? []).map(({ request_id: id, status }) => [id, status]));
const refundsNow = { REFUND_MIN_AGE_MS: '0' };

test('a buyer who asks about a refund that has lost its alarm gets it going', async () => {
  issuer.behave('fails');
  const purchase = await Purchase.signed(world, await world.newBuyer());
  assert.equal((await purchase.ask()).status, 502);
  const held = purchase.hold('refund', 'eth_getTransactionReceipt');
  await world.restartWorker(refundsNow);
  const first = await poll(async () => {
    const answer = await purchase.ask();
    return answer.body.details?.state === 'REFUND_PENDING' && answer;
  }, 'the refund to begin');
  await met(held);
  await purchase.reach('REFUND_PENDING submitted');
  await restartWithoutAlarms(refundsNow);
  held.end();
  const again = await purchase.ask();
  assert.deepEqual([again.status, again.body.details.state], [first.status, 'REFUND_PENDING']);
  await poll(() => statuses(world)[purchase.requestId] === 'REFUNDED', 'the refund', 90_000);
  assert.equal((await purchase.refunds()).length, 1);
});

test('what nobody asks about comes to its end after one sweep, also what was never reported', { timeout: 300_000 }, async () => {
  await world.restartWorker();
  issuer.behave('fails');
  const unpaidBack = await Purchase.signed(world, await world.newBuyer());
  assert.equal((await unpaidBack.ask()).status, 502);
  await poll(() => ledger()[unpaidBack.requestId] === 'PAID', 'the report');
  const unreported = await Purchase.signed(world, await world.newBuyer());
  const held = unreported.hold('payment', 'eth_getTransactionReceipt');
  const hangUp = unreported.start();
  await met(held);
  await unreported.reach('PENDING submitted');
  hangUp();
  await restartWithoutAlarms(refundsNow);
  issuer.behave('works');
  issuer.except(unpaidBack.requestId, 'fails');
  held.end();
  assert.equal(ledger()[unreported.requestId], undefined, 'it has reported already');
  await poll(async () => (await unreported.charges()).length === 1, 'the charge');
  await world.chain.mine(SETTLING_BLOCKS + 10);
  assert.deepEqual([unpaidBack, unreported].map((purchase) => purchase.stage()), ['PAID undelivered', 'PENDING submitted']);

  await world.worker.strike();
  await poll(() => unreported.stage() === 'DELIVERED', 'the delivery', 60_000);
  await poll(() => unpaidBack.stage() === 'REFUNDED', 'the refund', 90_000);
  await poll(() => Object.entries(statuses(world)).every(([id, status]) => ledger()[id] === status), 'the ledger to know all');
  assert.equal((await unreported.ask()).status, 200);

  const before = await world.chain.transfers({});
  const calls = issuer.calls.length;
  await world.worker.strike();
  assert.equal(issuer.calls.length, calls);
  assert.deepEqual(await world.chain.transfers({}), before);
});
