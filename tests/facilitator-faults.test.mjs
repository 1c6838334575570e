// A facilitator that fails, lies or loses its answer while it is the only one. Each row has a buyer of its own; all run side
// by side, because each fault takes at least the time that an answer is waited for.
//
//  1. It fails before anything is settled: the chain shows that nothing happened, and after a grace period the same payment is
//     settled. The buyer, who repeats its request, is charged once and gets the grant.
//  2. It settles, and its answer is lost, late, cut, or a lie: the chain shows the transfer, and it is told to settle once.
//  3. It names a transaction that failed: 402, nothing charged; the same payment sent again is settled.
//  4. It fails for good: the buyer is told "pending", never asked for another payment, and at last that the offer has expired.
//  5. It does not even answer `verify`: nothing is settled until it does.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { income, records } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
/** Told from when calls arrive, so a little less than the 30 seconds between the decisions. */
const GRACE_MS = 29_000;
const LONG = 100_000;
const facilitator = await startFacilitator();
const strict = await startFacilitator();
after(() => Promise.all([facilitator.stop(), strict.stop()]));

const mine = async (world, { address }) => (await income(world)).filter(({ from }) => from === address);

/** A buyer with a signed payment, who repeats its request for as long as it is told to. */
async function customer(world, authorization) {
  const buyer = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payment = await signPayment(buyer.privateKey, required, { authorization });
  const send = () => access(world.url, body, { payment });
  const waits = [];
  const settle = async () => {
    for (;;) {
      const answer = await send();
      if (answer.status !== 503) return { ...answer, waits };
      assert.equal(answer.body.code, 'SETTLEMENT_PENDING', answer.text);
      assert.ok(Number(answer.headers.get('retry-after')) > 0);
      assert.equal(answer.settled.errorReason, 'settlement_pending');
      assert.equal(answer.required, undefined);
      waits.push(answer);
    }
  };
  return { ...buyer, body, send, settle };
}

async function assertGranted(world, buyer, answer) {
  assert.equal(answer.status, 200, answer.text);
  const transfers = await mine(world, buyer);
  assert.deepEqual(transfers.map(({ value, hash }) => [value, hash]), [[PRICE, answer.body.txHash]]);
  return transfers[0];
}

