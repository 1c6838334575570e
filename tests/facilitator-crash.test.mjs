// The runtime is killed while a facilitator has a payment: SIGKILL, then the runtime starts on the same storage.
//
//  1. The intent is stored and the facilitator has not settled; or it has, and its answer is not stored; or it is being asked
//     whether it would settle. Storage and chain, read while nothing runs, prove that each purchase was there.
//  2. Afterwards nobody asks: the alarms alone bring each purchase to its delivery. The chain shows one transfer for each, and
//     the buyer who comes back gets the grant that names it.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { Purchase, PRICE } from './support/kill.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';

const facilitator = await startFacilitator();
after(() => facilitator.stop());

/** Name, what holds the purchase there, its stage and charges once killed, how often the facilitator is told to settle in all. */
const POINTS = [
  ['while it is asked whether it would settle', 'verify', { kind: 'hang' }, 'PENDING settling', 0, 1],
  ['after it is told to settle, before it does', 'settle', { kind: 'hang' }, 'PENDING asked', 0, 2],
  ['after it has settled, before it says so', 'settle', { kind: 'mute' }, 'PENDING asked', 1, 1],
];

describe('killed', { concurrency: true }, () => {
  /** @type {Map<string, Purchase>} */
  const purchases = new Map();
  const world = useWorld({ backend: false, vars: settledBy(facilitator) }, async (ready) => {
    await facilitator.connect(ready.chain);
    for (const [name, action, rule, , charges] of POINTS) {
      const its = await Purchase.signed(ready, await ready.newBuyer());
      purchases.set(name, its);
      facilitator.on(action, rule, { payer: its.buyer.address });
      its.start();
      await poll(() => facilitator.callsOf(action, its.buyer.address).length === 1, 'the call that is held');
      await poll(async () => (await its.charges()).length === charges, 'the charge');
    }
    await ready.killWorker();
    const places = await Promise.all([...purchases].map(async ([name, its]) => [name, its.stage(), (await its.charges()).length]));
    assert.deepEqual(places, POINTS.map(([name, , , stage, charges]) => [name, stage, charges]));
    facilitator.clear();
    await ready.restartWorker();
  });

  for (const [name, , , , , settles] of POINTS) {
    test(name, async () => {
      const its = purchases.get(name);
      await its.reach('DELIVERED');
      const charges = await its.charges();
      assert.deepEqual(charges.map(({ args }) => args.value), [PRICE]);
      await its.assertGranted();
      assert.equal(facilitator.callsOf('settle', its.buyer.address).length, settles);
    });
  }
});
