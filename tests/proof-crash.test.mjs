// The runtime is killed while a transfer is being credited: SIGKILL, then the runtime starts on the same storage.
//
//  1. While the chain is asked: nothing is stored. Whoever shows the proof again gets the grant.
//  2. After the proof is recorded, before the payer's book has the transfer; and after the book has it, before that is
//     recorded. Afterwards nobody asks: the alarms alone bring the purchase to its delivery.
//  3. Then the proof gets the grant, the transfer pays nothing else, and nothing was sent to the chain.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { broadcasts, records, statuses, stored } from './support/facts.mjs';
import { fileOf, lock } from './support/kill.mjs';
import { poll } from './support/poll.mjs';
import { newSender, offer, present, proofOf, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';

const world = useWorld({ backend: false });
const order = () => ({ planId: 'basic', requestId: randomUUID() });

/** An offer that is paid and not shown yet, and another of the same time: a transfer pays no offer that is younger. */
async function paid(sender) {
  const offered = await offer(world, order());
  const rival = await offer(world, order());
  const hash = await transfer(world, sender);
  return { ...offered, rival, hash, proof: await proofOf(offered, sender, hash) };
}

/** A sender whose book exists already, so that it can be locked. */
async function knownSender() {
  const sender = await newSender(world);
  const first = await paid(sender);
  assert.equal((await present(world, first.proof)).status, 200);
  await poll(() => statuses(world)[first.requestId] === 'DELIVERED' && !records(world)[first.requestId].holdsTarget, 'the first purchase', 30_000);
  return { sender, first };
}

/** Shows it and may never be answered. */
const show = ({ proof }) => present(world, proof).catch(() => undefined);
const state = ({ requestId }) => Object.keys(records(world)[requestId]?.state ?? {})[0];

/** One grant, which pays nothing else, and no transaction of ours. */
async function assertGranted(sender, its) {
  const answer = await present(world, its.proof);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.txHash, its.hash);
  const other = await present(world, await proofOf(its.rival, sender, its.hash));
  assert.equal(other.body.code, 'TX_ALREADY_REDEEMED');
  assert.equal(await broadcasts(world), 0);
}

test('killed while the chain is asked, nothing was stored, and the same proof is credited afterwards', async () => {
  const sender = await newSender(world);
  const its = await paid(sender);
  const held = world.rpc.on('eth_getTransactionReceipt', { kind: 'hang', match: ([hash]) => hash === its.hash });
  const answer = show(its);
  await poll(() => held.calls.length > 0, 'the question to the chain');
  await world.killWorker();
  await answer;
  assert.deepEqual(stored(world), {});
  world.rpc.clear();
  await world.restartWorker();
  await assertGranted(sender, its);
});

test('killed after the proof is recorded, before it is booked, the purchase is delivered by itself', async () => {
  const { sender, first } = await knownSender();
  const its = await paid(sender);
  const unlock = lock(fileOf(world, 'PayerObject', 'SELECT owner FROM payments', first.requestId));
  const answer = show(its);
  await poll(() => state(its) === 'PROVING', 'the record of the proof');
  await world.killWorker();
  await answer;
  assert.equal(state(its), 'PROVING');
  unlock();
  await world.restartWorker();
  await poll(() => statuses(world)[its.requestId] === 'DELIVERED', 'the delivery, with nobody asking', 30_000);
  await assertGranted(sender, its);
});

test('killed after it is booked, before that is recorded, the purchase is delivered by itself', async () => {
  const { sender, first } = await knownSender();
  const its = await paid(sender);
  const book = fileOf(world, 'PayerObject', 'SELECT owner FROM payments', first.requestId);
  const unlockBook = lock(book);
  const answer = show(its);
  await poll(() => state(its) === 'PROVING', 'the record of the proof');
  const unlockRecord = lock(fileOf(world, 'PurchaseObject', 'SELECT body FROM record', its.requestId));
  unlockBook();
  await poll(() => fileOf(world, 'PayerObject', 'SELECT owner FROM payments', its.requestId), 'the booking', 60_000);
  await world.killWorker();
  await answer;
  assert.equal(state(its), 'PROVING');
  unlockRecord();
  await world.restartWorker();
  await poll(() => statuses(world)[its.requestId] === 'DELIVERED', 'the delivery, with nobody asking', 30_000);
  await assertGranted(sender, its);
});
