// What does not pay, presented as a proof. Every refusal has its code, gives no token, stores nothing and sends nothing.
//
//  1. Somebody else's transfer: with the thief's signature, with the payer's signature for another challenge, without one.
//  2. A transfer from before the offer, and one from after its end.
//  3. A hash that was redeemed: under another challenge of the same wallet, at once and long after; under a stranger's.
//  4. Another token, another recipient, another chain, a reverted transaction, too little, a hash that nobody knows.
//  5. What an authorization moved, for another purchase or as a refund, is no transfer; and neither way to pay credits what the
//     other has.
//  6. A request id, a challenge id or a hash alone opens nothing, before and after the delivery.
//  7. The same proof many times at once is one purchase. Two offers that race for one transfer: one is paid.
//  8. With PROOF_BINDING=txhash the first one who presents a hash has paid, and only the same challenge and hash open it again.
//     What was paid in another way, stays closed. Health and log say so.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodeFunctionData } from 'viem';
import { broadcasts, records, statuses, stored } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { PRICE, clocksAgree, newSender, offer, present, proofOf, send, sign, transfer } from './support/transfer.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, freshNonce, signPayment } from './support/x402.mjs';

const order = () => ({ planId: 'basic', requestId: randomUUID() });
const rows = (world) => JSON.stringify(stored(world));

/** Nothing is under way that would write by itself. */
const resting = (world) =>
  poll(() => Object.values(records(world)).every(({ outbox, holdsTarget }) => !outbox?.report && !holdsTarget), 'the end of all that is under way', 30_000);

/** Presents it and holds that it is refused with these words, and that nothing was kept, sent or shown. */
async function assertRefused(world, proof, status, code, reason) {
  await resting(world);
  const before = [rows(world), await broadcasts(world)];
  const answer = await present(world, proof);
  assert.deepEqual([answer.status, answer.body?.code], [status, code], answer.text);
  if (reason) assert.equal(answer.body.details.reason, reason);
  assert.doesNotMatch(answer.text, /accessToken|eyJ/);
  assert.deepEqual([rows(world), await broadcasts(world)], before);
  return answer;
}

/** A purchase that was paid by a transfer. */
async function bought(world, sender, request = order()) {
  const offered = await offer(world, request);
  const hash = await transfer(world, sender);
  const proof = await proofOf(offered, sender, hash);
  const answer = await present(world, proof);
  assert.equal(answer.status, 200, answer.text);
  return { offered, hash, proof, answer };
}

