// What a task tells of a purchase that is paid and cannot be delivered, in both versions of the protocol.
//
//  1. The backend is down: the task is under way, says so with its code and state, has the receipt of the payment, and cannot be
//     canceled. It stays down: who only asks for the task sees it end with the refund's transaction, and with both receipts. The
//     chain shows one refund. What ended stays so: for another look, and for the same payment once more.
//  2. The backend comes back in time: who only asks for the task gets the credential, and nothing goes back.

import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { NETWORK } from '../tools/lib/chain.mjs';
import { DIALECTS, Door, assertGranted, assertNoToken } from './support/a2a.mjs';
import { income } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const issuer = await startIssuer();
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: {
    TOKEN_MODE: 'remote',
    BACKEND_API_URL: issuer.url,
    TOKEN_ISSUE_TIMEOUT_MS: '1000',
    REFUND_MIN_AGE_MS: '4000',
    REFUND_INTERVAL_MS: '500',
  },
});
beforeEach(() => issuer.behave('works'));

const refundsTo = ({ address }) => world.chain.transfers({ from: world.seller.address, to: address });

for (const dialect of DIALECTS) {
  describe(`a purchase that cannot be delivered, seen through its task in version ${dialect.name}`, () => {
    const door = new Door(world, dialect);

    /** Pays while the backend issues nothing. */
    async function payInVain() {
      issuer.behave('fails');
      const buyer = await world.newBuyer();
      const offer = await door.offer();
      const payment = await signPayment(buyer.privateKey, offer.required);
      const task = await door.pay(offer, payment);
      assert.deepEqual([task.state, task.payment, task.required], ['working', 'payment-verified', undefined], task.text);
      const [{ type, code, details }] = task.data;
      assert.deepEqual([type, code, details.state], ['Error', 'TOKEN_ISSUE_FAILED', 'PAID'], task.text);
      const paid = (await income(world)).find(({ from }) => from === buyer.address);
      assert.deepEqual(task.receipts, [{ success: true, transaction: paid.hash, network: NETWORK, payer: buyer.address }]);
      return { buyer, payment, task };
    }

    test('ends with the refund, which is made once and by itself', async () => {
      const { buyer, payment, task } = await payInVain();
      door.assertError(await door.call(dialect.cancel, { id: task.id }), -32002);
      const ended = await poll(async () => {
        const seen = await door.get(task);
        return seen.state !== 'working' && seen;
      }, 'the end of the task', 60_000);
      assert.deepEqual([ended.state, ended.payment, ended.required], ['failed', 'payment-failed', undefined], ended.text);
      const [refund, ...others] = await refundsTo(buyer);
      assert.deepEqual([refund.args.value, others], [PRICE, []]);
      const [{ code, details }] = ended.data;
      assert.deepEqual([code, details.state, details.refundTransaction], ['TOKEN_ISSUE_FAILED', 'REFUNDED', refund.transactionHash]);
      assert.deepEqual(ended.receipts.map(({ success }) => success), [true, false]);
      assert.deepEqual(ended.receipts[0], task.receipts[0]);
      assert.equal(ended.receipts[1].errorReason, 'refunded');
      assertNoToken(ended.text);

      issuer.behave('works');
      assert.deepEqual((await door.get(task)).task, ended.task);
      assert.deepEqual((await door.pay(task, payment)).task, ended.task);
      door.assertError(await door.call(dialect.cancel, { id: task.id }), -32002);
      assert.equal((await refundsTo(buyer)).length, 1);
      assert.equal((await income(world)).filter(({ from }) => from === buyer.address).length, 1);
    });

    test('is delivered when the backend comes back in time, to who only looks', async () => {
      const { buyer, task } = await payInVain();
      issuer.behave('works');
      const ended = await poll(async () => {
        const seen = await door.get(task);
        return seen.state !== 'working' && seen;
      }, 'the delivery', 20_000);
      const grant = assertGranted(ended);
      assert.match(grant.accessToken, /^opaque-/);
      assert.deepEqual(ended.receipts, task.receipts);
      assert.deepEqual(await refundsTo(buyer), []);
    });
  });
}
