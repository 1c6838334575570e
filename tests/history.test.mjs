// What a payment costs the storage after many payments.
//
//  1. A buyer buys twice, and the gas wallet's jobs are done: its history and the buyer's book have their first rows.
//  2. The worker is started again, as one whose storage counts the rows that each statement reads; a third purchase is made, and
//     its job is done. That is what a purchase reads while there is hardly any history.
//  3. While the worker is down, the wallet's and the book's history become 100,000 rows each, a thousand of them long over.
//  4. A fourth purchase is made: no statement reads more rows than before, but the one that removes what is long over.
//  5. What is long over goes, a bounded number of rows at a time.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { countingEntry, mostRead } from '../tools/lib/bench/counting.mjs';
import { fileOf } from './support/kill.mjs';
import { poll } from './support/poll.mjs';
import { multiply } from './support/multiply.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const HISTORY = 100_000;
const LONG_OVER = 1_000;
/** Rows and index entries for each row that is removed, and a little more. */
const MOST_FOR_REMOVAL = 5_000;

const world = useWorld({ backend: false, blockTime: 1 });
const fileOfWallet = () => fileOf(world, 'GasWalletObject', 'SELECT floor FROM wallet', '');

/** How many rows of the gas wallet's tables answer. @param {string} rows */
function count(rows) {
  const database = new DatabaseSync(fileOfWallet(), { readOnly: true });
  const { count } = database.prepare(`SELECT COUNT(*) AS count FROM ${rows}`).get();
  database.close();
  return Number(count);
}
/** Reads as many rows as its object has tables and indexes, whichever object asks. */
const isAboutTables = (statement) => statement.includes('FROM sqlite_master');
const isRemoval = (statement) => statement.startsWith('GasWalletObject: DELETE FROM done');

async function purchase(buyer) {
  // Named, so that none joins the one before.
  const bought = await buy(world.url, buyer.privateKey, { planId: 'basic', requestId: randomUUID() });
  assert.equal(bought.status, 200, bought.text);
  await poll(() => count('jobs') === 0, 'the job to be done', 60_000);
}

describe('a payment', () => {
  test('reads as many rows after 100,000 payments as after two', async (t) => {
    const buyer = await world.newBuyer();
    await purchase(buyer);
    await purchase(buyer);
    const entry = countingEntry();
    await world.restartWorker({}, undefined, entry);
    await purchase(buyer);
    const fresh = await mostRead(world.url);
    assert.ok(fresh.size > 10, 'nothing was counted');

    await world.worker.stop();
    const done = fileOfWallet();
    multiply(done, 'done', 'key', HISTORY - LONG_OVER);
    multiply(done, 'done', 'key', LONG_OVER, { closed_at: 1 });
    multiply(fileOf(world, 'PayerObject', 'SELECT nonce FROM payments', ''), 'payments', 'nonce', HISTORY);
    await world.restartWorker({}, undefined, entry);
    await purchase(buyer);
    const later = await mostRead(world.url);
    for (const [statement, read] of later) {
      if (isAboutTables(statement)) continue;
      t.diagnostic(`${fresh.get(statement) ?? '-'} → ${read} ${statement.slice(0, 80)}`);
      const most = isRemoval(statement) ? MOST_FOR_REMOVAL : (fresh.get(statement) ?? 10);
      assert.ok(read <= most, `${read} rows instead of ${most}: ${statement}`);
    }
    await purchase(buyer);
    await poll(() => count('done WHERE closed_at = 1') === 0, 'the old jobs to go', 60_000);
    assert.ok(count('done') > HISTORY - LONG_OVER);
  });
});
