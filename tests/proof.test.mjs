// Paying by an ordinary transfer.
//
//  1. The offer tells an agent without an x402 client how: where to, which token, how much, what to sign, what to post. The
//     example does just that and gets the grant (examples.test.mjs).
//  2. The grant is for the transfer's transaction; the token opens the backend; the chain shows that one transfer and nothing
//     that the worker sent. The operator's list, the history and the payer's book know it.
//  3. The same proof again, and the wallet's x402 payment for the same request, get the same grant and cost nothing.
//  4. More than the price is accepted and recorded. A transfer made in time is credited when it is presented too late.
//  5. A purchase that cannot be delivered returns to the payer what was received, all of it.
//  6. Without enough confirmations the answer is 202 with Retry-After, and nothing is stored.
//  7. One transaction with several transfers pays one purchase for each; each payer's are its own.
//  8. A request that was begun with an authorization that failed is paid by a transfer, once that authorization cannot be
//     executed any more.
//  9. The same works when that purchase has lost its history, a week later; its history begins anew.
//  10. A contract wallet that has made a transfer shows it with a signature that it accepts (EIP-1271).
//  11. A transfer that the seller has marked as returned cannot be shown for a grant; one that pays a purchase cannot be marked.
//  12. Afterwards the ledger and the chain agree (`npm run reconcile`).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { encodeFunctionData } from 'viem';
import { root } from '../tools/lib/paths.mjs';
import { command, operator, reported } from './support/admin.mjs';
import { broadcasts, income, stored } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { newWallet } from './support/smart-wallets.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { PRICE, call, clocksAgree, newSender, offer, present, proofOf, send, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { access, signCancellation, signPayment } from './support/x402.mjs';

/** Not the synchronous one: the worker reaches the chain through a proxy in this process. */
const run = promisify(execFile);
const order = () => ({ planId: 'basic', requestId: randomUUID() });

/** Pays an offer by transfer and presents the proof. */
async function pay(world, sender, request = order(), value = PRICE) {
  const offered = await offer(world, request);
  const hash = await transfer(world, sender, value);
  const proof = await proofOf(offered, sender, hash);
  return { offered, hash, proof, answer: await present(world, proof) };
}

