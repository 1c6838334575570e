// Several who can settle: the first that answers does, and whatever the ones before it have done, the buyer is charged once.
//
//  1. The first facilitator cannot be reached, or declines: the next one settles at once.
//  2. The first settles and its answer never comes: its transfer is found, and nobody else is asked.
//  3. The first takes the payment and does nothing: after the grace period the next one settles.
//  4. With facilitators and a gas wallet, the wallet is the last: it sends nothing while a facilitator works, and its ether
//     does not matter.
//  5. A facilitator that was given up broadcasts after all, before or after the gas wallet: one transfer, one grant, that names
//     the transfer that took place.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { broadcasts, handedOver, income, receiptOf } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const LONG = 100_000;
const [first, second, third, fourth] = await Promise.all([1, 2, 3, 4].map(startFacilitator));
after(() => Promise.all([first, second, third, fourth].map((each) => each.stop())));

const mine = async (world, { address }) => (await income(world)).filter(({ from }) => from === address);

async function customer(world) {
  const buyer = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payment = await signPayment(buyer.privateKey, required);
  const settle = async () => {
    for (;;) {
      const answer = await access(world.url, body, { payment });
      if (answer.status !== 503) return answer;
      assert.equal(answer.body.code, 'SETTLEMENT_PENDING', answer.text);
    }
  };
  return { ...buyer, body, payment, settle };
}

/** One transfer and the grant that names it. @returns who sent it */
async function assertGranted(world, buyer, answer) {
  assert.equal(answer.status, 200, answer.text);
  const transfers = await mine(world, buyer);
  assert.deepEqual(transfers.map(({ value, hash }) => [value, hash]), [[PRICE, answer.body.txHash]]);
  return (await receiptOf(world, answer.body.txHash)).from.toLowerCase();
}
const sentBy = ({ address }) => address.toLowerCase();

describe('two facilitators', { concurrency: true }, () => {
  const world = useWorld({ backend: false, vars: settledBy(first, second) }, ({ chain }) => Promise.all([first.connect(chain), second.connect(chain)]));

  for (const [how, rule] of [
    ['cannot be reached', { kind: 'cut' }],
    ['answers 500', { kind: 'answer', status: 500, body: 'no' }],
    ['declines', { kind: 'answer', body: { isValid: false, invalidReason: 'unsupported_scheme' } }],
  ]) {
    test(`the first ${how}: the second settles at once`, async () => {
      const buyer = await customer(world);
      first.on('verify', rule, { payer: buyer.address });
      const began = Date.now();
      assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(second));
      assert.ok(Date.now() - began < 20_000);
      assert.equal(first.callsOf('settle', buyer.address).length, 0);
    });
  }

  test('the first declines to settle: the second settles at once', async () => {
    const buyer = await customer(world);
    first.on('settle', { kind: 'answer', body: { success: false, errorReason: 'insufficient_funds', transaction: '' } }, { payer: buyer.address });
    assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(second));
  });

  test('the first settles and never answers: one transfer, and the second is not asked', { timeout: LONG }, async () => {
    const buyer = await customer(world);
    first.on('settle', { kind: 'mute' }, { payer: buyer.address });
    assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(first));
    assert.deepEqual(second.callsOf(/./, buyer.address), []);
  });

  test('the first takes the payment and does nothing: the second settles after the grace period', { timeout: LONG }, async () => {
    const buyer = await customer(world);
    first.on('settle', { kind: 'cut' }, { payer: buyer.address });
    assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(second));
    const [[asked], [settled]] = [first, second].map((each) => each.callsOf('settle', buyer.address));
    assert.ok(settled.at - asked.at > 29_000);
  });

  test('both are of no use at first: the first is tried again', { timeout: LONG }, async () => {
    const buyer = await customer(world);
    first.on('verify', { kind: 'cut' }, { payer: buyer.address, times: 1 });
    second.on('verify', { kind: 'cut' }, { payer: buyer.address, times: 1 });
    assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(first));
  });
});

describe('a facilitator, then the gas wallet', { concurrency: true }, () => {
  const vars = { ...settledBy(third), USE_GAS_WALLET: 'true', FACILITATOR_URL: `http://127.0.0.1:9/nobody,${third.url}` };
  delete vars.GAS_WALLET_PRIVATE_KEY;
  const world = useWorld({ backend: false, vars }, ({ chain }) => third.connect(chain));

  test('the gas wallet sends nothing while the facilitator works', async () => {
    const buyer = await customer(world);
    assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(third));
  });

  test('the facilitator declines: the gas wallet settles', async () => {
    const buyer = await customer(world);
    third.on('verify', { kind: 'answer', body: { isValid: false, invalidReason: 'unsupported_scheme' } }, { payer: buyer.address });
    assert.equal(await assertGranted(world, buyer, await buyer.settle()), sentBy(world.gasWallet));
  });

  test('the facilitator does nothing: the gas wallet settles after the grace period; and what comes too late changes nothing', { timeout: LONG }, async () => {
    const buyer = await customer(world);
    third.on('settle', { kind: 'answer', status: 500, body: 'oops' }, { payer: buyer.address, times: 1 });
    const answer = await buyer.settle();
    assert.equal(await assertGranted(world, buyer, answer), sentBy(world.gasWallet));
    const { body } = third.callsOf('settle', buyer.address)[0];
    const late = await fetch(`${third.url}/settle`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    assert.equal((await late.json()).success, false);
    await assertGranted(world, buyer, answer);
  });
});

describe('a facilitator that wakes up between the gas wallet’s transaction and its block', () => {
  const vars = { ...settledBy(fourth), USE_GAS_WALLET: 'true' };
  delete vars.GAS_WALLET_PRIVATE_KEY;
  const world = useWorld({ backend: false, vars }, ({ chain }) => fourth.connect(chain));

  test('is faster: the grant names its transfer', { timeout: LONG }, async () => {
    const buyer = await customer(world);
    fourth.on('settle', { kind: 'cut' }, { payer: buyer.address });
    const answer = buyer.settle();
    await poll(() => fourth.callsOf('settle', buyer.address).length === 1, 'the call that is cut');
    await world.chain.holdBlocks();
    await poll(async () => (await broadcasts(world)) === 1, 'the gas wallet’s transaction', 60_000);
    // The node forgets it, and takes it again only when the facilitator's is in a block.
    world.rpc.on('eth_sendRawTransaction', { kind: 'refuse' });
    await world.chain.client.dropTransaction({ hash: handedOver(world)[0] });
    fourth.clear();
    const { body } = fourth.callsOf('settle', buyer.address)[0];
    const late = fetch(`${fourth.url}/settle`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    await poll(async () => (await fourth.broadcasts(world.chain)) === 1, 'the facilitator’s transaction');
    await world.chain.mine();
    world.rpc.clear();
    assert.equal((await (await late).json()).success, true);
    await world.chain.setBlockTime(0);
    assert.equal(await assertGranted(world, buyer, await answer), sentBy(fourth));
  });
});
