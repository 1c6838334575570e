// Paying by an ordinary transfer, and telling an A2A task.
//
//  1. The offer of a task says how. The proof, sent on the task or without one, ends in the grant; the worker sends nothing.
//  2. The same proof again shows the same grant. A second task for the same transfer gets nothing.
//  3. Somebody else's signature, none, or one for another challenge: refused, nothing is stored; its owner is served afterwards.
//  4. A transfer that is not on chain yet: the task is under way, and shows the grant when it is asked about later.
//  5. A proof for another task's offer is refused.
//  6. A proof that has not its form: the member that is wrong is named, no offer is shown, and the task can be paid in both ways.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { keccak256 } from 'viem';
import { DIALECTS, Door, assertGranted, assertNoToken } from './support/a2a.mjs';
import { broadcasts, income, traces } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { PRICE, newSender, proofOf, sign, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { signPayment } from './support/x402.mjs';

const world = useWorld();
const challengeOf = (offer) => offer.data.at(-1);
const proofFor = async (offer, signer, hash, change) => ({ type: 'PaymentProof', ...(await proofOf(challengeOf(offer), signer, hash, change)) });

/** Presents a proof and holds that it is refused, and that nothing was kept, sent or shown. */
async function refused(door, message, code, reason) {
  const before = [traces(world), await broadcasts(world)];
  const task = await door.send(message);
  assert.equal(task.data[0]?.type, 'Error', task.text);
  assert.deepEqual([task.data[0].code, reason && task.data[0].details?.reason], [code, reason], task.text);
  assertNoToken(task.text);
  assert.ok(['failed', 'input-required'].includes(task.state), task.state);
  assert.deepEqual([traces(world), await broadcasts(world)], before);
  return task;
}

/**
 * A transfer, and what is done while it waits in the node. Afterwards it is included.
 * @param {{address: string, privateKey: `0x${string}`}} sender @param {(hash: `0x${string}`) => Promise<void>} meanwhile
 */
async function hold(sender, meanwhile) {
  await world.chain.holdBlocks();
  const sending = transfer(world, sender);
  const waiting = async () => (await world.chain.client.getBlock({ blockTag: 'pending', includeTransactions: true })).transactions;
  try {
    const { hash } = await poll(async () => (await waiting()).find(({ from }) => from.toLowerCase() === sender.address.toLowerCase()), 'the transfer in the node');
    await meanwhile(hash);
    return { sending, hash };
  } finally {
    await world.chain.setBlockTime(0);
    await world.chain.mine();
  }
}

for (const dialect of DIALECTS) {
  describe(`a transfer, told in version ${dialect.name}`, () => {
    const door = new Door(world, dialect);

    for (const [name, on] of Object.entries({ 'on the task': (offer) => ({ taskId: offer.id }), 'without a task': () => ({}) })) {
      test(`${name} gets the grant, which opens the backend, and the worker sends nothing`, async () => {
        const sender = await newSender(world);
        const before = await broadcasts(world);
        const offer = await door.offer();
        const { destination, amount, sign: text } = challengeOf(offer).transferInstead;
        assert.deepEqual([destination, amount, text], [world.seller.address, '15000', challengeOf(offer).challengeId]);
        const hash = await transfer(world, sender);
        const data = await proofFor(offer, sender, hash);
        const task = await door.send({ data, ...on(offer) });
        const grant = assertGranted(task);
        assert.deepEqual([grant.txHash, grant.challengeId, task.receipts.at(-1).payer], [hash, challengeOf(offer).challengeId, sender.address]);
        const opened = await fetch(grant.resourceEndpoint, { headers: { authorization: `Bearer ${grant.accessToken}` } });
        assert.equal(opened.status, 200);
        assert.equal(await broadcasts(world), before);
        const again = await door.send({ data, taskId: task.id });
        assert.equal(again.id, task.id);
        assert.equal(assertGranted(again).accessToken, grant.accessToken, 'the same proof again');
        assert.deepEqual(assertGranted(await door.get(task)).accessToken, grant.accessToken);
      });
    }

    test('with somebody else’s signature, without any, or with one for another challenge, gets nothing; its owner does', async () => {
      const [victim, thief] = [await newSender(world), await newSender(world)];
      const [its, stolen] = [await door.offer(), await door.offer()];
      const hash = await transfer(world, victim);
      const { challengeId } = challengeOf(stolen);
      await refused(door, { taskId: stolen.id, data: await proofFor(stolen, thief, hash) }, 'INVALID_PROOF', 'payer_mismatch');
      assert.equal((await door.get(stolen)).state, 'input-required');
      const seen = await sign(victim, challengeOf(its).challengeId);
      await refused(door, { taskId: stolen.id, data: await proofFor(stolen, thief, hash, { signature: seen }) }, 'INVALID_PROOF', 'payer_mismatch');
      await refused(door, { taskId: stolen.id, data: { type: 'PaymentProof', challengeId, txHash: hash } }, 'INVALID_PROOF', 'signature_missing');
      assert.equal(assertGranted(await door.send({ taskId: its.id, data: await proofFor(its, victim, hash) })).txHash, hash);
    });

    test('that has paid one task pays no other, of the same wallet or of another one', async () => {
      const [sender, stranger] = [await newSender(world), await newSender(world)];
      const [first, second, strangers] = [await door.offer(), await door.offer(), await door.offer()];
      const hash = await transfer(world, sender);
      assertGranted(await door.send({ taskId: first.id, data: await proofFor(first, sender, hash) }));
      await refused(door, { taskId: second.id, data: await proofFor(second, sender, hash) }, 'TX_ALREADY_REDEEMED');
      await refused(door, { taskId: strangers.id, data: await proofFor(strangers, stranger, hash) }, 'INVALID_PROOF', 'payer_mismatch');
      assert.equal((await income(world)).filter(({ from }) => from === sender.address).length, 1);
    });

    test('that is too little, or on another chain, is told so, and the task can be paid', async () => {
      const sender = await newSender(world);
      const offer = await door.offer();
      const tooLittle = await transfer(world, sender, PRICE - 1n);
      const task = await refused(door, { taskId: offer.id, data: await proofFor(offer, sender, tooLittle) }, 'AMOUNT_MISMATCH');
      assert.deepEqual(task.data[0].details, { expected: '$0.015', received: '$0.014999' });
      assert.equal(task.state, 'input-required');
      const data = await proofFor(offer, sender, tooLittle, { chainId: 8453 });
      await refused(door, { taskId: offer.id, data }, 'CHAIN_MISMATCH');
      const hash = await transfer(world, sender);
      assertGranted(await door.send({ taskId: offer.id, data: await proofFor(offer, sender, hash) }));
    });

    test('of which the proof has not its form is not lost: the member is named, nobody is invited to pay again, the task goes on', async () => {
      const sender = await newSender(world);
      const offer = await door.offer();
      const hash = await transfer(world, sender);
      const { txHash, ...rest } = await proofFor(offer, sender, hash);
      const bad = [
        [rest, 'txHash'],
        [{ ...rest, transactionHash: txHash }, 'txHash'],
        [{ ...rest, txHash: txHash.slice(2) }, 'txHash'],
        [{ ...rest, txHash, challengeId: undefined }, 'challengeId'],
        [{ ...rest, txHash, signature: 'signed' }, 'signature'],
      ];
      for (const [data, member] of bad) {
        const told = await refused(door, { taskId: offer.id, data }, 'INVALID_REQUEST');
        assert.deepEqual([told.state, told.payment, told.error, told.required], ['input-required', 'payment-submitted', 'SETTLEMENT_FAILED', undefined], told.text);
        assert.equal(told.data[0].details.member, member);
        assert.ok(told.words.includes(`\`${member}\``), told.words);
        assert.deepEqual((await door.get(offer)).data, told.data);
      }
      assert.equal(assertGranted(await door.send({ taskId: offer.id, data: { ...rest, txHash } })).txHash, hash);
      const other = await door.offer();
      await refused(door, { taskId: other.id, data: rest }, 'INVALID_REQUEST');
      assertGranted(await door.pay(other, await signPayment((await world.newBuyer()).privateKey, other.required)));
    });

    test('for another task’s offer is refused on this one', async () => {
      const sender = await newSender(world);
      const [mine, other] = [await door.offer(), await door.offer()];
      const hash = await transfer(world, sender);
      const before = traces(world);
      const data = await proofFor(other, sender, hash);
      const answer = await door.attempt({ taskId: mine.id, data });
      door.assertError(answer, -32004);
      assertNoToken(answer.text);
      assert.deepEqual(traces(world), before);
      assertGranted(await door.send({ data }));
    });

    test('that is not on chain yet is shown again once it is', async () => {
      const sender = await newSender(world);
      const offer = await door.offer();
      const { sending, hash } = await hold(sender, async (hash) => {
        const early = await door.send({ taskId: offer.id, data: await proofFor(offer, sender, hash) });
        assert.deepEqual([early.state, early.payment, early.data[0].code], ['input-required', 'payment-submitted', 'TX_UNCONFIRMED'], early.text);
        assert.ok(early.data[0].details.retryAfterSeconds > 0, early.text);
        // Nobody is invited to pay once more.
        assert.equal((await door.get(offer)).required, undefined);
      });
      assert.equal(await sending, hash);
      const task = await door.send({ taskId: offer.id, data: await proofFor(offer, sender, hash) });
      assert.equal(assertGranted(task).txHash, hash);
    });

    test('that nobody knows is not a grant, and keeps nobody from paying', async () => {
      const sender = await newSender(world);
      const offer = await door.offer();
      const before = traces(world);
      const task = await door.send({ taskId: offer.id, data: await proofFor(offer, sender, keccak256(sender.address)) });
      assert.deepEqual([task.data[0].code, task.state], ['TX_UNCONFIRMED', 'input-required'], task.text);
      assertNoToken(task.text);
      assert.deepEqual(traces(world), before);
      const paid = await door.pay(offer, await signPayment(sender.privateKey, offer.required));
      const grant = assertGranted(paid);
      assert.deepEqual((await income(world)).filter(({ from }) => from === sender.address).map(({ hash }) => hash), [grant.txHash]);
    });
  });
}