describe('a buyer without an x402 client', () => {
  const world = useWorld();

  test('is told how to pay, in the offer', async () => {
    const offered = await offer(world, order());
    const { description, ...facts } = offered.transferInstead;
    assert.match(description, /ordinary USDC transfer/);
    assert.deepEqual(facts, {
      destination: world.seller.address,
      assetAddress: world.chain.usdc.address,
      amount: '15000',
      payBefore: offered.expiresAt,
      sign: offered.challengeId,
      body: { proof: { challengeId: offered.challengeId, txHash: '<transaction hash>', signature: '<signature>' } },
    });
    const discovered = await (await fetch(`${world.url}/discover`)).json();
    assert.match(discovered.nextStep.description, /transfer/);
  });

  test('gets the grant for the transfer, which opens the backend', async () => {
    const sender = await newSender(world);
    const before = await broadcasts(world);
    const { answer, hash, offered } = await pay(world, sender);
    assert.equal(answer.status, 200, answer.text);
    const grant = answer.body;
    assert.deepEqual([grant.type, grant.code, grant.txHash, grant.requestId], ['AccessGrant', undefined, hash, offered.requestId]);
    assert.deepEqual(answer.settled, { success: true, transaction: hash, network: 'eip155:84532', payer: sender.address });
    assert.match(answer.headers.get('cache-control'), /no-store/);
    const opened = await fetch(grant.resourceEndpoint, { headers: { authorization: `Bearer ${grant.accessToken}` } });
    assert.equal(opened.status, 200);
    assert.equal(await broadcasts(world), before, 'the worker sends nothing');

    const { body } = await operator(world, `/purchases/${offered.requestId}`);
    assert.deepEqual(body.record.state.DELIVERED.payment.log, 0);
    assert.deepEqual(body.audit.map(({ event }) => event).slice(0, 3), ['proven', 'claimed', 'issued']);
    await reported(world);
    const listed = await operator(world, '/purchases');
    const entry = listed.body.purchases.find(({ requestId }) => requestId === offered.requestId);
    assert.deepEqual([entry.status, entry.amount, entry.transaction], ['DELIVERED', '$0.015', hash]);
  });

  test('gets the same grant again, by the same proof and by an authorization of the same wallet', async () => {
    const sender = await newSender(world);
    const request = order();
    const { answer, proof } = await pay(world, sender, request);
    const again = await present(world, proof, request);
    assert.equal(again.status, 200);
    assert.deepEqual(again.body, { ...answer.body, code: 'PROOF_ALREADY_REDEEMED' });
    const { required } = await access(world.url, request);
    const signed = await access(world.url, request, { payment: await signPayment(sender.privateKey, required) });
    assert.equal(signed.text, answer.text);
    assert.equal(await world.chain.usdcBalance(sender.address), 1_000_000_000n - PRICE);
  });

  test('whose payment is too high has it recorded', async () => {
    const sender = await newSender(world);
    const { answer, offered } = await pay(world, sender, order(), 99_000n);
    assert.equal(answer.status, 200, answer.text);
    const { body } = await operator(world, `/purchases/${offered.requestId}`);
    assert.equal(body.record.state.DELIVERED.payment.amount, '$0.099');
  });

  test('with two transfers in one transaction has paid two purchases, and not a third', async () => {
    const sender = await newSender(world);
    const batcher = await world.chain.deploy('Batcher');
    await call(world, sender, 'approve', [batcher, 1_000_000n]);
    const offers = [await offer(world, order()), await offer(world, order()), await offer(world, order())];
    const hash = await batch(world, sender, batcher, [sender, sender], [PRICE, PRICE + 1n]);
    const answers = [];
    for (const offered of offers) answers.push(await present(world, await proofOf(offered, sender, hash)));
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 409]);
    assert.equal(answers[2].body.code, 'TX_ALREADY_REDEEMED');
    const paid = [];
    for (const { requestId } of offers.slice(0, 2)) {
      const { body } = await operator(world, `/purchases/${requestId}`);
      paid.push([body.record.state.DELIVERED.payment.amount, body.record.state.DELIVERED.payment.transaction]);
    }
    assert.deepEqual(paid, [['$0.015', hash], ['$0.015001', hash]]);
  });

  test('shares a transaction with another payer, and each has its own', async () => {
    const [ann, bob] = [await newSender(world), await newSender(world)];
    const batcher = await world.chain.deploy('Batcher');
    for (const payer of [ann, bob]) await call(world, payer, 'approve', [batcher, 1_000_000n]);
    const offers = [await offer(world, order()), await offer(world, order())];
    const hash = await batch(world, ann, batcher, [ann, bob], [PRICE, PRICE]);
    const answers = await Promise.all([ann, bob].map(async (payer, i) => present(world, await proofOf(offers[i], payer, hash))));
    assert.deepEqual(answers.map(({ status, settled }) => [status, settled.payer]), [[200, ann.address], [200, bob.address]]);
  });

  test('that sent two halves in one transaction is told what counts', async () => {
    const sender = await newSender(world);
    const batcher = await world.chain.deploy('Batcher');
    await call(world, sender, 'approve', [batcher, 1_000_000n]);
    const offered = await offer(world, order());
    const hash = await batch(world, sender, batcher, [sender, sender], [7_000n, 8_000n]);
    const answer = await present(world, await proofOf(offered, sender, hash));
    assert.deepEqual([answer.status, answer.body.code, answer.body.details], [400, 'AMOUNT_MISMATCH', { expected: '$0.015', received: '$0.008' }]);
  });

  test('whose authorization failed pays the same request by transfer', async () => {
    const { sender, payment, hash, proof } = await failByTransfer(world);
    // Whoever saw the authorization could still have it executed, and the purchase would be paid twice.
    const early = await present(world, proof);
    assert.deepEqual([early.status, early.body.code, early.body.details.reason], [202, 'TX_UNCONFIRMED', 'authorization_open'], early.text);
    const { nonce, validBefore } = payment.payload.authorization;
    assert.ok(Date.parse(early.body.details.until) >= Number(validBefore) * 1000);
    const wait = Number(early.headers.get('retry-after'));
    assert.ok(wait > 0 && wait <= Number(validBefore) + 60 - Date.now() / 1000, String(wait));
    // Its owner need not wait.
    await call(world, sender, 'cancelAuthorization', [sender.address, nonce, await signCancellation(sender.privateKey, nonce)]);
    const answer = await present(world, proof);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.txHash, hash);
    assert.equal((await income(world)).filter(({ from }) => from === sender.address).length, 1);
  });

  test('may be a contract wallet, which names itself and accepts the signature', async () => {
    const wallet = await newWallet(world);
    const offered = await offer(world, order());
    const { client } = world.chain;
    await client.impersonateAccount({ address: wallet.address });
    await world.chain.fund(wallet.address, '1');
    const data = encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transfer', args: [world.seller.address, PRICE] });
    const { transactionHash } = await world.chain.transact({ account: wallet.address, to: world.chain.usdc.address, data });
    const proof = await proofOf(offered, wallet.owner, transactionHash);
    const unnamed = await present(world, proof);
    assert.equal(unnamed.body.details.reason, 'payer_mismatch');
    const stranger = await newSender(world);
    const foreign = await present(world, { ...(await proofOf(offered, stranger, transactionHash)), payer: wallet.address });
    assert.equal(foreign.body.details.reason, 'invalid_signature');
    const answer = await present(world, { ...proof, payer: wallet.address });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.settled.payer.toLowerCase(), wallet.address.toLowerCase());
  });

  test('cannot show a transfer that the seller has returned by hand', async () => {
    const sender = await newSender(world);
    const { hash: used, offered: its } = await pay(world, sender);
    const pays = await command(world, `/transfers/${used}/returned`);
    assert.deepEqual([pays.status, pays.body.details.requestId], [409, its.requestId], pays.text);
    const offered = await offer(world, order());
    const hash = await transfer(world, sender);
    for (let i = 0; i < 2; i += 1) {
      const { status, body } = await command(world, `/transfers/${hash}/returned`);
      assert.deepEqual([status, body], [200, { status: 'RETURNED', transaction: hash, from: sender.address, amount: '$0.015', event: 0 }]);
    }
    const answer = await present(world, await proofOf(offered, sender, hash));
    assert.deepEqual([answer.status, answer.body.code], [409, 'TX_ALREADY_REDEEMED'], answer.text);
    for (const [path, status] of [[`/transfers/0x${'9'.repeat(64)}/returned`, 404], [`/transfers/${hash}/5/returned`, 404], [`/transfers/${hash}/0/returned`, 200]]) {
      assert.equal((await command(world, path)).status, status, path);
    }
  });

  test('and the books agree with the chain', async () => {
    await reported(world);
    const args = [join(root, 'tools', 'reconcile.mjs'), '--url', world.url, '--rpc', world.chain.url, '--json'];
    const env = { ...process.env, KEY0_ADMIN_SECRET: world.adminSecret };
    const { stdout } = await run(process.execPath, args, { env, timeout: 60_000 });
    assert.deepEqual(JSON.parse(stdout).differences, []);
  });
});