describe('a proof is refused', () => {
  const world = useWorld({ backend: false });

  test('when the transfer is somebody else’s', async () => {
    const [victim, thief] = [await newSender(world), await newSender(world)];
    const [its, stolen] = [await offer(world, order()), await offer(world, order())];
    const hash = await transfer(world, victim);
    await assertRefused(world, await proofOf(stolen, thief, hash), 400, 'INVALID_PROOF', 'payer_mismatch');
    const seen = await sign(victim, its.challengeId);
    await assertRefused(world, await proofOf(stolen, thief, hash, { signature: seen }), 400, 'INVALID_PROOF', 'payer_mismatch');
    await assertRefused(world, { challengeId: stolen.challengeId, txHash: hash }, 400, 'INVALID_PROOF', 'signature_missing');
    const answer = await present(world, await proofOf(its, victim, hash));
    assert.equal(answer.status, 200, 'its owner redeems it afterwards');
  });

  test('when the hash was redeemed, at once and long after, under another challenge', async () => {
    const [sender, stranger] = [await newSender(world), await newSender(world)];
    const [second, strangers] = [await offer(world, order()), await offer(world, order())];
    const { hash } = await bought(world, sender);
    await assertRefused(world, await proofOf(second, sender, hash), 409, 'TX_ALREADY_REDEEMED');
    await assertRefused(world, await proofOf(strangers, stranger, hash), 400, 'INVALID_PROOF', 'payer_mismatch');
    await letTimePass(world, 9 * 24 * 3_600_000);
    await assertRefused(world, await proofOf(second, sender, hash), 409, 'TX_ALREADY_REDEEMED');
  });

  test('when it is in another token, for somebody else, too little, reverted or unknown', async () => {
    const sender = await newSender(world);
    const offered = await offer(world, order());
    const token = await world.chain.deploy('LocalUsdc', ['USDC']);
    const mint = encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'mint', args: [sender.address, PRICE] });
    await send(world, sender, { to: token, data: mint });
    const wrongToken = await transfer(world, sender, PRICE, world.seller.address, { to: token });
    await assertRefused(world, await proofOf(offered, sender, wrongToken), 400, 'INVALID_PROOF', 'no_transfer');
    const wrongRecipient = await transfer(world, sender, PRICE, world.gasWallet.address);
    await assertRefused(world, await proofOf(offered, sender, wrongRecipient), 400, 'INVALID_PROOF', 'no_transfer');
    const tooLittle = await transfer(world, sender, PRICE - 1n);
    const answer = await assertRefused(world, await proofOf(offered, sender, tooLittle), 400, 'AMOUNT_MISMATCH');
    assert.deepEqual(answer.body.details, { expected: '$0.015', received: '$0.014999' });
    const reverted = await transfer(world, sender, 10_000_000_000n);
    await assertRefused(world, await proofOf(offered, sender, reverted), 400, 'INVALID_PROOF', 'transaction_reverted');
    await assertRefused(world, await proofOf(offered, sender, freshNonce()), 202, 'TX_UNCONFIRMED');
  });

  test('when the challenge is altered, another shop’s, or contradicted', async () => {
    const sender = await newSender(world);
    const offered = await offer(world, order());
    const hash = await transfer(world, sender);
    const altered = { challengeId: `B${offered.challengeId.slice(1)}` };
    await assertRefused(world, await proofOf(altered, sender, hash), 404, 'CHALLENGE_NOT_FOUND');
    await assertRefused(world, await proofOf(offered, sender, hash, { chainId: 8453 }), 400, 'CHAIN_MISMATCH');
    const answer = await present(world, await proofOf(offered, sender, hash), { planId: 'starter-monthly' });
    assert.deepEqual([answer.status, answer.body.details], [400, { mismatch: ['planId'] }]);
    const { required } = await access(world.url, order());
    const both = await access(world.url, { proof: await proofOf(offered, sender, hash) }, { payment: await signPayment(sender.privateKey, required) });
    assert.deepEqual([both.status, both.body.code], [400, 'INVALID_REQUEST']);
  });

  test('when an authorization moved the money: the settlement of another purchase', async () => {
    const sender = await newSender(world);
    const offered = await offer(world, order());
    const paid = await buy(world.url, sender.privateKey, order());
    assert.equal(paid.status, 200, paid.text);
    await assertRefused(world, await proofOf(offered, sender, paid.body.txHash), 400, 'INVALID_PROOF', 'no_transfer');
  });

  test('when the buyer sent its own authorization to the chain; presented as an authorization it is refused too', async () => {
    const sender = await newSender(world);
    const request = order();
    const { required, body: offered } = await access(world.url, request);
    const payment = await signPayment(sender.privateKey, required);
    const { authorization: its, signature } = payment.payload;
    const args = [its.from, its.to, BigInt(its.value), BigInt(its.validAfter), BigInt(its.validBefore), its.nonce, signature];
    const { abi } = world.chain.usdc;
    const byBytes = abi.filter(({ name, inputs }) => name === 'transferWithAuthorization' && inputs.length === 7);
    const data = encodeFunctionData({ abi: byBytes, functionName: 'transferWithAuthorization', args });
    const hash = await send(world, sender, { to: world.chain.usdc.address, data });
    await assertRefused(world, await proofOf(offered, sender, hash), 400, 'INVALID_PROOF', 'no_transfer');
    const answer = await access(world.url, request, { payment });
    assert.deepEqual([answer.status, answer.body.details.reason], [402, 'invalid_exact_evm_nonce_already_used']);
  });
});

describe('a transfer', () => {
  const short = useWorld({ backend: false, vars: { CHALLENGE_TTL_SECONDS: '3' } });
  test('before the offer is too early', async () => {
    const sender = await newSender(short);
    const hash = await transfer(short, sender);
    await clocksAgree(short);
    const offered = await offer(short, order());
    await assertRefused(short, await proofOf(offered, sender, hash), 400, 'INVALID_PROOF', 'transfer_before_offer');
  });
  test('after its end is too late', async () => {
    const sender = await newSender(short);
    const offered = await offer(short, order());
    await poll(() => Date.now() > Date.parse(offered.expiresAt), 'the end of the offer', 10_000);
    const hash = await transfer(short, sender);
    await assertRefused(short, await proofOf(offered, sender, hash), 410, 'CHALLENGE_EXPIRED', 'transfer_after_expiry');
  });
  test('for an offer of another chain, that this shop made when it sold there, counts nowhere', async () => {
    const sender = await newSender(short);
    const offered = await offer(short, order());
    const hash = await transfer(short, sender);
    await short.restartWorker({ KEY0_NETWORK: 'mainnet' });
    await assertRefused(short, await proofOf(offered, sender, hash), 400, 'CHAIN_MISMATCH');
    await short.restartWorker();
  });
});

