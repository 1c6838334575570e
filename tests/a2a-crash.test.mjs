// The runtime is killed while an agent buys through the A2A door: SIGKILL, then the runtime starts on the same storage.
//
//  1. Between offer and payment: the task still waits for its payment, with the same offer, and is paid.
//  2. Between payment and grant, at every point of tests/support/points.mjs: nobody pays again. Asked by its id, the task shows
//     the truth: first that it is under way, then the grant; the chain shows one transfer. Where nothing had begun, the same
//     payment buys.
//  3. Where nothing had begun, a client that has lost its payment signs a new one for the same task, and pays once.
//  4. After the grant: the same grant.
//  5. A task that was canceled or has failed is so afterwards too.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { Door, V0_3, assertGranted } from './support/a2a.mjs';
import { broadcasts, income, isUsed } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { PRICE, Purchase } from './support/kill.mjs';
import { PAYMENT } from './support/points.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { signPayment } from './support/x402.mjs';

/** One purchase of one buyer through the A2A door, signed once. */
class TaskPurchase extends Purchase {
  /** @param {import('./support/world.mjs').TestWorld} world @param {import('../tools/lib/world.mjs').TestAccount} buyer */
  static async signed(world, buyer) {
    const purchase = new TaskPurchase();
    const order = { planId: 'basic', requestId: randomUUID() };
    const door = new Door(world);
    const offer = await door.offer(order);
    Object.assign(purchase, { world, buyer, order, door, offer, payment: await signPayment(buyer.privateKey, offer.required) });
    return purchase;
  }

  /** The one signed message; the answer has the status that it would have at the x402 door. @param {{signal?: AbortSignal}} [options] */
  async ask({ signal } = {}) {
    const { id, contextId } = this.offer;
    const message = { taskId: id, contextId, text: 'payment', metadata: { 'x402.payment.status': 'payment-submitted', 'x402.payment.payload': this.payment } };
    const { body, text } = await this.door.attempt(message, undefined, { signal });
    const task = body.result?.task;
    const data = task?.status.message?.parts.find(({ data }) => data)?.data;
    return { status: task?.status.state === 'TASK_STATE_COMPLETED' ? 200 : 503, body: data, text };
  }

  /** What its task says. */
  look() {
    return this.door.get(this.offer);
  }
}

const backend = await startIssuer('works');
after(() => backend.stop());

