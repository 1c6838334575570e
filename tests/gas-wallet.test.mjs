// The gas wallet when the chain makes it difficult. Each case has a chain of its own, so that their waits run side by side.
//
//  1. The base fee rises so far that the transaction cannot be included: it is replaced with a higher fee.
//  2. The node drops the transaction: the very same one is broadcast again.
//  3. Another program uses the wallet's key, between two purchases, or for the nonce of a transaction that waits: the
//     payment gets another nonce.
//  4. Somebody else broadcasts the buyer's authorization, before ours is included or while the node takes nothing from us:
//     the money arrived, so the buyer gets the grant, naming that transaction.
//  5. The wallet has no ether: nothing is begun. It has too little: the purchase waits, and is settled once there is enough.
//  6. The operator sees the queue and gives up the nonce of a transaction that waits: it is used up by a call of USDC that can do
//     nothing and costs what any transaction costs, once, however often it is asked; nobody is charged, and the next buyer is served.
//  Except in the last case, each time the buyer gets one grant, repeating the same signed request, and the chain shows one transfer.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { decodeFunctionData, encodeFunctionData, parseGwei, parseTransaction } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { command, operator } from './support/admin.mjs';
import { broadcasts, handedOver, income, receiptOf } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { assertRefused } from './support/refusal.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const SLOW = 45_000;
const logged = (world, event) => world.logs.filter((line) => line.includes(`"${event}"`)).length;

/**
 * A buyer's paid request on its way, repeated with the same payment for as long as the answer is 503. With `held`, no block
 * comes after the buyer has got its money, and the transaction waits in the node.
 */
async function buying(world, { held = false } = {}) {
  const buyer = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payment = await signPayment(buyer.privateKey, required);
  const settle = async () => {
    for (const began = Date.now(); ; ) {
      const answer = await access(world.url, body, { payment });
      if (answer.status !== 503 || Date.now() - began > SLOW) return answer;
      assert.equal(answer.body.code, 'SETTLEMENT_PENDING', answer.text);
    }
  };
  if (held) await world.chain.holdBlocks();
  const answer = settle();
  if (held) await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node');
  return { ...buyer, answer };
}

async function assertOneGrant(world, { answer, address }) {
  const { status, text, body } = await answer;
  assert.equal(status, 200, [text, ...world.logs.slice(-15)].join('\n'));
  const mine = (await income(world)).filter(({ from }) => from === address);
  assert.deepEqual(mine.map(({ value, hash }) => ({ value, hash })), [{ value: 15_000n, hash: body.txHash }]);
  return body;
}

/** Sends nothing to nobody with the gas wallet's key, as another program would. */
const foreignUse = (world, request = {}) => {
  const account = privateKeyToAccount(world.gasWallet.privateKey);
  return world.chain.client.sendTransaction({ account, to: account.address, value: 0n, ...request });
};

/** Broadcasts the authorization that is inside a transaction of the worker, from an account of the chain's own. */
const frontRun = async (world, raw, request = {}) => {
  const { functionName, args } = decodeFunctionData({ abi: world.chain.usdc.abi, data: parseTransaction(raw).data });
  const [banker] = await world.chain.client.getAddresses();
  const data = encodeFunctionData({ abi: world.chain.usdc.abi, functionName, args });
  return world.chain.client.sendTransaction({ account: banker, to: USDC_ADDRESS, data, gas: 200_000n, ...request });
};
const rawSent = (world) => world.rpc.callsOf('eth_sendRawTransaction').at(-1).params[0];

