// The runtime is killed while an agent buys with MCP tools: SIGKILL, then the runtime starts on the same storage.
//
//  1. Between payment and grant, at every point of tests/support/points.mjs: the same call, repeated, is never invited to pay
//     again, and ends with the grant. The chain shows one transfer, and nothing else was sent to it.
//  2. After the broadcast, with a client that signs each call anew: it is told that the payment is under way, then it gets the
//     grant of its first payment. None of the others is executed.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { broadcasts, income, isUsed } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { Purchase } from './support/kill.mjs';
import { ERAS, MODERN, Mcp, assertGranted, assertUnderWay } from './support/mcp.mjs';
import { PAYMENT } from './support/points.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { signPayment } from './support/x402.mjs';

/** One purchase of one buyer with MCP tools, signed once. */
class ToolPurchase extends Purchase {
  /** @param {import('./support/world.mjs').TestWorld} world @param {import('../tools/lib/world.mjs').TestAccount} buyer @param {number} [at] */
  static async signed(world, buyer, at = 0) {
    const purchase = new ToolPurchase();
    const order = { planId: 'basic', requestId: randomUUID() };
    const door = new Mcp(world, ERAS[at % 2]);
    Object.assign(purchase, { world, buyer, order, door, payment: await signPayment(buyer.privateKey, await door.offer(order)) });
    return purchase;
  }

  /** The one signed call; the answer has a status like that of the x402 door. @param {{signal?: AbortSignal}} [options] */
  async ask({ signal } = {}) {
    const answer = await this.door.access(this.order, this.payment, undefined, signal);
    return { ...answer, status: answer.result.isError ? 503 : 200, body: answer.data };
  }
}

const backend = await startIssuer('works');
after(() => backend.stop());

describe('killed', { concurrency: true }, () => {
  describe('between payment and grant', () => {
    /** @type {Map<import('./support/points.mjs').Point, ToolPurchase>} */
    const purchases = new Map();
    const vars = { TOKEN_MODE: 'remote', BACKEND_API_URL: backend.url, TOKEN_ISSUE_TIMEOUT_MS: '60000' };
    const world = useWorld({ backend: false, vars }, async (world) => {
      for (const [at, point] of PAYMENT.entries()) purchases.set(point, await ToolPurchase.signed(world, await world.newBuyer(), at));
      const arrive = (some) => Promise.all(some.map((point) => point.arrive(purchases.get(point), world, backend)));
      const spare = await ToolPurchase.signed(world, await world.newBuyer());
      backend.except(spare.requestId, 'waits');
      spare.start();
      await spare.reach('PAID');
      const held = await arrive(PAYMENT.filter(({ last }) => !last));
      // While deliveries keep failing nothing is begun. One that succeeds opens the shop for the last ones.
      backend.except(spare.requestId, 'works');
      await spare.reach('DELIVERED');
      held.push(...(await arrive(PAYMENT.filter(({ last }) => last))));
      await world.killWorker();
      for (const [{ name, at }, its] of purchases) assert.deepEqual([its.stage(), (await its.charges()).length], [at[0], at[2]], name);
      for (const free of held) if (typeof free === 'function') free();
      world.rpc.clear();
      for (const its of purchases.values()) backend.except(its.requestId, 'works');
      await world.restartWorker();
    });

    for (const point of PAYMENT) {
      test(point.name, async () => {
        const its = purchases.get(point);
        await poll(async () => {
          const { status, text } = await its.ask();
          assert.doesNotMatch(text, /\\?"accepts\\?"/, 'it is invited to pay again');
          return status === 200;
        }, 'the grant, by the same call', 60_000);
        const { text } = await its.assertGranted();
        if (its.first) assert.equal(text, its.first.text);
      });
    }

    test('and nothing else was sent to the chain', async () => {
      await Promise.all([...purchases.values()].map((its) => its.reach('DELIVERED')));
      assert.equal(await broadcasts(world), (await income(world)).length);
    });
  });

  describe('after the broadcast', () => {
    const world = useWorld({ backend: false });

    test('a client that signs each call anew pays once', async () => {
      const door = new Mcp(world, MODERN);
      const buyer = await world.newBuyer();
      const signed = async () => signPayment(buyer.privateKey, await door.offer());
      const payments = [await signed(), await signed(), await signed()];
      await world.chain.holdBlocks();
      const lost = assert.rejects(door.access(undefined, payments[0]));
      await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node');
      await world.killWorker();
      await lost;
      await world.restartWorker();
      assertUnderWay(await door.access(undefined, payments[1]));
      assert.deepEqual(await income(world), []);
      await world.chain.setBlockTime(0);
      await world.chain.mine();
      const answer = await poll(async () => {
        const answer = await door.access(undefined, payments[2]);
        return !answer.result.isError && answer;
      }, 'the grant', 60_000);
      const grant = assertGranted(answer);
      assert.deepEqual((await income(world)).map(({ hash }) => hash), [grant.txHash]);
      assert.equal(await broadcasts(world), 1);
      for (const { payload } of payments.slice(1)) assert.equal(await isUsed(world, payload.authorization), false);
    });
  });
});
