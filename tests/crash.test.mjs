// The runtime is killed in the middle of a purchase.
//
//  1. Blocks are held and a buyer pays; the transaction waits in the node. SIGKILL, after the broadcast and before the
//     receipt. Blocks go on, the runtime starts on the same storage: the same signed request gets the grant.
//  2. The node's answer to the broadcast is cut although it took the transaction, and then SIGKILL. Nobody asks again: the
//     alarm alone delivers; asked later, the grant is there.
//  3. The broadcast never reaches the node, SIGKILL. Nobody asks again: the alarm alone broadcasts and delivers.
//  4. SIGKILL while the chain is still being asked whether the payment is good: nothing has begun, nothing is charged; the
//     same signed request buys afterwards.
//  5. SIGKILL after the delivery: the same signed request gets the same grant, byte for byte.
//  Each time the chain shows exactly one transfer, or none where nothing had begun.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { broadcasts, income, statuses } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const status = (world, requestId) => statuses(world)[requestId];

/** A buyer who signed, and whose request is on its way but will never be answered. */
async function signed(world) {
  const buyer = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payment = await signPayment(buyer.privateKey, required);
  const send = () => access(world.url, body, { payment });
  return { ...buyer, requestId: body.requestId, send };
}

async function assertOneGrant(world, { send, address }) {
  const answer = await send();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.type, 'AccessGrant');
  const mine = (await income(world)).filter(({ from }) => from === address);
  assert.deepEqual(mine.map(({ value, hash }) => ({ value, hash })), [{ value: 15_000n, hash: answer.body.txHash }]);
  return answer;
}

// Recovery waits for alarms, so the purchases below, each in a world of its own, wait side by side.
describe('killed in the middle of a purchase', { concurrency: true }, () => {
  const inFlight = useWorld({ backend: false });
  test('after the broadcast and before the receipt: the same signed request gets the grant', async () => {
    const world = inFlight;
    const buyer = await signed(world);
    await world.chain.holdBlocks();
    const lost = assert.rejects(buyer.send());
    await poll(async () => (await broadcasts(world)) === 1, 'the transaction in the node');
    await world.killWorker();
    await lost;
    assert.deepEqual(await income(world), []);
    await world.restartWorker();
    await world.chain.setBlockTime(0);
    await world.chain.mine();
    await assertOneGrant(world, buyer);
    assert.equal(await broadcasts(world), 1);
  });

  const answerCut = useWorld({ backend: false });
  test('after the node took the transaction, its answer cut: the alarm alone delivers', async () => {
    const world = answerCut;
    const buyer = await signed(world);
    world.rpc.on('eth_sendRawTransaction', { kind: 'lose' });
    world.rpc.on('eth_getTransactionReceipt', { kind: 'hang' });
    const lost = assert.rejects(buyer.send());
    await poll(async () => (await income(world)).length === 1, 'the transfer');
    assert.equal(status(world, buyer.requestId), 'PENDING');
    await world.killWorker();
    await lost;
    world.rpc.clear();
    await world.restartWorker();
    await poll(() => status(world, buyer.requestId) === 'DELIVERED', 'the delivery, with nobody asking', 30_000);
    // The gas wallet goes on looking until its transaction is some blocks deep; it asks no contract for that.
    const asked = () => world.rpc.callsOf('eth_call').length + world.rpc.callsOf('eth_estimateGas').length;
    const before = asked();
    await assertOneGrant(world, buyer);
    assert.equal(asked(), before, 'the answer needed the chain');
    assert.equal(await broadcasts(world), 1);
  });

  const neverSent = useWorld({ backend: false });
  test('before the broadcast reached the node: the alarm alone broadcasts and delivers', async () => {
    const world = neverSent;
    const buyer = await signed(world);
    world.rpc.on('eth_sendRawTransaction', { kind: 'hang' });
    const lost = assert.rejects(buyer.send());
    await poll(() => world.rpc.callsOf('eth_sendRawTransaction').length === 1, 'the attempt to broadcast');
    await world.killWorker();
    await lost;
    assert.equal(await broadcasts(world), 0);
    world.rpc.clear();
    await world.restartWorker();
    await poll(() => status(world, buyer.requestId) === 'DELIVERED', 'the delivery, with nobody asking', 30_000);
    await assertOneGrant(world, buyer);
    assert.equal(await broadcasts(world), 1);
    const raw = new Set(world.rpc.callsOf('eth_sendRawTransaction').map(({ params }) => params[0]));
    assert.equal(raw.size, 1, 'another transaction than the recorded one was sent');
  });

  const notBegun = useWorld({ backend: false });
  test('before anything was begun: nothing is charged, and the same signed request buys', async () => {
    const world = notBegun;
    const buyer = await signed(world);
    world.rpc.on('eth_estimateGas', { kind: 'hang' });
    const lost = assert.rejects(buyer.send());
    await poll(() => world.rpc.callsOf('eth_estimateGas').length === 1, 'the question to the chain');
    await world.killWorker();
    await lost;
    assert.deepEqual(statuses(world), {});
    world.rpc.clear();
    await world.restartWorker();
    assert.deepEqual(await income(world), []);
    await assertOneGrant(world, buyer);
  });

  const delivered = useWorld({ backend: false });
  test('after the delivery: the same signed request gets the same grant, byte for byte', async () => {
    const world = delivered;
    const { privateKey } = await world.newBuyer();
    const body = { planId: 'basic', requestId: randomUUID() };
    const first = await buy(world.url, privateKey, body);
    await world.killWorker();
    await world.restartWorker();
    const again = await access(world.url, body, { payment: first.payment });
    assert.equal(again.text, first.text);
    assert.equal((await income(world)).length, 1);
    assert.equal(await broadcasts(world), 1);
  });
});

const crowd = useWorld({ backend: false });
test('killed with twenty purchases in flight: each is delivered once by the alarms alone', async () => {
  const world = crowd;
  const buyers = await Promise.all(Array.from({ length: 20 }, () => signed(world)));
  await world.chain.holdBlocks();
  const lost = buyers.map(({ send }) => assert.rejects(send()));
  await poll(async () => (await broadcasts(world)) >= 10, 'half of the transactions in the node');
  await world.killWorker();
  await Promise.all(lost);
  const begun = Object.keys(statuses(world));
  assert.ok(begun.length >= 10);
  await world.restartWorker();
  await world.chain.setBlockTime(0);
  await world.chain.mine();
  const delivered = () => new Set(world.logs.filter((line) => line.includes('"DELIVERED"')).map((line) => JSON.parse(line).requestId));
  await poll(() => begun.every((requestId) => delivered().has(requestId)), 'the deliveries', 30_000);
  for (const buyer of buyers) await assertOneGrant(world, buyer);
  assert.equal((await income(world)).length, 20);
  assert.equal(await broadcasts(world), 20);
});
