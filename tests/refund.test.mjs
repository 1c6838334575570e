// After the payment the buyer gets the goods or the money.
//
//  1. The backend issues the credential: it is passed on, and asking again gets the same one without another call.
//  2. The backend is down: the buyer is told so with a state. It comes back in time: the credential is delivered, no refund.
//  3. The backend stays down: after the grace period the chain shows exactly one refund of the price to the payer, and the
//     buyer who asks again gets the refund's transaction.
//  4. The runtime is killed while the refund is on its way, and the node's answers are lost: one refund.
//  5. The seller cannot pay: the refund is tried again, and succeeds when the money is there.
//  6. A backend that wakes up after the refund began delivers nothing any more.
//  7. The seller takes another wallet after the refund began: it comes from the wallet that was paid.
//  8. The seller takes another wallet before: no wallet but the one that was paid returns the money. The purchase is
//     REFUND_FAILED with a reason of its own, until the key is back and an operator has it tried again,
//  9. or until the operator has returned the money by hand and says so. Then nothing returns it again.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { command, operator, reported } from './support/admin.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const PRICE = 15_000n;
const RECONCILE = fileURLToPath(new URL('../tools/reconcile.mjs', import.meta.url));
const run = promisify(execFile);
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
beforeEach(() => {
  issuer.behave('works');
  issuer.calls.length = 0;
  world.rpc.clear();
});

const refundsTo = (address) => world.chain.transfers({ from: world.seller.address, to: address });
const order = () => ({ planId: 'basic', requestId: randomUUID() });

/** Pays while the backend does not deliver. */
async function payInVain() {
  const buyer = await world.newBuyer();
  const request = order();
  const bought = await buy(world.url, buyer.privateKey, request);
  const ask = () => access(world.url, request, { payment: bought.payment });
  return { buyer, request, bought, ask };
}

/** Asks until the purchase has reached this state. */
const reach = (ask, state) =>
  poll(async () => {
    const answer = await ask();
    return answer.body?.details?.state === state && answer;
  }, `the state ${state}`, 60_000);

async function assertOneRefund(buyer, answer) {
  const refunds = await refundsTo(buyer.address);
  assert.deepEqual(refunds.map(({ args }) => args.value), [PRICE]);
  assert.equal(answer.body.details.refundTransaction, refunds[0].transactionHash);
  assert.equal(await world.chain.usdcBalance(buyer.address), 1_000_000_000n);
}

describe('a credential that the backend issues', () => {
  test('is passed on, and again without another call', async () => {
    const { request, bought, ask } = await payInVain();
    assert.equal(bought.status, 200, bought.text);
    assert.match(bought.body.accessToken, /^opaque-/);
    assert.equal(bought.body.tokenType, 'Key');
    assert.equal(bought.body.region, 'eu');
    assert.equal((await ask()).text, bought.text);
    assert.equal(issuer.calls.length, 1);
    const [{ key, body, path }] = issuer.calls;
    assert.equal(path, '/internal/issue-token');
    assert.equal(key, bought.body.challengeId);
    assert.deepEqual(body, {
      requestId: request.requestId,
      challengeId: bought.body.challengeId,
      resourceId: 'default',
      planId: 'basic',
      txHash: bought.body.txHash,
      unitAmount: '$0.015',
      limits: { rate: { calls: 10, per: 'minute' }, concurrency: 2 },
    });
  });

  for (const [how, status, code] of [
    ['fails', 502, 'TOKEN_ISSUE_FAILED'],
    ['empty', 502, 'TOKEN_ISSUE_FAILED'],
    ['cuts', 502, 'TOKEN_ISSUE_FAILED'],
    ['hangs', 504, 'TOKEN_ISSUE_TIMEOUT'],
  ]) {
    test(`is delivered without a refund when a backend that ${how} comes back in time`, async () => {
      issuer.behave(how);
      const { buyer, bought, ask } = await payInVain();
      assert.equal(bought.status, status, bought.text);
      assert.equal(bought.body.code, code);
      assert.equal(bought.body.details.state, 'PAID');
      assert.equal(bought.settled.success, true);
      issuer.behave('works');
      const delivered = await poll(async () => {
        const answer = await ask();
        return answer.status === 200 && answer;
      }, 'the delivery', 20_000);
      assert.match(delivered.body.accessToken, /^opaque-/);
      assert.equal((await ask()).text, delivered.text);
      assert.deepEqual(await refundsTo(buyer.address), []);
      assert.equal(new Set(issuer.calls.map(({ key }) => key)).size, 1);
    });
  }
});

