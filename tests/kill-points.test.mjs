// The runtime is killed at every point of a purchase: SIGKILL, then the runtime starts on the same storage.
//
//  Between any two things that a purchase does (a change of its record, of the payer's book or of the gas wallet's jobs; a
//  call to the chain or to the seller's backend) there is a point below. A purchase is held there by a node or a backend
//  that does not answer for it, or by storage that takes no write. Purchases that do not disturb each other share a world
//  and its SIGKILL. Storage and chain, read while nothing runs, prove that each was where its name says.
//
//  Afterwards nobody asks: the alarms alone bring each purchase to its end. Then chain and answer must agree: exactly one
//  charge, and either the grant, the same for everybody who asks, or exactly one refund of all of it.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { broadcasts } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { Purchase } from './support/kill.mjs';
import { poll } from './support/poll.mjs';
import { BROADCAST, PAYMENT, REFUND, WALLET } from './support/points.mjs';
import { useWorld } from './support/world.mjs';

const backends = await Promise.all(['works', 'fails', 'fails', 'fails'].map(startIssuer));
after(() => Promise.all(backends.map((backend) => backend.stop())));

describe('killed', { concurrency: true }, () => {
  killed('on the way from the payment to the grant', PAYMENT, backends[0]);
  killed('on the way from the payment to the refund', REFUND, backends[1]);
  killed('before the gas wallet writes', WALLET, backends[2]);
  killed('before the gas wallet broadcasts', BROADCAST, backends[3]);
});

/** @param {string} where @param {import('./support/points.mjs').Point[]} points @param {import('./support/issuer.mjs').Issuer} issuer */
function killed(where, points, issuer) {
  describe(where, { concurrency: true }, () => {
    /** @type {Map<import('./support/points.mjs').Point, Purchase>} */
    const purchases = new Map();
    const backend = { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, TOKEN_ISSUE_TIMEOUT_MS: '60000' };
    const vars = { ...backend, REFUND_MIN_AGE_MS: '6000', REFUND_INTERVAL_MS: '500' };

    /** One that is paid, and whose delivery waits. */
    const paid = async (world) => {
      const its = await Purchase.signed(world, await world.newBuyer());
      issuer.except(its.requestId, 'waits');
      its.start();
      await its.reach('PAID');
      return its;
    };

    /** Brings purchases to their points. Three deliveries in a row that fail close the shop, so none fails before all are paid. */
    const arrive = async (some, world) => {
      const failing = some.filter(({ end }) => end === 'REFUNDED').map((point) => purchases.get(point));
      if (failing.length) issuer.behave('waits');
      const arrived = Promise.all(some.map((point) => point.arrive(purchases.get(point), world, issuer)));
      if (failing.length) {
        const isPaid = (its) => its.stage() !== 'none' && !its.stage().startsWith('PENDING');
        await Promise.race([poll(() => failing.every(isPaid), 'the payments', 60_000), arrived]);
        issuer.behave('fails');
      }
      return arrived;
    };

    /** Where every purchase is, by storage and chain. */
    const places = () =>
      Promise.all(
        [...purchases].map(async ([{ name }, its]) => [name, its.stage(), its.jobs(), (await its.charges()).length, (await its.refunds()).length]),
      );

    const world = useWorld({ backend: false, vars }, async (world) => {
      for (const point of points) purchases.set(point, await Purchase.signed(world, await world.newBuyer()));
      const lastOnes = points.filter(({ last }) => last);
      const spare = lastOnes.length ? await paid(world) : undefined;
      const held = await arrive(points.filter(({ last }) => !last), world);
      if (spare) {
        // While deliveries keep failing nothing is begun. One that succeeds opens the shop for the last ones.
        issuer.except(spare.requestId, 'works');
        await spare.reach('DELIVERED');
      }
      held.push(...(await arrive(lastOnes, world)));
      await world.killWorker();
      assert.deepEqual(await places(), points.map(({ name, at }) => [name, ...at]));

      for (const free of held) if (typeof free === 'function') free();
      world.rpc.clear();
      for (const [{ end }, its] of purchases) issuer.except(its.requestId, end === 'DELIVERED' ? 'works' : 'fails');
      await world.restartWorker();
    });

    for (const point of points) {
      test(point.name, async () => {
        const its = purchases.get(point);
        if (point.begins) its.start();
        await its.reach(point.end);
        if (point.end === 'REFUNDED') await its.assertRefunded();
        else await its.assertGranted();
        if (its.first) assert.equal((await its.ask()).text, its.first.text);
      });
    }

    test('and nothing else was sent to the chain', async () => {
      await Promise.all([...purchases].map(([{ end }, its]) => its.reach(end)));
      const address = world.seller.address;
      const transfers = await Promise.all([world.chain.transfers({ from: address }), world.chain.transfers({ to: address })]);
      assert.equal(await broadcasts(world), transfers.flat().length);
    });
  });
}
