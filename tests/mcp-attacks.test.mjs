// What does not pay, at the MCP door. Every refusal is a result with its code and gives no token; nothing is broadcast, nothing
// stored of a purchase.
//
//  1. What the client echoes is not the offer, in one member; for terms that are signed, the signature follows the change.
//  2. What the client signed is not good: domain, recipient, value, time, signature, balance, chain.
//  3. An offer pays for nothing but itself: not for another plan, not for another resource, not with a forged challenge.
//  4. A payment that was used for one purchase, for another one; read from the chain, by a stranger.
//  5. Somebody else's purchase, by its request id.
//  6. Payments that cannot be read, too long, several at once, or of x402 version 1.
//  7. Price and catalog change between offer and payment: what is asked today counts, and a payment that was taken is not lost.
//  8. Whoever sends too many of them is refused by address, with a real 429.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodeFunctionData } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { CHAIN_ID, NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { post } from './support/a2a.mjs';
import { income, isUsed } from './support/facts.mjs';
import { ERAS, MODERN, Mcp, assertGranted, assertOffered, assertRefused } from './support/mcp.mjs';
import { poll } from './support/poll.mjs';
import { seenOnChain } from './support/stranger.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, encodeHeader, freshNonce, signCancellation, signPayment } from './support/x402.mjs';

const STRANGER = '0x00000000000000000000000000000000000000AA';
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const PLANS = JSON.stringify([
  { planId: 'basic', unitAmount: '$0.015' },
  { planId: 'twin', unitAmount: '$0.015' },
  { planId: 'dear', unitAmount: '$150' },
]);
const FAILED = { code: 'PAYMENT_FAILED' };
const TAKEN = { code: 'TX_ALREADY_REDEEMED', again: false };
const CONFLICT = { code: 'REQUEST_CONFLICT', again: false };
let buyer;
const world = useWorld({ backend: false, vars: { PLANS } }, async (ready) => {
  buyer = await ready.newBuyer();
});
const mcp = new Mcp(world);
const inSeconds = (seconds) => String(Math.floor(Date.now() / 1000) + seconds);
const args = { planId: 'basic' };
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

/** Pays with what `mutate` makes of a good payment, and holds that it is refused. */
async function refused(expected, { change, mutate = (payment) => payment, wallet = buyer, request = args, door = mcp } = {}) {
  const payment = mutate(await signPayment(wallet.privateKey, await door.offer(request), change));
  const answer = await assertRefused(world, () => door.access(request, payment), expected);
  return { payment, answer };
}

/** A purchase of a wallet of its own. */
async function bought(request = args) {
  const victim = await world.newBuyer();
  const payment = await signPayment(victim.privateKey, await mcp.offer(request));
  return { victim, payment, request, grant: assertGranted(await mcp.access(request, payment)) };
}