describe('the only facilitator', { concurrency: true }, () => {
  const hashes = {};
  const world = useWorld({ backend: false, vars: settledBy(facilitator) }, async (ready) => {
    await facilitator.connect(ready.chain);
    const { chain, seller } = ready;
    // A transfer of the price to the seller by somebody else; one between strangers; one that fails.
    const [rich, stranger] = [await ready.newBuyer(), await ready.newBuyer()];
    const bought = await (await customer(ready)).settle();
    hashes.ofSomebodyElse = bought.body.txHash;
    hashes.toSomebodyElse = (await chain.mint(stranger.address, PRICE)).transactionHash;
    const [banker] = await chain.client.getAddresses();
    const request = { ...chain.usdc, functionName: 'transferFrom', args: [rich.address, seller.address, PRICE], account: banker, gas: 200_000n };
    hashes.failing = await chain.client.writeContract(request);
    assert.equal((await chain.client.waitForTransactionReceipt({ hash: hashes.failing })).status, 'reverted');
  });
  const named = (transaction) => ({ success: true, transaction, network: 'eip155:84532' });

  const unsettled = {
    'cuts the connection': () => ({ kind: 'cut' }),
    'never answers': () => ({ kind: 'hang' }),
    'answers 500': () => ({ kind: 'answer', status: 500, body: 'internal error' }),
    'answers 502 with JSON': () => ({ kind: 'answer', status: 502, body: { error: 'bad gateway' } }),
    'redirects': () => ({ kind: 'answer', status: 307, body: '' }),
    'answers garbage': () => ({ kind: 'answer', body: '<html>' }),
    'answers 200 with success:false and a code of its own': () => ({ kind: 'answer', body: { success: false, errorReason: 'settle_exact_node_failure', transaction: '', network: '' } }),
    'claims success without a transaction': () => ({ kind: 'answer', body: named('') }),
    'claims success with a transaction of zeros': () => ({ kind: 'answer', body: named(`0x${'0'.repeat(64)}`) }),
    'claims success with a transaction that does not exist': () => ({ kind: 'answer', body: named(`0x${'ab'.repeat(32)}`) }),
    'claims success with somebody else’s payment': () => ({ kind: 'answer', body: named(hashes.ofSomebodyElse) }),
    'claims success with a transfer to somebody else': () => ({ kind: 'answer', body: named(hashes.toSomebodyElse) }),
  };
  for (const [how, rule] of Object.entries(unsettled)) {
    test(`${how}, and nothing was settled: the same payment is settled after a grace period, once`, { timeout: LONG }, async () => {
      const buyer = await customer(world);
      facilitator.on('settle', rule(), { payer: buyer.address, times: 1 });
      const answer = await buyer.settle();
      await assertGranted(world, buyer, answer);
      assert.ok(answer.waits.length > 0);
      const [first, second, ...more] = facilitator.callsOf('settle', buyer.address);
      assert.deepEqual(more, []);
      assert.ok(second.at - first.at >= GRACE_MS, `settled again after ${second.at - first.at} ms`);
    });
  }

  const settled = {
    'cuts the connection': () => ({ kind: 'lose' }),
    'never answers': () => ({ kind: 'mute' }),
    'answers garbage': () => ({ kind: 'alter', change: () => 'nonsense' }),
    'claims failure': () => ({ kind: 'alter', change: () => ({ success: false, errorReason: 'insufficient_funds', transaction: '' }) }),
    'claims success without a transaction': () => ({ kind: 'alter', change: () => named('') }),
    'claims success with a transaction that does not exist': () => ({ kind: 'alter', change: () => named(`0x${'cd'.repeat(32)}`) }),
    'claims success with a failed transaction': () => ({ kind: 'alter', change: () => named(hashes.failing) }),
    'claims success with somebody else’s payment': () => ({ kind: 'alter', change: () => named(hashes.ofSomebodyElse) }),
    'says that the outcome is open': () => ({ kind: 'alter', change: ({ transaction }) => ({ success: false, errorReason: 'settlement_pending', transaction }) }),
  };
  for (const [how, rule] of Object.entries(settled)) {
    test(`${how} after it has settled: the transfer is found, and it is not told again`, { timeout: LONG }, async () => {
      const buyer = await customer(world);
      facilitator.on('settle', rule(), { payer: buyer.address });
      const began = Date.now();
      await assertGranted(world, buyer, await buyer.settle());
      assert.ok(Date.now() - began < GRACE_MS, 'found only after the grace period');
      assert.equal(facilitator.callsOf('settle', buyer.address).length, 1);
    });
  }

  test('claims success with a failed transaction: nothing is charged, this payment is not tried again, and a new one is good', { timeout: LONG }, async () => {
    const buyer = await customer(world);
    facilitator.on('settle', { kind: 'answer', body: named(hashes.failing) }, { payer: buyer.address, times: 1 });
    const refused = await buyer.settle();
    assert.equal(refused.status, 402, refused.text);
    assert.equal(refused.body.details.reason, 'invalid_exact_evm_transaction_failed');
    // The transaction may have shown the payment to everybody.
    const again = await buyer.settle();
    assert.deepEqual([again.status, again.body.details.reason], [402, refused.body.details.reason], again.text);
    assert.deepEqual(await mine(world, buyer), []);
    // The other tests keep the facilitator from answering meanwhile, so it may be pending for a while.
    const wish = { planId: 'basic', requestId: randomUUID() };
    const { payment } = await buy(world.url, buyer.privateKey, wish);
    const granted = async () => {
      const answer = await access(world.url, wish, { payment });
      return answer.status !== 503 && answer;
    };
    await assertGranted(world, buyer, { payment, ...(await poll(granted, 'the outcome', 60_000)) });
  });

  const unreachable = {
    'cuts the connection': { kind: 'cut' },
    'never answers': { kind: 'hang' },
    'answers 503': { kind: 'answer', status: 503, body: 'try later' },
    'answers garbage': { kind: 'answer', body: '{"isValid":"yes"}' },
    'says no because of trouble of its own': { kind: 'answer', body: { isValid: false, invalidReason: 'unexpected_verify_error' } },
    'answers 500 with a reason that nobody knows': { kind: 'answer', status: 500, body: { isValid: false, invalidReason: 'rpc_down' } },
    'does not accept a key': { kind: 'answer', status: 401, body: { errorType: 'unauthorized', errorMessage: 'unknown key' } },
  };
  for (const [how, rule] of Object.entries(unreachable)) {
    test(`${how} to verify: nothing is settled until it does answer`, { timeout: LONG }, async () => {
      const buyer = await customer(world);
      facilitator.on('verify', rule, { payer: buyer.address, times: 2 });
      await assertGranted(world, buyer, await buyer.settle());
      assert.equal(facilitator.callsOf('verify', buyer.address).length, 3);
      assert.equal(facilitator.callsOf('settle', buyer.address).length, 1);
    });
  }
});

describe('the only facilitator, for good,', { concurrency: true }, () => {
  const vars = { ...settledBy(strict), CHALLENGE_TTL_SECONDS: '10' };
  const world = useWorld({ backend: false, vars }, ({ chain }) => strict.connect(chain));
  for (const [how, action, rule] of [
    ['loses every payment', 'settle', { kind: 'cut' }],
    ['does not verify', 'verify', { kind: 'cut' }],
  ]) {
    test(`${how}: the buyer is never asked to pay again, and is told when the offer has expired`, { timeout: 150_000 }, async () => {
      const buyer = await customer(world, { validBefore: String(Math.floor(Date.now() / 1000) + 45) });
      strict.on(action, rule, { payer: buyer.address });
      const answer = await buyer.settle();
      assert.equal(answer.status, 410, answer.text);
      assert.equal(answer.body.code, 'CHALLENGE_EXPIRED');
      assert.deepEqual(await mine(world, buyer), []);
      assert.equal(Object.keys(records(world)[buyer.body.requestId].state)[0], 'EXPIRED');
    });
  }

  test('answers after the offer was given up: the transfer is found and delivered, with nobody asking', { timeout: 170_000 }, async () => {
    const buyer = await customer(world, { validBefore: String(Math.floor(Date.now() / 1000) + 600) });
    strict.on('settle', { kind: 'cut' }, { payer: buyer.address });
    assert.equal((await buyer.settle()).status, 410);
    strict.clear();
    // It was slow, and broadcasts now what it was given then.
    const { body } = strict.callsOf('settle', buyer.address)[0];
    const late = await fetch(`${strict.url}/settle`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    assert.equal((await late.json()).success, true);
    await poll(() => Object.keys(records(world)[buyer.body.requestId].state)[0] === 'DELIVERED', 'the delivery', 130_000);
    await assertGranted(world, buyer, await buyer.send());
  });
});
