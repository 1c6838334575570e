// Two hundred purchases, ten SIGKILLs.
//
//  Twenty at a time, several buyers pay through the real runtime, which is killed at ten random moments and started again
//  on the same storage. The seller's backend issues, refuses, cuts the connection before or after it has issued, or never
//  answers; for some purchases it is down for good. Each client repeats its one signed request until it is told the end.
//
//  In the end chain and storage are compared, neither of which can be wrong about itself: every payment on the chain is
//  that of one purchase; every purchase is DELIVERED, or REFUNDED by exactly one transfer back to its payer; and each
//  client was told the same. Nothing else was sent.
//
//  The seed of the random choices is printed; KEY0_STORM_SEED=<seed> chooses it.

import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { broadcasts, stored } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const PURCHASES = 200;
const AT_ONCE = 20;
const BUYERS = 8;
const KILLS = 10;
const PRICE = 15_000n;
/** In each thousand calls to the backend. */
const MISFORTUNES = { fails: 150, loses: 150, cuts: 100, hangs: 100 };
const DOWN_FOR_GOOD = 150;
const REPEAT_MS = 150;

const seed = Number(process.env.KEY0_STORM_SEED ?? randomInt(2 ** 31));
/** mulberry32. @param {number} state @returns {(below: number) => number} */
function random(state) {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const luck = random(seed);
const issuer = await startIssuer(() => {
  let drawn = luck(1000);
  return Object.keys(MISFORTUNES).find((how) => (drawn -= MISFORTUNES[how]) < 0) ?? 'works';
});
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: {
    TOKEN_MODE: 'remote',
    BACKEND_API_URL: issuer.url,
    TOKEN_ISSUE_TIMEOUT_MS: '1000',
    REFUND_MIN_AGE_MS: '5000',
    REFUND_INTERVAL_MS: '500',
  },
});

/** Sends until there is an answer, whatever it says. */
const answered = (send) => poll(() => send().catch(() => undefined), 'an answer', 60_000);

/** One client: it signs once, and repeats that until it knows the end. */
async function purchase(buyer, number, dice) {
  const body = { planId: 'basic', resourceId: `item-${number}`, requestId: randomUUID() };
  if (dice(1000) < DOWN_FOR_GOOD) issuer.except(body.requestId, 'fails');
  const offer = await answered(() => access(world.url, body));
  assert.equal(offer.status, 402, offer.text);
  const payment = await signPayment(buyer.privateKey, offer.required);
  const ask = () => answered(() => access(world.url, body, { payment }));
  for (;;) {
    const answer = await ask();
    const state = answer.status === 200 ? 'DELIVERED' : answer.body?.details?.state;
    if (state === 'DELIVERED' || state === 'REFUNDED') return { requestId: body.requestId, buyer, ask, answer, state };
    assert.ok(answer.status >= 500, `neither the end nor a reason to repeat: ${answer.text}`);
    await new Promise((resolve) => setTimeout(resolve, REPEAT_MS));
  }
}

/** Kills at random moments, counted in calls to the chain, so that none falls into a time in which nothing happens. */
async function storm(dice, isOver) {
  for (let kill = 0; kill < KILLS; kill += 1) {
    const at = world.rpc.calls.length + 20 + dice(100);
    await poll(() => world.rpc.calls.length >= at || isOver(), 'the next moment to kill', 60_000);
    assert.ok(!isOver(), `all purchases were over after ${kill} kills`);
    await world.killWorker();
    await world.restartWorker();
  }
}

test(`every payment is delivered or refunded, whatever is killed (KEY0_STORM_SEED=${seed})`, async (t) => {
  const dice = random(seed + 1);
  const buyers = await Promise.all(Array.from({ length: BUYERS }, () => world.newBuyer()));
  const ends = [];
  let begun = 0;
  const client = async () => {
    while (begun < PURCHASES) {
      begun += 1;
      ends.push(await purchase(buyers[begun % BUYERS], begun, dice));
    }
  };
  const started = Date.now();
  const clients = Promise.all(Array.from({ length: AT_ONCE }, client));
  await Promise.all([clients, storm(random(seed + 2), () => ends.length === PURCHASES)]);

  const delivered = ends.filter(({ state }) => state === 'DELIVERED');
  const refunded = ends.filter(({ state }) => state === 'REFUNDED');
  t.diagnostic(`seed ${seed}: ${delivered.length} delivered, ${refunded.length} refunded, ${KILLS} kills, ${Date.now() - started} ms`);
  assert.ok(delivered.length && refunded.length);

  // What clients were told, what is stored, and what the chain shows.
  const rows = stored(world).PurchaseObject.record.map(({ status, body }) => ({ status, ...JSON.parse(body) }));
  const records = new Map(rows.map(({ terms, status, state }) => [terms.requestId, { status, ...state[status] }]));
  assert.equal(records.size, PURCHASES);
  for (const { requestId, state, answer } of ends) {
    const { status, payment, transaction } = records.get(requestId);
    assert.equal(status, state);
    if (state === 'DELIVERED') assert.equal(answer.body.txHash, payment.transaction);
    else assert.equal(answer.body.details.refundTransaction, transaction);
  }
  const line = (payer, value, hash) => `${payer.toLowerCase()} ${value} ${hash}`;
  const own = (some, hashOf) => some.map((end) => line(end.buyer.address, PRICE, hashOf(records.get(end.requestId)))).sort();
  const onChain = (logs, who) => logs.map(({ args, transactionHash }) => line(args[who], args.value, transactionHash)).sort();
  const income = await world.chain.transfers({ to: world.seller.address });
  const outgo = await world.chain.transfers({ from: world.seller.address });
  assert.equal(income.length, PURCHASES);
  assert.equal(outgo.length, refunded.length);
  assert.deepEqual(onChain(income, 'from'), own(ends, ({ payment }) => payment.transaction));
  assert.deepEqual(onChain(outgo, 'to'), own(refunded, ({ transaction }) => transaction));
  assert.equal(await world.chain.usdcBalance(world.seller.address), PRICE * BigInt(delivered.length));
  assert.equal(await broadcasts(world), income.length + outgo.length);

  // Whoever asks again is told the same; a grant is the same grant.
  for (const { ask, answer } of ends) assert.equal((await ask()).text, answer.text);
  assert.equal((await world.chain.transfers()).length, income.length + outgo.length + BUYERS + 1);
});