describe('what the client echoes decides nothing', () => {
  const changes = {
    scheme: [{ accepted: { scheme: 'upto' } }],
    'amount, signed as well': [{ accepted: { amount: '1' }, authorization: { value: '1' } }, ['amount']],
    'amount as a number': [{ accepted: { amount: 15000 } }, ['amount']],
    'amount left out': [{ accepted: { amount: undefined } }, ['amount']],
    'payTo, signed as well': [{ accepted: { payTo: STRANGER }, authorization: { to: STRANGER } }, ['payTo']],
    'asset, signed as well': [{ accepted: { asset: STRANGER }, domain: { verifyingContract: STRANGER } }, ['asset']],
    'network, signed as well': [{ accepted: { network: 'eip155:8453' }, domain: { chainId: 8453 } }, ['network']],
    maxTimeoutSeconds: [{ accepted: { maxTimeoutSeconds: 301 } }],
    'extra.name': [{ extra: { name: 'USD Coin' } }, ['name']],
    'extra.version': [{ extra: { version: '1' } }, ['version']],
    'extra.paymentFlow': [{ extra: { paymentFlow: 'authorization' } }, ['paymentFlow']],
    'extra.planId': [{ extra: { planId: 'dear' } }, ['planId']],
    'extra.requestId': [{ extra: { requestId: randomUUID() } }, ['requestId']],
    'extra.resourceId': [{ extra: { resourceId: 'other' } }, ['resourceId']],
  };
  for (const [name, [change, mismatch = [name]]] of Object.entries(changes)) {
    test(`${name} changed in \`accepted\`: refused, and the member is named`, async () => {
      await refused({ ...FAILED, reason: 'invalid_payment_requirements', mismatch }, { change });
    });
  }

  test('the offer that came with a refusal can be paid', async () => {
    const wallet = await world.newBuyer();
    const { answer } = await refused(FAILED, { change: { accepted: { amount: '1' } }, wallet });
    assertGranted(await mcp.access(args, await signPayment(wallet.privateKey, assertOffered(answer))));
    assert.equal((await paidBy(wallet)).length, 1);
  });

  test('what is added to `extra` changes nothing, nor does what is left out', async () => {
    for (const extra of [{ unknown: { a: [1] } }, { planId: undefined, resourceId: undefined, paymentFlow: undefined }]) {
      const { privateKey } = await world.newBuyer();
      assertGranted(await mcp.access(args, await signPayment(privateKey, await mcp.offer(args), { extra })));
    }
  });
});

describe('what was signed is not good', () => {
  const of = (reason) => ({ ...FAILED, reason });
  const signature = of('invalid_exact_evm_payload_signature');
  const recipient = of('invalid_exact_evm_payload_recipient_mismatch');
  const value = of('invalid_exact_evm_payload_authorization_value_mismatch');
  const late = of('invalid_exact_evm_payload_authorization_valid_before');
  const early = of('invalid_exact_evm_payload_authorization_valid_after');
  const used = of('invalid_exact_evm_nonce_already_used');
  const rows = {
    'signed for the mainnet name of USDC': [signature, { domain: { name: 'USD Coin' } }],
    'signed for another version of USDC': [signature, { domain: { version: '1' } }],
    'signed for another chain': [signature, { domain: { chainId: 8453 } }],
    'signed for another token': [signature, { domain: { verifyingContract: STRANGER } }],
    'the payer exchanged after signing': [signature, { after: { from: STRANGER } }],
    'the end exchanged after signing': [signature, { after: { validBefore: inSeconds(3600) } }],
    'the begin exchanged after signing': [signature, { after: { validAfter: '1' } }],
    'the nonce exchanged after signing': [signature, { after: { nonce: freshNonce() } }],
    'it pays somebody else': [recipient, { authorization: { to: STRANGER } }],
    'it is over a millionth less': [value, { authorization: { value: '14999' } }],
    'it is over a millionth more': [value, { authorization: { value: '15001' } }],
    'it is over nothing': [value, { authorization: { value: '0' } }],
    'it is over all there is': [value, { authorization: { value: String(2n ** 256n - 1n) } }],
    'it has expired': [late, { authorization: { validBefore: inSeconds(-1) } }],
    'it expires within five seconds': [late, { authorization: { validBefore: inSeconds(5) } }],
    'it is valid from tomorrow on': [early, { authorization: { validAfter: inSeconds(86_400), validBefore: inSeconds(90_000) } }],
  };
  for (const [name, [expected, change]] of Object.entries(rows)) test(name, () => refused(expected, { change, door: new Mcp(world, MODERN) }));

  const withSignature = (make) => (payment) => ({ ...payment, payload: { ...payment.payload, signature: make(payment.payload.signature) } });
  const signatures = {
    'the high-s twin of the signature': (its) => {
      const s = CURVE_ORDER - BigInt(`0x${its.slice(66, 130)}`);
      return its.slice(0, 66) + s.toString(16).padStart(64, '0') + (its.endsWith('1b') ? '1c' : '1b');
    },
    'an empty signature': () => '0x',
    'a signature of zeros': () => `0x${'00'.repeat(65)}`,
    'a signature of 64 bytes': (its) => its.slice(0, -2),
    'a signature of 66 bytes': (its) => `${its}00`,
  };
  for (const [name, make] of Object.entries(signatures)) test(name, () => refused(signature, { mutate: withSignature(make) }));

  test('signed by a stranger in the payer’s name', async () => {
    const stranger = await world.newBuyer();
    await refused(signature, { wallet: stranger, change: { after: { from: buyer.address } } });
  });

  test('the seller pays itself', () => refused(of('invalid_exact_evm_payload_payer'), { wallet: world.seller }));

  test('the payer has nothing, or a millionth of a dollar too little', async () => {
    for (const balance of [0n, 14_999n]) await refused(of('insufficient_funds'), { wallet: await world.newBuyer(balance) });
  });

  test('the payer’s account is blocked by the token', async () => {
    const blocked = await world.newBuyer();
    await world.chain.blacklist(blocked.address);
    await refused(of('invalid_exact_evm_transaction_simulation_failed'), { wallet: blocked });
  });

  test('it was used on chain, outside of all shops', async () => {
    const { signature: its, authorization } = (await signPayment(buyer.privateKey, await mcp.offer(args))).payload;
    const { from, to, value, validAfter, validBefore, nonce } = authorization;
    const call = [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, its];
    await world.chain.transact({ to: USDC_ADDRESS, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transferWithAuthorization', args: call }) });
    await refused(used, { change: { authorization: { nonce, validAfter, validBefore } } });
  });

  test('it was cancelled on chain', async () => {
    const nonce = freshNonce();
    const signed = await signCancellation(buyer.privateKey, nonce);
    const call = [privateKeyToAccount(buyer.privateKey).address, nonce, signed];
    await world.chain.transact({ to: USDC_ADDRESS, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'cancelAuthorization', args: call }) });
    await refused(used, { change: { authorization: { nonce } } });
  });
});

