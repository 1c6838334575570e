// Promises: the points of a purchase at which a test can kill the runtime, each with a way to get there and stay there, and
// with what storage and chain must say once it is dead.

import assert from 'node:assert/strict';
import { ALL_JOBS, Purchase, fileOf, lock, met } from './kill.mjs';
import { poll } from './poll.mjs';

/**
 * @typedef {object} Point
 * @property {string} name
 * @property {(its: Purchase, world: import('./world.mjs').TestWorld, issuer: import('./issuer.mjs').Issuer) => Promise<unknown>} arrive
 *           brings a purchase there; what it returns may be a function that frees what holds it
 * @property {[string, number, number, number]} at  once killed: stage of the record, jobs of the gas wallet, charges, refunds
 * @property {'DELIVERED' | 'REFUNDED'} end
 * @property {true} [last]    it cannot be held for long: brought there when all others are
 * @property {true} [begins]  nothing has begun: somebody must ask
 */

/** The buyer is told that something failed, because its outcome could not be stored. @param {Purchase} its */
async function failed(its) {
  const answer = await its.answer;
  assert.ok(answer.status >= 500, answer.text);
}

/** The backend has got its one call. @param {Purchase} its @param {import('./issuer.mjs').Behaviour} how it takes it */
async function atBackend(its, issuer, how) {
  issuer.except(its.requestId, how);
  its.start();
  await poll(() => issuer.callsFor(its.requestId).length === 1, 'the call to the backend', 30_000);
}

/** @type {Point[]} */
export const PAYMENT = [
  {
    name: 'while the payment is checked',
    arrive: async (its) => {
      const held = its.hold('payment', 'eth_estimateGas');
      its.start();
      await met(held);
    },
    at: ['none', 0, 0, 0],
    end: 'DELIVERED',
    last: true,
    begins: true,
  },
  {
    name: 'after the attempt is recorded, before it is booked with the payer',
    arrive: async (its, world) => {
      const other = await Purchase.signed(world, its.buyer);
      other.start();
      assert.equal((await other.answer).status, 200);
      const released = (line) => line.includes('"target_released"') && line.includes(other.requestId);
      await poll(() => world.logs.some(released), 'the end of the purchase before', 30_000);
      await world.chain.mint(its.buyer.address, 15_000n);
      its.earlier = 1;
      // Its price is set aside before it is tried out, and booked after the attempt is recorded.
      const held = its.hold('payment', 'eth_estimateGas');
      its.start();
      await met(held);
      const unlock = lock(fileOf(world, 'PayerObject', 'SELECT owner FROM payments', other.requestId));
      held.end();
      await its.reach('PENDING reserving');
      return unlock;
    },
    at: ['PENDING reserving', 0, 0, 0],
    end: 'DELIVERED',
  },
  {
    name: 'after the node has the transaction, before it says so',
    arrive: async (its) => {
      const held = its.hold('payment', 'eth_sendRawTransaction', 'mute');
      its.start();
      await met(held);
      await poll(async () => (await its.charges()).length === 1, 'the charge');
    },
    at: ['PENDING settling', 1, 1, 0],
    end: 'DELIVERED',
    last: true,
  },
  {
    name: 'after the hash is recorded, before there is a receipt',
    arrive: async (its) => {
      its.hold('payment', 'eth_getTransactionReceipt');
      its.start();
      await its.reach('PENDING submitted');
    },
    at: ['PENDING submitted', 1, 1, 0],
    end: 'DELIVERED',
  },
  {
    name: 'after the receipt is answered, before the payment is recorded',
    arrive: async (its, world) => {
      const held = its.hold('payment', 'eth_getTransactionReceipt');
      its.start();
      await its.reach('PENDING submitted');
      await met(held);
      const unlock = its.lock();
      held.end();
      await failed(its);
      return unlock;
    },
    at: ['PENDING submitted', 1, 1, 0],
    end: 'DELIVERED',
  },
  {
    name: 'while the backend is asked, before it has issued',
    arrive: (its, _, issuer) => atBackend(its, issuer, 'hangs'),
    at: ['PAID', 1, 1, 0],
    end: 'DELIVERED',
  },
  {
    name: 'after the backend has issued, before its answer arrives',
    arrive: (its, _, issuer) => atBackend(its, issuer, 'mutes'),
    at: ['PAID', 1, 1, 0],
    end: 'DELIVERED',
  },
  {
    name: 'after the backend has answered, before the credential is recorded',
    arrive: async (its, world, issuer) => {
      issuer.except(its.requestId, 'waits');
      its.start();
      await its.reach('PAID');
      const unlock = its.lock();
      issuer.except(its.requestId, 'works');
      await failed(its);
      return unlock;
    },
    at: ['PAID', 1, 1, 0],
    end: 'DELIVERED',
  },
  {
    name: 'after the credential is recorded, before the buyer has it',
    arrive: async (its, _, issuer) => {
      issuer.except(its.requestId, 'waits');
      const hangUp = its.start();
      await its.reach('PAID');
      hangUp();
      issuer.except(its.requestId, 'works');
      await its.reach('DELIVERED');
      assert.equal(await its.answer, undefined);
    },
    at: ['DELIVERED', 1, 1, 0],
    end: 'DELIVERED',
  },
  {
    name: 'after the delivery',
    arrive: async (its) => {
      its.start();
      its.first = await its.answer;
      assert.equal(its.first.status, 200, its.first.text);
    },
    at: ['DELIVERED', 1, 1, 0],
    end: 'DELIVERED',
  },
];