describe('the gas wallet', { concurrency: true }, () => {
  const dear = useWorld({ backend: false });
  test('replaces a transaction whose fee has become too low', async () => {
    const world = dear;
    const buyer = await buying(world, { held: true });
    await world.chain.client.setNextBlockBaseFeePerGas({ baseFeePerGas: parseGwei('90') });
    await world.chain.mine();
    assert.deepEqual(await income(world), [], 'included in spite of the fee');
    await poll(() => handedOver(world).length === 2, 'the replacement', SLOW);
    const [first, second] = world.rpc.callsOf('eth_sendRawTransaction').map(({ params }) => params[0]).filter((raw, at, all) => all.indexOf(raw) === at).map((raw) => parseTransaction(raw));
    assert.equal(second.nonce, first.nonce);
    assert.ok(second.maxFeePerGas > first.maxFeePerGas && second.maxFeePerGas >= parseGwei('90'));
    await world.chain.mine();
    const grant = await assertOneGrant(world, buyer);
    assert.equal(grant.txHash, handedOver(world)[1]);
    assert.equal(await broadcasts(world), 1);
  });

  const forgetful = useWorld({ backend: false });
  test('broadcasts again what the node has dropped, the very same transaction', async () => {
    const world = forgetful;
    const buyer = await buying(world, { held: true });
    await world.chain.client.dropTransaction({ hash: handedOver(world)[0] });
    assert.equal(await broadcasts(world), 0);
    await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node again');
    await world.chain.mine();
    await assertOneGrant(world, buyer);
    assert.equal(handedOver(world).length, 1);
  });

  const shared = useWorld({ backend: false });
  test('finds another nonce when another program used its key between two purchases', async () => {
    const world = shared;
    await assertOneGrant(world, await buying(world));
    await foreignUse(world);
    await assertOneGrant(world, await buying(world));
    assert.equal(logged(world, 'gas_wallet_nonce_lost'), 1);
    assert.equal(await broadcasts(world), 3);
  });

  const replaced = useWorld({ backend: false });
  test('finds another nonce when another program takes that of a transaction that waits', async () => {
    const world = replaced;
    const buyer = await buying(world, { held: true });
    await foreignUse(world, { nonce: 0, maxFeePerGas: parseGwei('50'), maxPriorityFeePerGas: parseGwei('50') });
    await world.chain.mine();
    assert.equal(await receiptOf(world, handedOver(world)[0]), undefined);
    await world.chain.setBlockTime(0);
    await assertOneGrant(world, buyer);
    assert.equal(await broadcasts(world), 2);
  });

  const raced = useWorld({ backend: false });
  test('loses the race against somebody who broadcasts the authorization, and the buyer gets the grant all the same', async () => {
    const world = raced;
    const buyer = await buying(world, { held: true });
    const theirs = await frontRun(world, rawSent(world), { maxPriorityFeePerGas: parseGwei('20'), maxFeePerGas: parseGwei('40') });
    await world.chain.mine();
    const grant = await assertOneGrant(world, buyer);
    assert.equal(grant.txHash, theirs);
    assert.equal((await receiptOf(world, handedOver(world)[0])).status, 'reverted');
  });

  const mute = useWorld({ backend: false });
  test('cannot broadcast, somebody else does, and the buyer gets the grant all the same', async () => {
    const world = mute;
    world.rpc.on('eth_sendRawTransaction', { kind: 'refuse' });
    const buyer = await buying(world);
    await poll(() => world.rpc.callsOf('eth_sendRawTransaction').length > 0, 'the attempt to broadcast');
    const theirs = await frontRun(world, rawSent(world));
    const grant = await assertOneGrant(world, buyer);
    assert.equal(grant.txHash, theirs);
    assert.equal(await broadcasts(world), 0);
  });

  const empty = useWorld({ backend: false });
  test('without ether begins nothing; once there is some, the same payment is good', async () => {
    const world = empty;
    await world.chain.fund(world.gasWallet.address, '0');
    const buyer = await world.newBuyer();
    const body = { planId: 'basic', requestId: randomUUID() };
    const { required } = await access(world.url, body);
    const payment = await signPayment(buyer.privateKey, required);
    await assertRefused(world, () => access(world.url, body, { payment }), { status: 503, code: 'TEMPORARILY_UNAVAILABLE', reason: 'gas_wallet_empty' });
    assert.ok(world.logs.some((line) => line.includes('the gas wallet is empty')), 'the operator is not told');
    await world.chain.fund(world.gasWallet.address, '1');
    // The worker remembers for a second what the wallet holds.
    const answer = poll(async () => {
      const again = await access(world.url, body, { payment });
      return again.status !== 503 && again;
    }, 'the ether in sight', 5_000);
    await assertOneGrant(world, { ...buyer, answer });
  });

  const given = useWorld({ backend: false });
  test('gives up a nonce at the operator’s word, and serves the next buyer', async () => {
    const world = given;
    const stuck = await buying(world, { held: true });
    stuck.answer.catch(() => {});
    const { body } = await operator(world, '/wallets');
    const [{ jobs, ...wallet }] = body.wallets.filter(({ address }) => address.toLowerCase() === world.gasWallet.address.toLowerCase());
    assert.deepEqual([wallet.included, wallet.nextNonce, wallet.open], [0, 1, 1]);
    assert.deepEqual([jobs[0].nonce, jobs[0].hash, jobs[0].cancels], [0, handedOver(world)[0], false]);
    for (let times = 0; times < 2; times += 1) {
      const { status, body } = await command(world, `/wallets/${world.gasWallet.address}/nonces/0/give-up`);
      assert.equal(status, 200);
      assert.deepEqual([body.jobs.length, body.jobs[0].nonce, body.jobs[0].cancels], [1, 0, true]);
    }
    await world.chain.mine();
    assert.equal(handedOver(world).length, 2);
    const receipt = await receiptOf(world, handedOver(world)[1]);
    assert.deepEqual([receipt.status, receipt.gasUsed, receipt.to.toLowerCase()], ['reverted', 21_000n, USDC_ADDRESS.toLowerCase()]);
    assert.deepEqual(await income(world), []);
    await world.chain.setBlockTime(0);
    await assertOneGrant(world, await buying(world));
    assert.equal((await command(world, `/wallets/${world.gasWallet.address}/repair`)).body.nextNonce, 2);
  });

  const poor = useWorld({ backend: false });
  test('with enough ether for today’s fee and too little for the one it offers begins nothing', async () => {
    const world = poor;
    await world.starveGasWallet();
    const buyer = await world.newBuyer();
    const body = { planId: 'basic', requestId: randomUUID() };
    const { required } = await access(world.url, body);
    const payment = await signPayment(buyer.privateKey, required);
    await assertRefused(world, () => access(world.url, body, { payment }), { status: 503, code: 'TEMPORARILY_UNAVAILABLE', reason: 'gas_wallet_empty' });
    assert.equal(await broadcasts(world), 0);
  });
});