describe('an offer pays for nothing but itself', () => {
  const paidFor = { planId: 'basic', resourceId: 'photos' };
  const requests = {
    'a dearer plan': [{ ...paidFor, planId: 'dear' }, 'amount'],
    'another plan of the same price': [{ ...paidFor, planId: 'twin' }, 'planId'],
    'another resource': [{ ...paidFor, resourceId: 'films' }, 'resourceId'],
  };
  for (const [name, [request, member]] of Object.entries(requests)) {
    test(`the offer of one plan for ${name}: refused`, async () => {
      const payment = await signPayment(buyer.privateKey, await mcp.offer(paidFor));
      const answer = await assertRefused(world, () => mcp.access(request, payment), { ...FAILED, reason: 'invalid_payment_requirements' });
      assert.ok(JSON.parse(answer.texts[1]).details.mismatch.includes(member), answer.text);
      assert.equal(await isUsed(world, payment.payload.authorization), false);
    });
  }

  test('the offer of another door that was made for something else: refused, and the member is named', async () => {
    const { required } = await access(world.url, { planId: 'twin' });
    const payment = await signPayment(buyer.privateKey, required);
    await assertRefused(world, () => mcp.access(args, payment), { ...FAILED, mismatch: ['planId'] });
  });

  const forgeries = {
    'one character changed': (id) => id.slice(0, 9) + (id[9] === 'A' ? 'B' : 'A') + id.slice(10),
    'the seal cut off': (id) => id.slice(0, -22),
    'another text': () => 'not-a-challenge',
    'a text of 9 kB': () => 'A'.repeat(9_000),
  };
  for (const [name, forge] of Object.entries(forgeries)) {
    test(`a challenge that we did not seal, ${name}: nothing is found`, async () => {
      const { required } = await access(world.url, args);
      const payment = await signPayment(buyer.privateKey, required, { extra: { challengeId: forge(required.accepts[0].extra.challengeId) } });
      await assertRefused(world, () => mcp.access(args, payment), { code: 'CHALLENGE_NOT_FOUND', again: false });
    });
  }
});