/** @type {Point[]} */
export const REFUND = [
  {
    name: 'while the backend is asked, and then it is down for good',
    arrive: (its, _, issuer) => atBackend(its, issuer, 'mutes'),
    at: ['PAID', 1, 1, 0],
    end: 'REFUNDED',
  },
  {
    name: 'after the backend has refused, before that is recorded',
    arrive: async (its, _, issuer) => {
      issuer.except(its.requestId, 'waits');
      its.start();
      await its.reach('PAID');
      const unlock = its.lock();
      issuer.except(its.requestId, 'fails');
      await failed(its);
      return unlock;
    },
    at: ['PAID', 1, 1, 0],
    end: 'REFUNDED',
  },
  {
    name: 'after the refund is signed, before that is recorded',
    arrive: async (its) => {
      its.start();
      await its.reach('PAID undelivered');
      const unlock = its.lock();
      // The grace period ends, and whoever asks makes the refund begin.
      await poll(async () => (await its.ask()).body?.code !== 'TOKEN_ISSUE_FAILED', 'the write that fails', 30_000);
      return unlock;
    },
    at: ['PAID undelivered', 1, 1, 0],
    end: 'REFUNDED',
  },
  {
    name: 'after the refund is recorded, while it is checked',
    arrive: async (its) => {
      const held = its.hold('refund', 'eth_estimateGas');
      its.start();
      await met(held);
    },
    at: ['REFUND_PENDING preparing', 1, 1, 0],
    end: 'REFUNDED',
  },
  {
    name: 'after the node has the refund, before it says so',
    arrive: async (its) => {
      const held = its.hold('refund', 'eth_sendRawTransaction', 'mute');
      its.start();
      await met(held);
      await poll(async () => (await its.refunds()).length === 1, 'the refund');
    },
    at: ['REFUND_PENDING settling', 2, 1, 1],
    end: 'REFUNDED',
    last: true,
  },
  {
    name: 'after the refund’s hash is recorded, before there is a receipt',
    arrive: async (its) => {
      its.hold('refund', 'eth_getTransactionReceipt');
      its.start();
      await its.reach('REFUND_PENDING submitted');
    },
    at: ['REFUND_PENDING submitted', 2, 1, 1],
    end: 'REFUNDED',
  },
  {
    name: 'after the refund’s receipt is answered, before the end is recorded',
    arrive: async (its, world) => {
      const held = its.hold('refund', 'eth_getTransactionReceipt');
      its.start();
      await its.reach('REFUND_PENDING submitted');
      const unlock = its.lock();
      const faults = () => world.logs.filter((line) => line.includes('alarm_failed')).length;
      const before = faults();
      await met(held);
      held.end();
      await poll(() => held.calls.some(({ result }) => result) && faults() > before, 'the write that fails', 30_000);
      return unlock;
    },
    at: ['REFUND_PENDING submitted', 2, 1, 1],
    end: 'REFUNDED',
  },
  {
    name: 'after the refund',
    arrive: async (its) => {
      its.start();
      await its.reach('REFUNDED');
    },
    at: ['REFUNDED', 2, 1, 1],
    end: 'REFUNDED',
  },
];

/** The gas wallet's storage takes no write any more. @type {Point[]} */
export const WALLET = [
  {
    name: 'after a refund was found possible, before the gas wallet has recorded its transaction',
    arrive: async (its, world) => {
      its.start();
      await its.reach('PAID undelivered');
      const unlock = lock(fileOf(world, 'GasWalletObject', ALL_JOBS, its.requestId));
      await its.reach('REFUND_PENDING settling');
      return unlock;
    },
    at: ['REFUND_PENDING settling', 1, 1, 0],
    end: 'REFUNDED',
  },
  {
    name: 'after a payment was booked, before the gas wallet has recorded its transaction',
    arrive: async (its) => {
      its.start();
      await its.reach('PENDING settling');
    },
    at: ['PENDING settling', 0, 0, 0],
    end: 'DELIVERED',
    last: true,
  },
];

/** The node does not get the gas wallet's transactions. @type {Point[]} */
export const BROADCAST = [
  {
    name: 'after a refund’s transaction is recorded, before the node has it',
    arrive: async (its) => {
      const held = its.hold('refund', 'eth_sendRawTransaction');
      its.start();
      await met(held);
    },
    at: ['REFUND_PENDING settling', 2, 1, 0],
    end: 'REFUNDED',
  },
  {
    name: 'after a payment’s transaction is recorded, before the node has it',
    arrive: async (its, world) => {
      const held = its.hold('payment', 'eth_sendRawTransaction');
      // Nothing can be held for long, so both must come together.
      await poll(() => world.rpc.callsOf('eth_estimateGas').length === 2, 'the check of the refund', 30_000);
      its.start();
      await met(held);
    },
    at: ['PENDING settling', 1, 0, 0],
    end: 'DELIVERED',
  },
];
