// What the MCP door tells of a purchase that is paid and cannot be delivered.
//
//  1. The backend is down: the call is told that it is paid, with the receipt, and how to repeat it; there is no offer. The
//     same call, repeated, and one that is signed anew hear the same.
//  2. It stays down: the call ends with the refund's transaction. The chain shows one payment and one refund.
//  3. The backend comes back in time: the same call gets the credential, and nothing goes back.

import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { NETWORK } from '../tools/lib/chain.mjs';
import { income } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { ERAS, Mcp, assertFailed, assertGranted } from './support/mcp.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const args = { planId: 'basic' };
const issuer = await startIssuer();
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, TOKEN_ISSUE_TIMEOUT_MS: '1000', REFUND_MIN_AGE_MS: '6000', REFUND_INTERVAL_MS: '500' },
});
beforeEach(() => issuer.behave('works'));
const refundsTo = ({ address }) => world.chain.transfers({ from: world.seller.address, to: address });
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

for (const era of ERAS) {
  const door = new Mcp(world, era);

  /** Pays while the backend issues nothing. */
  const payInVain = async () => {
    issuer.behave('fails');
    const buyer = await world.newBuyer();
    const payment = await signPayment(buyer.privateKey, await door.offer(args));
    const anew = await signPayment(buyer.privateKey, await door.offer(args));
    let requestId;
    for (const shown of [payment, payment, anew]) {
      const answer = await door.access(args, shown);
      const { details } = assertFailed(answer, 'TOKEN_ISSUE_FAILED');
      assert.equal(details.state, 'PAID', answer.text);
      assert.equal(details.requestId, requestId ?? details.requestId, 'all of them are told of one purchase');
      ({ requestId } = details);
      assert.match(answer.texts[0], /^The payment arrived.*repeat this call with "requestId": "x402-[0-9a-f]{32}"\./s);
      const [{ hash }] = await paidBy(buyer);
      assert.deepEqual(answer.receipt, { success: true, transaction: hash, network: NETWORK, payer: buyer.address });
    }
    return { buyer, payment, requestId };
  };

  test(`what cannot be delivered ends with its refund (clients ${era.name})`, async () => {
    const { buyer, payment, requestId } = await payInVain();
    const ended = await poll(async () => {
      const answer = await door.access(args, payment);
      return answer.data?.details?.state === 'REFUNDED' && answer;
    }, 'the refund', 60_000);
    const { details } = assertFailed(ended, 'TOKEN_ISSUE_FAILED');
    const refunds = await refundsTo(buyer);
    assert.deepEqual(refunds.map(({ transactionHash, args }) => [transactionHash, args.value]), [[details.refundTransaction, PRICE]]);
    assert.deepEqual([ended.receipt.success, ended.receipt.errorReason], [false, 'refunded']);
    // Who signs anew under the name that the answers gave buys nothing that he did not ask for.
    const named = { ...args, requestId };
    assertFailed(await door.access(named, await signPayment(buyer.privateKey, await door.offer(named))), 'TOKEN_ISSUE_FAILED');
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test(`what is delivered late is not sent back (clients ${era.name})`, async () => {
    const { buyer, payment } = await payInVain();
    issuer.behave('works');
    const answer = await poll(async () => {
      const answer = await door.access(args, payment);
      return answer.data?.details?.state !== 'PAID' && answer;
    }, 'the credential', 30_000);
    if (answer.result.isError) {
      // Delivered by itself meanwhile, and the payment is public by then.
      const { details } = assertFailed(answer, 'TX_ALREADY_REDEEMED');
      const named = { ...args, requestId: details.requestId };
      assertGranted(await door.access(named, await signPayment(buyer.privateKey, await door.offer(named))));
    } else assertGranted(answer);
    assert.equal((await paidBy(buyer)).length, 1);
    assert.deepEqual(await refundsTo(buyer), []);
  });
}