describe('a payment that was used', () => {
  test('pays for no other plan, no other resource and no purchase of another name, not even of its own wallet', async () => {
    const { payment } = await bought();
    for (const request of [{ planId: 'twin' }, { ...args, resourceId: 'other' }, { ...args, requestId: randomUUID() }]) {
      const offer = await mcp.offer(request);
      await assertRefused(world, () => mcp.access(request, { ...payment, accepted: offer.accepts[0] }), TAKEN);
    }
  });

  test('read from the chain by a stranger: no grant, whether its purchase was named or not', async () => {
    for (const request of [args, { ...args, requestId: randomUUID() }]) {
      const { grant } = await bought(request);
      const payload = await seenOnChain(world, grant.txHash);
      const bare = { scheme: 'exact', network: NETWORK, amount: '15000', asset: USDC_ADDRESS, payTo: world.seller.address };
      for (const accepted of [bare, (await mcp.offer(args)).accepts[0]]) {
        for (const era of ERAS) await assertRefused(world, () => new Mcp(world, era).access(args, { x402Version: 2, accepted, payload }), TAKEN);
      }
    }
  });

  test('used at the x402 door, pays for nothing here', async () => {
    const { privateKey } = await world.newBuyer();
    const request = { ...args, requestId: randomUUID() };
    const { required } = await access(world.url, request);
    const payment = await signPayment(privateKey, required);
    assert.equal((await access(world.url, request, { payment })).status, 200);
    const accepted = (await mcp.offer({ planId: 'twin' })).accepts[0];
    await assertRefused(world, () => mcp.access({ planId: 'twin' }, { ...payment, accepted }), TAKEN);
  });
});

describe('somebody else’s purchase', () => {
  test('is not shown for its request id, with another wallet’s good payment, which stays unspent', async () => {
    for (const request of [args, { ...args, requestId: randomUUID() }]) {
      const { grant } = await bought(request);
      const thief = await world.newBuyer();
      const named = { ...args, requestId: grant.requestId };
      const offered = await mcp.access(named);
      assert.ok(!offered.text.includes(grant.txHash), 'the transaction is told to a stranger');
      const payment = await signPayment(thief.privateKey, assertOffered(offered));
      await assertRefused(world, () => mcp.access(named, payment), CONFLICT);
      assert.equal(await isUsed(world, payment.payload.authorization), false);
    }
  });

  test('is not shown for the payer’s own authorization under the thief’s signature', async () => {
    const { victim } = await bought();
    const thief = await world.newBuyer();
    await refused({ ...FAILED, reason: 'invalid_exact_evm_payload_signature' }, { wallet: thief, change: { after: { from: victim.address } } });
  });

  test('its name takes no payment for something else, not even of its own wallet', async () => {
    const { victim, grant } = await bought({ ...args, requestId: randomUUID() });
    const request = { planId: 'twin', requestId: grant.requestId };
    const payment = await signPayment(victim.privateKey, await mcp.offer(request));
    await assertRefused(world, () => mcp.access(request, payment), CONFLICT);
  });
});

