// What does not pay, at the A2A door. Every refusal has its code and gives no token; nothing is broadcast, nothing stored of a
// purchase.
//
//  1. What the client echoes is not the offer, in one member; for terms that are signed, the signature follows the change.
//  2. What the client signed is not good: domain, recipient, value, time, signature, balance.
//  3. An offer pays for nothing but itself: not for another task, not at another price, not after its end.
//  4. A payment that was used for one purchase, for another one; read from the chain, by a stranger.
//  5. Somebody else's purchase, by its request id, by its challenge, by a guessed task.
//  6. Payments that cannot be read, and those of x402 version 1.
//  7. Each time the task can be paid afterwards, or has failed and stays so.
//  8. Whoever sends too many of them is refused by address, with a real 429.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodeFunctionData } from 'viem';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { Door, V0_3, V1, assertGranted, assertNoToken, assertRefused, post, submitted } from './support/a2a.mjs';
import { income, isUsed } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { seenOnChain } from './support/stranger.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, freshNonce, signPayment } from './support/x402.mjs';

const STRANGER = '0x00000000000000000000000000000000000000AA';
let buyer;
const world = useWorld({ backend: false }, async (ready) => {
  buyer = await ready.newBuyer();
});
const door = new Door(world);
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const inSeconds = (seconds) => String(Math.floor(Date.now() / 1000) + seconds);

/** Pays an offer with what `mutate` makes of a good payment, and holds that it is refused. */
async function refused(expected, { change, mutate = (payment) => payment, wallet = buyer, request = order() } = {}) {
  const offer = await door.offer(request);
  const payment = mutate(await signPayment(wallet.privateKey, offer.required, change));
  const task = await assertRefused(world, () => door.pay(offer, payment), expected);
  assert.equal(task.id, offer.id);
  return { offer, payment, task };
}

/** A purchase of a wallet of its own. */
async function bought(request = order()) {
  const victim = await world.newBuyer();
  const offer = await door.offer(request);
  const payment = await signPayment(victim.privateKey, offer.required);
  const task = await door.pay(offer, payment);
  return { victim, offer, payment, task, grant: assertGranted(task), request };
}

/** The task is as open as before: an honest payment buys. */
async function assertPayable(task, privateKey) {
  const { required } = await door.get(task);
  assertGranted(await door.pay(task, await signPayment(privateKey, required)));
}

describe('what the client echoes decides nothing', () => {
  const changes = {
    scheme: [{ accepted: { scheme: 'upto' } }],
    'amount, signed as well': [{ accepted: { amount: '1' }, authorization: { value: '1' } }, ['amount'], 'INVALID_AMOUNT'],
    'amount as a number': [{ accepted: { amount: 15000 } }, ['amount'], 'INVALID_AMOUNT'],
    'amount left out': [{ accepted: { amount: undefined } }, ['amount'], 'INVALID_AMOUNT'],
    'payTo, signed as well': [{ accepted: { payTo: STRANGER }, authorization: { to: STRANGER } }, ['payTo'], 'INVALID_AMOUNT'],
    'asset, signed as well': [{ accepted: { asset: STRANGER }, domain: { verifyingContract: STRANGER } }, ['asset'], 'NETWORK_MISMATCH'],
    'network, signed as well': [{ accepted: { network: 'eip155:8453' }, domain: { chainId: 8453 } }, ['network'], 'NETWORK_MISMATCH'],
    maxTimeoutSeconds: [{ accepted: { maxTimeoutSeconds: 301 } }],
    'extra.name': [{ extra: { name: 'USD Coin' } }, ['name']],
    'extra.version': [{ extra: { version: '1' } }, ['version']],
    'extra.planId': [{ extra: { planId: 'pro-monthly' } }, ['planId']],
    'extra.requestId': [{ extra: { requestId: randomUUID() } }, ['requestId']],
    'extra.resourceId': [{ extra: { resourceId: 'other' } }, ['resourceId']],
  };
  for (const [name, [change, mismatch = [name], error]] of Object.entries(changes)) {
    test(`${name} changed in \`accepted\`: refused, and the member is named`, async () => {
      await refused({ code: 'PAYMENT_FAILED', reason: 'invalid_payment_requirements', mismatch, error }, { change });
    });
  }

  test('what is added to `extra` changes nothing, nor does what is left out', async () => {
    for (const extra of [{ unknown: { a: [1] } }, { planId: undefined, requestId: undefined, resourceId: undefined }]) {
      const { privateKey } = await world.newBuyer();
      const offer = await door.offer();
      assertGranted(await door.pay(offer, await signPayment(privateKey, offer.required, { extra })));
    }
  });

  test('the offer that came with a refusal can be paid, on the same task', async () => {
    const wallet = await world.newBuyer();
    const { task } = await refused({ code: 'PAYMENT_FAILED' }, { change: { accepted: { amount: '1' } }, wallet });
    assertGranted(await door.pay(task, await signPayment(wallet.privateKey, task.required)));
    assert.equal((await income(world)).filter(({ from }) => from === wallet.address).length, 1);
  });
});

