// What a receipt proves, and what it does not.
//
//  1. After inclusion the node shows the receipt for a while without its events, with or without saying that some are missing:
//     nobody is told to pay again. By gas wallet, by facilitator, and for an ordinary transfer. When the events are there, the
//     buyer has its grant, and has paid once.
//  2. The node shows the receipt of a block that is not made yet; then the block comes without the transaction: no grant before
//     the transaction is in a block.
//  3. A refund counts when blocks stand on it, and is sent again when the block that held it is replaced.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { encodeAbiParameters, encodeEventTopics } from 'viem';
import { USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { broadcasts, handedOver, income, stored } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { newSender, offer, present, proofOf, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const RECEIPT = 'eth_getTransactionReceipt';
const NO_FILTER = `0x${'00'.repeat(256)}`;
const LONG = 120_000;
const facilitators = await Promise.all([startFacilitator(), startFacilitator()]);
after(() => Promise.all(facilitators.map((each) => each.stop())));

const order = () => ({ planId: 'basic', requestId: randomUUID() });

/** A buyer whose answer is known as soon as there is one. @param {boolean} [held] whether no blocks are made from now on */
async function buying(world, held = false) {
  const buyer = await world.newBuyer();
  if (held) await world.chain.holdBlocks();
  const body = order();
  const { required } = await access(world.url, body);
  const payment = await signPayment(buyer.privateKey, required);
  const its = { ...buyer, payment, body, answer: undefined, answering: undefined };
  its.send = () => {
    its.answer = undefined;
    its.answering = access(world.url, body, { payment }).then((answer) => (its.answer = answer));
    return its.answering;
  };
  its.send();
  return its;
}

/** Nobody was told anything but to wait. */
const assertWaits = ({ answer }) => answer && assert.deepEqual([answer.status, answer.body.code], [503, 'SETTLEMENT_PENDING'], answer.text);

async function assertGrantedOnce(world, buyer) {
  let answer = await buyer.answering;
  while (answer.status === 503) answer = await buyer.send();
  assert.equal(answer.status, 200, answer.text);
  const mine = (await income(world)).filter(({ from }) => from === buyer.address);
  assert.deepEqual(mine.map(({ value, hash }) => ({ value, hash })), [{ value: 15_000n, hash: answer.body.txHash }]);
}

const bare = {
  'and says that there are none': (receipt) => ({ ...receipt, logs: [], logsBloom: NO_FILTER }),
  'and its filter says that there are some': (receipt) => ({ ...receipt, logs: [] }),
};

/** Shows receipts without events until `end()`. */
function hideEvents(world, strip) {
  const hidden = { shown: 0 };
  // A rule is for all calls of a batch.
  const change = (result) => (result?.logs ? ((hidden.shown += 1), strip(result)) : result);
  const rule = world.rpc.on(RECEIPT, { kind: 'alter', change });
  return Object.assign(hidden, { end: rule.end });
}

describe('a receipt without its events', { concurrency: true }, () => {
  for (const [at, [how, strip]] of Object.entries(bare).entries()) {
    const facilitator = facilitators[at];
    const own = useWorld({ backend: false });
    test(`${how}: a payment by the gas wallet is waited for`, { timeout: LONG }, async () => {
      const hidden = hideEvents(own, strip);
      const buyer = await buying(own);
      await poll(() => hidden.shown >= 8 || buyer.answer, 'the receipt without its events', 60_000);
      assertWaits(buyer);
      assert.equal((await income(own)).length, 1);
      // Who signs anew meanwhile is not charged anew.
      const { required } = await access(own.url, { planId: 'basic' });
      const anew = await access(own.url, { planId: 'basic' }, { payment: await signPayment(buyer.privateKey, required) });
      assert.deepEqual([anew.status, anew.body.code], [503, 'SETTLEMENT_PENDING'], anew.text);
      hidden.end();
      await assertGrantedOnce(own, buyer);
    });

    const others = useWorld({ backend: false, vars: settledBy(facilitator) }, async ({ chain }) => facilitator.connect(chain));
    test(`${how}: a payment by a facilitator is waited for`, { timeout: LONG }, async () => {
      const hidden = hideEvents(others, strip);
      const buyer = await buying(others);
      await poll(() => (hidden.shown >= 8 && others.rpc.callsOf('eth_getLogs').length >= 2) || buyer.answer, 'the search for the events', 60_000);
      assertWaits(buyer);
      assert.equal((await income(others)).length, 1);
      hidden.end();
      await assertGrantedOnce(others, buyer);
    });

    const plain = useWorld({ backend: false });
    test(`${how}: a transfer is not confirmed yet`, { timeout: LONG }, async () => {
      const sender = await newSender(plain);
      const offered = await offer(plain, order());
      const hash = await transfer(plain, sender);
      const hidden = hideEvents(plain, strip);
      const proof = await proofOf(offered, sender, hash);
      const early = await present(plain, proof);
      assert.deepEqual([early.status, early.body.code, early.headers.get('retry-after')], [202, 'TX_UNCONFIRMED', '2'], early.text);
      assert.deepEqual(stored(plain), {});
      hidden.end();
      const answer = await present(plain, proof);
      assert.equal(answer.status, 200, answer.text);
    });
  }
});

/** The receipt that a payment would have, as a node shows it that tells of the block being built. */
function preconfirmed(world, { payment }, hash, block) {
  const { from, to, value, nonce } = payment.payload.authorization;
  const { abi } = world.chain.usdc;
  const log = (eventName, args, data = '0x') => ({ address: USDC_ADDRESS, topics: encodeEventTopics({ abi, eventName, args }), data });
  return {
    transactionHash: hash,
    status: '0x1',
    ...block,
    logsBloom: NO_FILTER,
    logs: [
      log('AuthorizationUsed', { authorizer: from, nonce }),
      log('Transfer', { from, to }, encodeAbiParameters([{ type: 'uint256' }], [BigInt(value)])),
    ],
  };
}

describe('a receipt of a block that is not made yet', { concurrency: true }, () => {
  for (const [how, blockHash] of Object.entries({ 'without a hash': `0x${'00'.repeat(32)}`, 'with the hash of what is built so far': `0x${'77'.repeat(32)}` })) {
    const world = useWorld({ backend: false });
    test(`${how} is no money, also when the block has come without the transaction`, { timeout: LONG }, async () => {
      const buyer = await buying(world, true);
      await poll(async () => (await broadcasts(world)) === 1, 'the transaction');
      const [hash] = handedOver(world);
      const block = { blockHash, blockNumber: `0x${((await world.chain.client.getBlockNumber({ cacheTime: 0 })) + 1n).toString(16)}` };
      const early = world.rpc.on(RECEIPT, { kind: 'alter', change: (receipt) => receipt ?? preconfirmed(world, buyer, hash, block) });
      await poll(() => early.calls.length >= 3 || buyer.answer, 'the early receipt');
      assertWaits(buyer);

      world.rpc.on('eth_sendRawTransaction', { kind: 'refuse' });
      await world.chain.client.dropTransaction({ hash });
      await world.chain.mine();
      const seen = early.calls.length;
      await poll(() => early.calls.length >= seen + 4 || buyer.answer, 'the receipt of another block');
      assertWaits(buyer);
      assert.deepEqual(await income(world), []);

      early.end();
      world.rpc.clear();
      await world.chain.setBlockTime(0);
      await assertGrantedOnce(world, buyer);
    });
  }
});

describe('a refund', () => {
  const vars = { TOKEN_MODE: 'remote', BACKEND_API_URL: 'http://127.0.0.1:9', REFUND_MIN_AGE_MS: '500', REFUND_INTERVAL_MS: '200' };
  const world = useWorld({ backend: false, vars });
  const state = async ({ body, payment }) => (await access(world.url, body, { payment })).body.details?.state;

  test('counts when blocks stand on it, and not when its block was replaced without it', { timeout: LONG }, async () => {
    const buyer = await buying(world);
    await buyer.answering;
    const returned = async () => (await world.chain.transfers({ from: world.seller.address, to: buyer.address })).length;
    await poll(async () => (await broadcasts(world)) === 1, 'the payment');
    await world.chain.holdBlocks();
    await poll(async () => (await broadcasts(world)) === 2, 'the refund', 30_000);
    // The gas wallet does not learn that it is included, or it may have closed its job.
    const count = world.rpc.on('eth_getTransactionCount', { kind: 'refuse' });
    const before = await world.chain.client.snapshot();
    await world.chain.mine();
    assert.equal(await returned(), 1);
    const seen = world.rpc.callsOf(RECEIPT).length;
    await poll(async () => {
      assert.equal(await state(buyer), 'REFUND_PENDING');
      return world.rpc.callsOf(RECEIPT).length >= seen + 2;
    }, 'the questions for its receipt', 60_000);
    await world.chain.client.revert({ id: before });
    await world.chain.mine();
    count.end();
    await world.chain.setBlockTime(0);
    await poll(async () => (await state(buyer)) === 'REFUNDED', 'the refund', 60_000);
    assert.equal(await returned(), 1);
  });
});