describe('a payment that cannot be read', () => {
  const UNREADABLE = { code: 'INVALID_REQUEST' };
  const signed = (change) => (payment) => ({ ...payment, payload: { ...payment.payload, authorization: { ...payment.payload.authorization, ...change } } });
  const mutations = {
    'no signature': (payment) => ({ ...payment, payload: { authorization: payment.payload.authorization } }),
    'no authorization': (payment) => ({ ...payment, payload: { signature: payment.payload.signature } }),
    'no payload': ({ payload: _, ...payment }) => payment,
    'nothing accepted': ({ accepted: _, ...payment }) => payment,
    'a value that is no number': signed({ value: 'all of it' }),
    'a value as a number': signed({ value: 15000 }),
    'a negative value': signed({ value: '-15000' }),
    'a nonce of 31 bytes': signed({ nonce: `0x${'11'.repeat(31)}` }),
    'version 2.5': (payment) => ({ ...payment, x402Version: 2.5 }),
    'x402 version 1': asVersion1,
    'a text': () => 'payment',
    'a list': (payment) => [payment],
    'true': () => true,
    'JSON in a text, cut off': (payment) => JSON.stringify(payment).slice(0, -2),
    'base64 of a list': (payment) => encodeHeader([payment]),
    'base64 of more than 16 KiB': (payment) => encodeHeader({ ...payment, filler: 'x'.repeat(16 * 1024) }),
  };
  for (const [name, mutate] of Object.entries(mutations)) {
    test(`${name}: refused, and the offer is there to be paid`, async () => {
      await refused(UNREADABLE, { mutate });
    });
  }

  test('two in the header: refused', async () => {
    const one = encodeHeader(await signPayment(buyer.privateKey, await mcp.offer(args)));
    await assertRefused(world, () => mcp.access(args, undefined, { 'payment-signature': `${one}, ${one}` }), UNREADABLE);
  });

  test('deep JSON and long names end nothing', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const answer = await mcp.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":${deep}}`);
    assert.deepEqual([answer.status, answer.body.error.code], [400, -32700]);
    const named = await mcp.call('tools/call', { name: 'x'.repeat(500_000) });
    assert.deepEqual([named.status, named.body.error.code], [200, -32602]);
    await mcp.offer(args);
  });
});

test('whoever sends too many bad payments is refused by address, with 429; others are not', async () => {
  const call = (payment) => ({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'request_access', arguments: args, ...(payment && { _meta: { 'x402/payment': payment } }) } });
  const send = (address, payment) => post(mcp.url, call(payment), { headers: { 'cf-connecting-ip': address } });
  for (let i = 0; i < 70; i += 1) assert.equal((await send('192.0.2.80')).status, 200, 'asking for the price does not count');
  const last = await poll(async () => {
    const answer = await send('192.0.2.81', 'nonsense');
    return answer.status === 429 && answer;
  }, 'the refusal', 60_000);
  assert.ok(Number(last.headers.get('retry-after')) >= 1);
  assert.equal(last.body.code, 'RATE_LIMITED');
  assert.equal((await send('192.0.2.81')).status, 429, 'whatever it sends');
  assert.equal((await send('192.0.2.82')).status, 200);
});

describe('the seller changes something between offer and payment', () => {
  const cheaper = JSON.stringify([{ planId: 'basic', unitAmount: '$0.01' }]);
  const other = JSON.stringify([{ planId: 'other', unitAmount: '$0.015' }]);

  test('a payment of yesterday’s price is refused with today’s; one that was taken gets its grant', async () => {
    const wallet = await world.newBuyer();
    const unpaid = await signPayment(wallet.privateKey, await mcp.offer(args));
    const named = { ...args, requestId: randomUUID() };
    const paid = await signPayment(wallet.privateKey, await mcp.offer(named));
    const grant = assertGranted(await mcp.access(named, paid));
    await world.restartWorker({ PLANS: cheaper });
    const answer = await assertRefused(world, () => mcp.access(args, unpaid), { ...FAILED, mismatch: ['amount'] });
    assert.equal(assertOffered(answer).accepts[0].amount, '10000');
    assert.deepEqual(assertGranted(await mcp.access(named, paid)), grant);
    await world.restartWorker({ PLANS: other });
    assert.deepEqual(assertGranted(await mcp.access(named, paid)), grant);
    const { data } = await mcp.access(args, unpaid);
    assert.equal(data.code, 'TIER_NOT_FOUND');
    assert.equal((await paidBy(wallet)).length, 1);
    await world.restartWorker({ PLANS });
  });
});