describe('a transfer', () => {
  const short = useWorld({ vars: { CHALLENGE_TTL_SECONDS: '3' } });
  test('that was made in time is credited when it is presented after the end of the offer', async () => {
    const sender = await newSender(short);
    await clocksAgree(short);
    const offered = await offer(short, order());
    const hash = await transfer(short, sender);
    await poll(() => Date.now() > Date.parse(offered.expiresAt), 'the end of the offer', 10_000);
    const answer = await present(short, await proofOf(offered, sender, hash));
    assert.equal(answer.status, 200, answer.text);
  });
});

describe('a purchase that failed and has lost its history', () => {
  const world = useWorld();
  test('is paid by a transfer that is shown later, and its history begins anew', async () => {
    const { sender, request, payment, hash, proof } = await failByTransfer(world);
    const { nonce } = payment.payload.authorization;
    await call(world, sender, 'cancelAuthorization', [sender.address, nonce, await signCancellation(sender.privateKey, nonce)]);
    const inspect = async () => (await operator(world, `/purchases/${request.requestId}`)).body;
    await letTimePass(world, 3_600_000);
    await poll(async () => (await inspect()).status === 'EXPIRED', 'the end of the purchase', 30_000);
    await letTimePass(world, 9 * 24 * 3_600_000);
    await poll(async () => (await inspect()).historyRemoved, 'the history to go', 30_000);
    const answer = await present(world, proof);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.txHash, hash);
    const { audit, historyRemoved } = await inspect();
    assert.deepEqual([audit[0]?.event, audit.at(-1)?.status, historyRemoved], ['proven', 'DELIVERED', false]);
  });
});