describe('one transfer', () => {
  const world = useWorld({ backend: false });
  test('presented ten times at once is one purchase and one grant', async () => {
    const sender = await newSender(world);
    const offered = await offer(world, order());
    const proof = await proofOf(offered, sender, await transfer(world, sender));
    const answers = await Promise.all(Array.from({ length: 10 }, () => present(world, proof)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(new Set(answers.map(({ body }) => body.accessToken)).size, 1);
  });

  test('for which two offers race pays one of them, and only one', async () => {
    for (let round = 0; round < 5; round++) {
      const sender = await newSender(world);
      const offers = [await offer(world, order()), await offer(world, order())];
      const hash = await transfer(world, sender);
      const proofs = await Promise.all(offers.map((offered) => proofOf(offered, sender, hash)));
      const answers = await Promise.all(proofs.map((proof) => present(world, proof)));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409], answers.map(({ text }) => text).join());
      const paid = offers.filter(({ requestId }) => statuses(world)[requestId] === 'DELIVERED');
      assert.equal(paid.length, 1);
    }
  });

  test('and an authorization for the same request at the same time: one grant, and the authorization is charged at most once', async () => {
    const sender = await newSender(world);
    const request = order();
    const { required, body: offered } = await access(world.url, request);
    const payment = await signPayment(sender.privateKey, required);
    const proof = await proofOf(offered, sender, await transfer(world, sender));
    const answers = await Promise.all([access(world.url, request, { payment }), present(world, proof)]);
    assert.deepEqual(answers.map(({ status }) => status), [200, 200], answers.map(({ text }) => text).join());
    assert.equal(answers[0].body.accessToken, answers[1].body.accessToken);
    assert.ok((await world.chain.transfers({ from: sender.address })).length <= 2);
    // Who presents the authorization once more is not charged.
    const before = await world.chain.usdcBalance(sender.address);
    const again = await access(world.url, request, { payment: await signPayment(sender.privateKey, required) });
    assert.equal(again.status, 200);
    assert.equal(await world.chain.usdcBalance(sender.address), before);
  });

  test('opens nothing by its hash, its request id or its challenge alone', async () => {
    const [sender, thief] = [await newSender(world), await newSender(world)];
    const request = order();
    const { offered, hash, proof } = await bought(world, sender, request);
    await assertRefused(world, { challengeId: offered.challengeId, txHash: hash }, 400, 'INVALID_PROOF', 'signature_missing');
    await assertRefused(world, await proofOf(offered, thief, hash), 409, 'REQUEST_CONFLICT');
    assert.equal((await access(world.url, request)).status, 402, 'the request id alone');
    const { required } = await access(world.url, request);
    const payment = await signPayment(thief.privateKey, required);
    assert.equal((await access(world.url, request, { payment })).status, 409);
    // A new offer for the same request, signed by the payer, shows the same grant.
    const again = await present(world, await proofOf(await offer(world, request), sender, freshNonce()));
    assert.deepEqual([again.status, again.body.txHash], [200, hash]);
    assert.equal((await present(world, proof)).status, 200);
  });
});

describe('without a signature (PROOF_BINDING=txhash)', () => {
  const world = useWorld({ backend: false, vars: { PROOF_BINDING: 'txhash' } });
  const bare = ({ challengeId }, txHash) => ({ challengeId, txHash });

  test('health, log and offer say so', async () => {
    const health = await (await fetch(`${world.url}/health`)).json();
    assert.equal(health.proofBinding, 'txhash');
    assert.ok(world.logs.some((line) => line.includes('unsafe_setting') && line.includes('PROOF_BINDING')));
    const { transferInstead } = await offer(world, order());
    assert.deepEqual([transferInstead.sign, transferInstead.body.proof.signature], [undefined, undefined]);
  });

  test('whoever presents a hash first has paid; afterwards it takes the same challenge and hash', async () => {
    const sender = await newSender(world);
    const [offered, other] = [await offer(world, order()), await offer(world, order())];
    const hash = await transfer(world, sender);
    const first = await present(world, bare(offered, hash));
    assert.deepEqual([first.status, first.settled.payer], [200, sender.address]);
    assert.deepEqual((await present(world, bare(offered, hash))).body, { ...first.body, code: 'PROOF_ALREADY_REDEEMED' });
    const taken = await present(world, bare(other, hash));
    assert.deepEqual([taken.status, taken.body.code], [409, 'TX_ALREADY_REDEEMED']);
    const wrongHash = await present(world, bare(offered, freshNonce()));
    assert.deepEqual([wrongHash.status, wrongHash.body.code], [409, 'REQUEST_CONFLICT']);
  });

  test('what was paid with a signature or by authorization stays closed', async () => {
    const sender = await newSender(world);
    const { offered, hash } = await bought(world, sender);
    await assertRefused(world, bare(offered, hash), 409, 'REQUEST_CONFLICT');
    const request = order();
    const { body } = await access(world.url, request);
    const paid = await buy(world.url, sender.privateKey, request);
    assert.equal(paid.status, 200, paid.text);
    await assertRefused(world, bare(body, paid.body.txHash), 409, 'REQUEST_CONFLICT');
  });
});