describe('killed', { concurrency: true }, () => {
  describe('between payment and grant', () => {
    /** @type {Map<import('./support/points.mjs').Point, TaskPurchase>} */
    const purchases = new Map();
    const vars = { TOKEN_MODE: 'remote', BACKEND_API_URL: backend.url, TOKEN_ISSUE_TIMEOUT_MS: '60000' };
    const world = useWorld({ backend: false, vars }, async (world) => {
      for (const point of PAYMENT) purchases.set(point, await TaskPurchase.signed(world, await world.newBuyer()));
      const arrive = (some) => Promise.all(some.map((point) => point.arrive(purchases.get(point), world, backend)));
      const spare = await TaskPurchase.signed(world, await world.newBuyer());
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
        const first = await its.look();
        assert.notEqual(first.state, 'failed', first.text);
        if (point.begins) {
          // The payment may still begin, when it is sent again; until then nobody is asked for another one.
          assert.deepEqual([first.state, first.required, await its.charges()], ['working', undefined, []]);
          await its.ask();
        }
        const task = await poll(async () => {
          const task = await its.look();
          return !['working', 'input-required'].includes(task.state) && task;
        }, 'the end of the task, which is only asked about', 60_000);
        const grant = assertGranted(task);
        assert.deepEqual((await its.charges()).map(({ args, transactionHash }) => [args.value, transactionHash]), [[PRICE, grant.txHash]]);
        assert.deepEqual(assertGranted(await its.door.pay(its.offer, its.payment)), grant, 'the same payment again');
        assert.deepEqual(assertGranted(await its.look()), grant);
        if (its.first) assert.deepEqual(its.first.body, grant);
      });
    }

    test('and nothing else was sent to the chain', async () => {
      await Promise.all([...purchases.values()].map((its) => its.reach('DELIVERED')));
      assert.equal(await broadcasts(world), (await income(world)).length);
    });
  });

  describe('before the payment and after the end', () => {
    const world = useWorld({ backend: false });

    test('each task is as it was; the offer is paid by one transfer', async () => {
      const door = new Door(world);
      const [offer, canceled, refused, asked] = [await door.offer(), await door.offer(), await door.offer(), await door.send({ text: 'What do you sell?' })];
      await door.cancel(canceled);
      await door.send({ taskId: refused.id, text: 'Too dear.', metadata: { 'x402.payment.status': 'payment-rejected' } });
      const buyer = await world.newBuyer();
      const sold = await door.offer();
      const payment = await signPayment(buyer.privateKey, sold.required);
      await door.pay(sold, payment);
      const tasks = [offer, canceled, refused, asked, sold];
      const before = await Promise.all(tasks.map((task) => door.get(task)));
      assert.deepEqual(before.map(({ state }) => state), ['input-required', 'canceled', 'failed', 'input-required', 'completed']);
      await world.killWorker();
      await world.restartWorker();
      const again = await Promise.all(tasks.map((task) => door.get(task)));
      assert.deepEqual(again.map(({ task }) => task), before.map(({ task }) => task));
      const { tasks: listed } = await door.list({ contextId: offer.contextId });
      assert.deepEqual(listed.map(({ id }) => id), [offer.id]);

      const bought = await door.pay(again[0], await signPayment(buyer.privateKey, again[0].required));
      const grants = [assertGranted(again[4]), assertGranted(bought)];
      assert.deepEqual((await income(world)).map(({ hash }) => hash), grants.map(({ txHash }) => txHash));
      assertGranted(await door.pay(sold, payment));
      assert.equal(await broadcasts(world), 2);
    });
  });

  describe('before anything has begun', () => {
    const world = useWorld({ backend: false });

    test('a client that has lost its payment too signs anew on the task, and pays once', async () => {
      const buyer = await world.newBuyer();
      const door = new Door(world);
      const offer = await door.offer();
      const payment = await signPayment(buyer.privateKey, offer.required);
      const held = world.rpc.on('eth_estimateGas', { kind: 'hang' });
      const lost = assert.rejects(door.pay(offer, payment));
      await poll(() => held.calls.length > 0, 'the question to the chain');
      await world.killWorker();
      await lost;
      world.rpc.clear();
      await world.restartWorker();
      assert.deepEqual([(await door.get(offer)).state, await income(world)], ['working', []]);
      const grant = assertGranted(await door.pay(offer, await signPayment(buyer.privateKey, offer.required)));
      assert.deepEqual((await income(world)).map(({ hash }) => hash), [grant.txHash]);
      assert.equal(await isUsed(world, payment.payload.authorization), false);
      assert.deepEqual(assertGranted(await door.get(offer)), grant);
    });
  });

  describe('after the broadcast and before the receipt', () => {
    const world = useWorld({ backend: false });

    test('a client of version 0.3 that only asks sees the grant when blocks go on', async () => {
      const door = new Door(world, V0_3);
      const buyer = await world.newBuyer();
      const offer = await door.offer();
      const payment = await signPayment(buyer.privateKey, offer.required);
      await world.chain.holdBlocks();
      const lost = assert.rejects(door.pay(offer, payment));
      await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node');
      await world.killWorker();
      await lost;
      await world.restartWorker();
      const under = await door.get(offer);
      assert.deepEqual([under.state, under.required], ['working', undefined], under.text);
      assert.deepEqual(await income(world), []);
      await world.chain.setBlockTime(0);
      await world.chain.mine();
      const task = await poll(async () => {
        const task = await door.get(offer);
        return task.state !== 'working' && task;
      }, 'the end of the task', 60_000);
      const grant = assertGranted(task);
      assert.deepEqual((await income(world)).map(({ hash }) => hash), [grant.txHash]);
      assert.equal(await broadcasts(world), 1);
    });
  });
});