describe('with two confirmations', () => {
  const world = useWorld({ vars: { KEY0_CONFIRMATIONS: '2' } });
  test('a transfer in the newest block is 202 with Retry-After and stores nothing; one block later it counts', async () => {
    const sender = await newSender(world);
    const offered = await offer(world, order());
    await world.chain.holdBlocks();
    const sending = transfer(world, sender);
    await poll(async () => (await world.chain.client.getBlock({ blockTag: 'pending' })).transactions.length === 1, 'the transfer');
    await world.chain.mine();
    const hash = await sending;
    const proof = await proofOf(offered, sender, hash);
    const early = await present(world, proof);
    assert.deepEqual([early.status, early.body.code, early.headers.get('retry-after')], [202, 'TX_UNCONFIRMED', '2']);
    assert.deepEqual(stored(world), {});
    await world.chain.mine();
    const answer = await present(world, proof);
    assert.equal(answer.status, 200, answer.text);
  });
});

describe('a purchase that cannot be delivered', () => {
  const issuing = startIssuer('fails');
  const world = useWorld(
    { backend: false, vars: { TOKEN_MODE: 'remote', BACKEND_API_URL: 'http://127.0.0.1:9', REFUND_MIN_AGE_MS: '500', REFUND_INTERVAL_MS: '200' } },
    async (world) => world.restartWorker({ BACKEND_API_URL: (await issuing).url }),
  );
  test('returns to the payer all that was received', async () => {
    const sender = await newSender(world);
    const { proof, answer } = await pay(world, sender, order(), 40_000n);
    assert.equal(answer.status, 502, answer.text);
    const refunded = await poll(async () => {
      const { body } = await present(world, proof);
      return body.details?.state === 'REFUNDED' && body;
    }, 'the refund', 30_000);
    assert.doesNotMatch(JSON.stringify(refunded), /accessToken/);
    assert.equal(await world.chain.usdcBalance(sender.address), 1_000_000_000n);
    const back = await world.chain.transfers({ from: world.seller.address, to: sender.address });
    assert.deepEqual(back.map(({ args }) => args.value), [40_000n]);
    await (await issuing).stop();
  });
});

/** A buyer whose transfer for an offer is included just before its authorization for it, which therefore fails. */
async function failByTransfer(world) {
  const sender = await newSender(world, 20_000n);
  const request = order();
  const { required, body: offered } = await access(world.url, request);
  const payment = await signPayment(sender.privateKey, required);
  await world.chain.holdBlocks();
  const before = await broadcasts(world);
  const first = access(world.url, request, { payment });
  await poll(async () => (await broadcasts(world)) > before, 'the broadcast of the authorization');
  // The transfer pays more for its place in the block; what is left is too little for the authorization.
  const sent = transfer(world, sender, PRICE, world.seller.address, { maxPriorityFeePerGas: 20_000_000_000n, maxFeePerGas: 40_000_000_000n });
  await poll(async () => (await world.chain.client.getBlock({ blockTag: 'pending' })).transactions.length === 2, 'both in one block');
  await world.chain.mine();
  await world.chain.setBlockTime(0);
  const hash = await sent;
  assert.equal((await first).body.code, 'PAYMENT_FAILED');
  return { sender, request, payment, hash, proof: await proofOf(offered, sender, hash) };
}

/** One transaction with several transfers to the seller. */
function batch(world, sender, batcher, from, values) {
  const args = [world.chain.usdc.address, from.map(({ address }) => address), world.seller.address, values];
  const data = encodeFunctionData({ abi: world.chain.contracts.Batcher.abi, functionName: 'pay', args });
  return send(world, sender, { to: batcher, data });
}