describe('what was signed is not good', () => {
  const signature = { code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_payload_signature', error: 'INVALID_SIGNATURE' };
  const recipient = { code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_payload_recipient_mismatch', error: 'INVALID_AMOUNT' };
  const value = { code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_payload_authorization_value_mismatch', error: 'INVALID_AMOUNT' };
  const late = { code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_payload_authorization_valid_before', error: 'EXPIRED_PAYMENT' };
  const early = { code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_payload_authorization_valid_after' };
  const rows = {
    'signed for the mainnet name of USDC': [signature, { domain: { name: 'USD Coin' } }],
    'signed for another version of USDC': [signature, { domain: { version: '1' } }],
    'signed for another chain': [signature, { domain: { chainId: 8453 } }],
    'signed for another token': [signature, { domain: { verifyingContract: STRANGER } }],
    'the payer exchanged after signing': [signature, { after: { from: STRANGER } }],
    'the end exchanged after signing': [signature, { after: { validBefore: inSeconds(3600) } }],
    'the nonce exchanged after signing': [signature, { after: { nonce: freshNonce() } }],
    'it pays somebody else': [recipient, { authorization: { to: STRANGER } }],
    'it is over a millionth less': [value, { authorization: { value: '14999' } }],
    'it is over a millionth more': [value, { authorization: { value: '15001' } }],
    'it has expired': [late, { authorization: { validBefore: inSeconds(-1) } }],
    'it is valid from tomorrow on': [early, { authorization: { validAfter: inSeconds(86_400), validBefore: inSeconds(90_000) } }],
  };
  for (const [name, [expected, change]] of Object.entries(rows)) test(name, () => refused(expected, { change }));

  test('signed by a stranger in the payer’s name', async () => {
    const stranger = await world.newBuyer();
    await refused(signature, { wallet: stranger, change: { after: { from: buyer.address } } });
  });

  test('the payer has nothing', async () => {
    await refused({ code: 'PAYMENT_FAILED', reason: 'insufficient_funds', error: 'INSUFFICIENT_FUNDS' }, { wallet: await world.newBuyer(0n) });
  });

  test('it was used on chain, outside of all shops', async () => {
    const { required } = await door.offer();
    const { signature: its, authorization } = (await signPayment(buyer.privateKey, required)).payload;
    const { from, to, value, validAfter, validBefore, nonce } = authorization;
    const args = [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, its];
    await world.chain.transact({ to: USDC_ADDRESS, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transferWithAuthorization', args }) });
    const expected = { code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_nonce_already_used', error: 'DUPLICATE_NONCE' };
    await refused(expected, { change: { authorization: { nonce, validAfter, validBefore } } });
  });
});

describe('an offer pays for nothing but itself', () => {
  /** Sends a payment on the task of another offer: it is not taken, and the task stays as it was. */
  const notTaken = async (task, payment) => {
    const before = await door.get(task);
    const answer = await door.attempt({ taskId: task.id, text: 'payment', metadata: submitted(payment) });
    door.assertError(answer, -32004);
    assert.ok(answer.text.includes('without taskId'), answer.text);
    assert.deepEqual((await door.get(task)).task, before.task);
    assert.equal(await isUsed(world, payment.payload.authorization), false);
  };

  test('a cheap offer on the task of a dear one: not taken, the dear one stays', async () => {
    const [cheap, dear] = [await door.offer(), await door.offer({ planId: 'pro-monthly' })];
    await notTaken(dear, await signPayment(buyer.privateKey, cheap.required));
    assert.equal((await door.get(dear)).required.accepts[0].amount, '150000000');
  });

  test('the offer of another task at the same price: not taken, and taken without a task', async () => {
    const [mine, other] = [await door.offer(), await door.offer()];
    const payment = await signPayment((await world.newBuyer()).privateKey, other.required);
    await notTaken(mine, payment);
    await assertPayable(mine, (await world.newBuyer()).privateKey);
    assertGranted(await door.send({ text: 'payment', metadata: submitted(payment) }));
  });

  test('nor does a task sell anything else after a payment', async () => {
    const { required } = await door.offer();
    const payment = await signPayment((await world.newBuyer(0n)).privateKey, required);
    const task = await door.send({ text: 'payment', metadata: submitted(payment) });
    assert.equal(task.state, 'input-required', task.text);
    for (const data of [order(), { planId: 'pro-monthly' }]) door.assertError(await door.attempt({ taskId: task.id, data }), -32004);
    assert.deepEqual((await door.get(task)).task, task.task);
  });

  const forgeries = {
    'one character changed': (id) => id.slice(0, 9) + (id[9] === 'A' ? 'B' : 'A') + id.slice(10),
    'the seal cut off': (id) => id.slice(0, -22),
    'another text': () => 'not-a-challenge',
    'a text of 10 kB': () => 'A'.repeat(10_000),
  };
  for (const [name, forge] of Object.entries(forgeries)) {
    test(`a challenge that we did not seal, ${name}: refused on a task, and without one nothing is found`, async () => {
      const offer = await door.offer();
      const extra = { challengeId: forge(offer.data[0].challengeId) };
      const payment = await signPayment(buyer.privateKey, offer.required, { extra });
      await assertRefused(world, () => door.pay(offer, payment), { code: 'PAYMENT_FAILED' });
      await assertRefused(world, () => door.send({ text: 'payment', metadata: submitted(payment) }), { code: 'CHALLENGE_NOT_FOUND', again: false });
    });
  }

  test('without task and challenge there is nothing to pay for', async () => {
    const { required } = await door.offer();
    const payment = await signPayment(buyer.privateKey, required, { accepted: { extra: undefined } });
    await assertRefused(world, () => door.send({ text: 'payment', metadata: submitted(payment) }), { code: 'CHALLENGE_NOT_FOUND', again: false });
  });
});

describe('an offer that has expired', () => {
  const short = useWorld({ backend: false, vars: { CHALLENGE_TTL_SECONDS: '1' } });
  test('is refused with a new one on the same task, which can be paid', async () => {
    const wallet = await short.newBuyer();
    const here = new Door(short);
    const offer = await here.offer();
    const payment = await signPayment(wallet.privateKey, offer.required);
    await poll(() => Date.now() >= Date.parse(offer.data[0].expiresAt), 'the end of the offer', 5_000);
    assert.deepEqual((await here.get(offer)).task, offer.task, 'it is shown as it was made');
    const expected = { code: 'CHALLENGE_EXPIRED', error: 'EXPIRED_PAYMENT' };
    const task = await assertRefused(short, () => here.pay(offer, payment), expected);
    for (const id of ['challengeId', 'requestId']) assert.notEqual(task.data.at(-1)[id], offer.data[0][id]);
    assertGranted(await here.pay(task, await signPayment(wallet.privateKey, task.required)));
    assert.equal(await isUsed(short, payment.payload.authorization), false);
  });
});

describe('a payment that was used', () => {
  const TAKEN = { code: 'TX_ALREADY_REDEEMED', again: false };

  test('pays for no other task, for the same plan, another one or another resource, not even of its own wallet', async () => {
    const { payment } = await bought();
    for (const request of [order(), { planId: 'basic' }, { ...order(), resourceId: 'other' }]) {
      const offer = await door.offer(request);
      const again = { ...payment, accepted: offer.required.accepts[0] };
      await assertRefused(world, () => door.pay(offer, again), TAKEN);
      assert.equal((await door.pay(offer, again)).state, 'failed', 'what ended stays so');
      door.assertError(await door.attempt({ taskId: offer.id, data: order() }), -32004);
    }
  });

  test('read from the chain by a stranger: no grant for an offer of his own, nor without any', async () => {
    const { grant } = await bought();
    const payload = await seenOnChain(world, grant.txHash);
    const offer = await door.offer();
    await assertRefused(world, () => door.pay(offer, { x402Version: 2, accepted: offer.required.accepts[0], payload }), TAKEN);
    const bare = { scheme: 'exact', network: NETWORK, amount: '15000', asset: USDC_ADDRESS, payTo: world.seller.address };
    const payment = { x402Version: 2, accepted: bare, payload };
    await assertRefused(world, () => door.send({ text: 'payment', metadata: submitted(payment) }), { code: 'CHALLENGE_NOT_FOUND', again: false });
    const second = await door.offer();
    await assertRefused(world, () => door.pay(second, payment), TAKEN);
  });

  test('used at the x402 door, pays for nothing here', async () => {
    const { privateKey } = await world.newBuyer();
    const request = order();
    const { required } = await access(world.url, request);
    const payment = await signPayment(privateKey, required);
    assert.equal((await access(world.url, request, { payment })).status, 200);
    const offer = await door.offer();
    await assertRefused(world, () => door.pay(offer, { ...payment, accepted: offer.required.accepts[0] }), TAKEN);
  });
});

describe('somebody else’s purchase', () => {
  test('is not shown for its request id, neither unpaid nor with another wallet’s good payment, which stays unspent', async () => {
    const { request, grant } = await bought();
    const thief = await world.newBuyer();
    const offer = await door.offer(request);
    assertNoToken(offer.text);
    assert.ok(!offer.text.includes(grant.txHash), 'the transaction is told to a stranger');
    const payment = await signPayment(thief.privateKey, offer.required);
    await assertRefused(world, () => door.pay(offer, payment), { code: 'REQUEST_CONFLICT', again: false });
    assert.equal(await isUsed(world, payment.payload.authorization), false);
    assert.equal((await door.get(offer)).state, 'failed');
  });

  test('is not shown for its challenge, with another wallet’s good payment and no task', async () => {
    const { offer } = await bought();
    const thief = await world.newBuyer();
    const payment = await signPayment(thief.privateKey, offer.required);
    await assertRefused(world, () => door.send({ text: 'payment', metadata: submitted(payment) }), { code: 'REQUEST_CONFLICT', again: false });
    assert.equal(await isUsed(world, payment.payload.authorization), false);
  });

  test('is not shown for the payer’s own authorization under the thief’s signature', async () => {
    const { request, victim } = await bought();
    const thief = await world.newBuyer();
    const offer = await door.offer(request);
    const payment = await signPayment(thief.privateKey, offer.required, { after: { from: victim.address } });
    await assertRefused(world, () => door.pay(offer, payment), { code: 'PAYMENT_FAILED', error: 'INVALID_SIGNATURE' });
  });

  test('is not found by its request id, its challenge or its transaction instead of its task', async () => {
    const { task, offer, grant } = await bought();
    const bent = (task.id[0] === 'A' ? 'B' : 'A') + task.id.slice(1);
    for (const id of [grant.requestId, offer.data[0].challengeId, grant.txHash, task.contextId, bent, task.id.toUpperCase()]) {
      for (const method of ['GetTask', 'CancelTask']) door.assertError(await door.call(method, { id }), -32001);
      door.assertError(await door.attempt({ text: 'Show it.', taskId: id }), -32001);
    }
  });

  test('is not opened by a payment on its task: what ended takes no message', async () => {
    const { task, offer } = await bought();
    const thief = await world.newBuyer();
    const payment = await signPayment(thief.privateKey, offer.required);
    const answer = await door.attempt({ taskId: task.id, text: 'payment', metadata: submitted(payment) });
    door.assertError(answer, -32004);
    assertNoToken(answer.text);
    assert.equal(await isUsed(world, payment.payload.authorization), false);
  });

  test('is not in a task that refers to it, nor in a list of the thief’s conversation', async () => {
    const { task } = await bought();
    const own = await door.send({ data: {}, referenceTaskIds: [task.id] });
    const listed = await door.list({ contextId: own.contextId, includeArtifacts: true });
    assert.deepEqual(listed.tasks.map(({ id }) => id), [own.id]);
    for (const { text } of [own, listed]) assertNoToken(text);
  });
});

describe('a payment that cannot be read', () => {
  for (const [name, version] of Object.entries({ '1.0': V1, '0.3': V0_3 })) {
    test(`because it is of x402 version 1: the task says that it takes version 2 (A2A ${name})`, async () => {
      const here = new Door(world, version);
      const offer = await here.offer();
      const old = asVersion1(await signPayment(buyer.privateKey, offer.required));
      const task = await assertRefused(world, () => here.pay(offer, old), { code: 'INVALID_REQUEST', reason: 'invalid_x402_version' });
      assert.match(task.words, /version 2/);
    });
  }

  const mutations = {
    'no signature': (payment) => ({ ...payment, payload: { authorization: payment.payload.authorization } }),
    'no authorization': (payment) => ({ ...payment, payload: { signature: payment.payload.signature } }),
    'no payload': ({ payload: _, ...payment }) => payment,
    'a value that is no number': ({ payload, ...payment }) => ({ ...payment, payload: { ...payload, authorization: { ...payload.authorization, value: 'all of it' } } }),
    'version 2.5': (payment) => ({ ...payment, x402Version: 2.5 }),
    'a text': () => 'payment',
    'a list': (payment) => [payment],
    'nothing': () => null,
  };
  for (const [name, mutate] of Object.entries(mutations)) {
    test(`${name}: refused, and the task can be paid`, async () => {
      const { offer } = await refused({ code: 'INVALID_REQUEST' }, { mutate });
      await assertPayable(offer, (await world.newBuyer()).privateKey);
    });
  }
});

test('whoever sends too many bad payments is refused by address, with 429; others are not', async () => {
  const from = (address) => ({ ...V1.headers, 'cf-connecting-ip': address });
  const body = (message) => ({ jsonrpc: '2.0', id: 1, method: 'SendMessage', params: { message: door.message(message) } });
  const { required } = await door.offer();
  const payment = await signPayment(buyer.privateKey, required, { extra: { challengeId: 'forged' } });
  const bad = (address) => post(`${world.url}/a2a`, body({ text: 'payment', metadata: submitted(payment) }), { headers: from(address) });
  const price = (address) => post(`${world.url}/a2a`, body({ data: order() }), { headers: from(address) });
  const last = await poll(async () => {
    const answer = await bad('192.0.2.77');
    return answer.status === 429 && answer;
  }, 'the refusal', 60_000);
  assert.ok(Number(last.headers.get('retry-after')) >= 1);
  assert.deepEqual([last.body.type, last.body.code, last.body.jsonrpc], ['Error', 'RATE_LIMITED', undefined], 'no JSON-RPC answer');
  assert.equal((await price('192.0.2.77')).status, 429, 'whatever it sends');
  assert.equal((await price('192.0.2.78')).status, 200);
});