describe('a purchase that cannot be delivered', () => {
  test('is refunded once, by itself, and says so', async () => {
    issuer.behave('fails');
    const { buyer, bought, ask } = await payInVain();
    assert.equal(bought.status, 502, bought.text);
    // Nobody asks: the purchase's own alarm does it.
    await poll(async () => (await refundsTo(buyer.address)).length > 0, 'the refund', 30_000);
    const answer = await reach(ask, 'REFUNDED');
    assert.equal(answer.status, 502);
    await assertOneRefund(buyer, answer);
    issuer.behave('works');
    assert.equal((await ask()).body.details.state, 'REFUNDED');
    await assertOneRefund(buyer, answer);
  });

  test('is refunded once although the runtime is killed and the node’s answers are lost', async () => {
    issuer.behave('fails');
    const { buyer, ask } = await payInVain();
    world.rpc.on('eth_sendRawTransaction', { kind: 'lose' });
    const lost = () => world.rpc.callsOf('eth_sendRawTransaction').length;
    const before = lost();
    await poll(() => lost() > before, 'the refund to be sent', 30_000);
    await world.killWorker();
    world.rpc.clear();
    await world.restartWorker();
    await assertOneRefund(buyer, await reach(ask, 'REFUNDED'));
  });

  test('is refunded when the seller has the money again', async () => {
    issuer.behave('fails');
    const { buyer, ask } = await payInVain();
    await world.chain.blacklist(buyer.address, true);
    await reach(ask, 'REFUND_PENDING');
    await poll(() => world.logs.some((line) => line.includes('refund_not_possible')), 'a failed try', 30_000);
    assert.deepEqual(await refundsTo(buyer.address), []);
    await world.chain.blacklist(buyer.address, false);
    await assertOneRefund(buyer, await reach(ask, 'REFUNDED'));
  });

  test('delivers nothing any more once the refund has begun', async () => {
    issuer.behave('fails');
    const { buyer, ask } = await payInVain();
    await world.chain.blacklist(buyer.address, true);
    await reach(ask, 'REFUND_PENDING');
    issuer.behave('works');
    const calls = issuer.calls.length;
    for (let i = 0; i < 3; i += 1) assert.equal((await ask()).body.details.state, 'REFUND_PENDING');
    assert.equal(issuer.calls.length, calls);
    await world.chain.blacklist(buyer.address, false);
    await assertOneRefund(buyer, await reach(ask, 'REFUNDED'));
  });

  test('is refunded by the wallet that was paid, though the seller has another one by now', async () => {
    issuer.behave('fails');
    const { buyer, ask } = await payInVain();
    await world.chain.blacklist(buyer.address, true);
    await reach(ask, 'REFUND_PENDING');
    const other = await world.newBuyer();
    await world.restartWorker({ KEY0_WALLET_ADDRESS: other.address, KEY0_WALLET_PRIVATE_KEY: other.privateKey });
    await world.chain.blacklist(buyer.address, false);
    await assertOneRefund(buyer, await reach(ask, 'REFUNDED'));
    assert.deepEqual(await world.chain.transfers({ from: other.address }), []);
    await world.restartWorker();
  });
});

describe('a purchase whose wallet is not the seller’s any more when its refund is due', () => {
  /** Another wallet with money of its own, and a purchase that the first one was paid for. */
  async function moveAway() {
    await world.restartWorker({ REFUND_MIN_AGE_MS: '600000' });
    issuer.behave('fails');
    const purchase = await payInVain();
    assert.equal(purchase.bought.body.details.state, 'PAID', purchase.bought.text);
    const other = await world.newBuyer();
    await world.restartWorker({ KEY0_WALLET_ADDRESS: other.address, KEY0_WALLET_PRIVATE_KEY: other.privateKey });
    await reach(purchase.ask, 'REFUND_FAILED');
    return { ...purchase, other, path: `/purchases/${purchase.request.requestId}` };
  }

  test('is refunded by no other wallet, and by the right one when its key is back', async () => {
    const { buyer, ask, other, path } = await moveAway();
    assert.ok(world.logs.some((line) => line.includes('refund_blocked')));
    await reported(world);
    const listed = await operator(world, '/purchases?status=REFUND_FAILED');
    assert.equal(listed.body.purchases[0].reason, 'refund_wallet_differs');
    await command(world, `${path}/retry-refund`);
    await reach(ask, 'REFUND_FAILED');
    assert.deepEqual(await world.chain.transfers({ from: other.address }), []);

    await world.restartWorker();
    assert.equal((await command(world, `${path}/retry-refund`)).body.status, 'REFUND_PENDING');
    await assertOneRefund(buyer, await reach(ask, 'REFUNDED'));
    assert.deepEqual(await world.chain.transfers({ from: other.address }), []);
  });

  test('is returned by hand, once, when the operator names the transaction', async () => {
    const { buyer, ask, path } = await moveAway();
    await world.chain.fund(world.seller.address, '1');
    const hash = await transfer(world, world.seller, PRICE, buyer.address);
    assert.equal((await command(world, `${path}/returned/0x12`)).status, 400);
    const told = await command(world, `${path}/returned/${hash}`);
    assert.deepEqual([told.status, told.body?.status], [200, 'REFUNDED'], told.text);
    await world.restartWorker();
    assert.equal((await command(world, `${path}/retry-refund`)).status, 409);
    await assertOneRefund(buyer, await ask());
    await reported(world);
    const { stdout } = await run(process.execPath, [RECONCILE, '--url', world.url, '--rpc', world.chain.url, '--json'], { env: { ...process.env, KEY0_ADMIN_SECRET: world.adminSecret } });
    assert.deepEqual(JSON.parse(stdout).differences, []);
  });
});
