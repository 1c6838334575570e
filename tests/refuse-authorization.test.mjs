// Authorizations that must not be broadcast.
//
//  1. A buyer asks for a plan and gets an offer.
//  2. It echoes the offer unchanged, but what it signed is wrong: domain, recipient, value, time, signature; or the chain
//     would refuse it: used, cancelled, no money, blocked account.
//  3. Each is refused with the reason code of x402 and a new offer. Nothing is broadcast, nothing stored.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodeFunctionData } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { CHAIN_ID, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { income, isUsed, stored } from './support/facts.mjs';
import { leftOver } from './support/occupied.mjs';
import { assertRefused } from './support/refusal.mjs';
import { useWorld } from './support/world.mjs';
import { access, freshNonce, signPayment } from './support/x402.mjs';

const STRANGER = '0x00000000000000000000000000000000000000AA';
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
let buyer;
const world = useWorld({ backend: false }, async (ready) => {
  buyer = await ready.newBuyer();
});
const inSeconds = (seconds) => String(Math.floor(Date.now() / 1000) + seconds);
const refusedFor = (reason) => ({ status: 402, code: 'PAYMENT_FAILED', reason });

/** Signs for a new offer, changes the payment by hand if asked to, and expects the refusal. */
async function refused(reason, { change = {}, mutate, privateKey = buyer.privateKey } = {}) {
  const body = { planId: 'basic', requestId: randomUUID() };
  const { required } = await access(world.url, body);
  const payment = await signPayment(privateKey, required, change);
  mutate?.(payment.payload);
  await assertRefused(world, () => access(world.url, body, { payment }), refusedFor(reason));
  return payment.payload.authorization;
}

describe('a signature that is not the payer’s under the token’s own domain', () => {
  const reason = 'invalid_exact_evm_payload_signature';
  const otherS = (signature) => {
    const s = CURVE_ORDER - BigInt(`0x${signature.slice(66, 130)}`);
    const v = signature.endsWith('1b') ? '1c' : '1b';
    return signature.slice(0, 66) + s.toString(16).padStart(64, '0') + v;
  };
  const rows = {
    'signed for the mainnet name of USDC': { change: { domain: { name: 'USD Coin' } } },
    'signed for another version': { change: { domain: { version: '1' } } },
    'signed for another chain': { change: { domain: { chainId: 8453 } } },
    'signed for another token': { change: { domain: { verifyingContract: STRANGER } } },
    'the payer exchanged after signing': { change: { after: { from: STRANGER } } },
    'the recipient exchanged after signing': { change: { authorization: { to: STRANGER }, mend: 'to' } },
    'the value exchanged after signing': { change: { authorization: { value: '1' }, mend: 'value' } },
    'the end exchanged after signing': { change: { after: { validBefore: inSeconds(3600) } } },
    'the begin exchanged after signing': { change: { after: { validAfter: '1' } } },
    'the nonce exchanged after signing': { change: { after: { nonce: freshNonce() } } },
    'the signature’s high-s twin, which the token refuses': { mutate: (payload) => (payload.signature = otherS(payload.signature)) },
    'an empty signature': { mutate: (payload) => (payload.signature = '0x') },
    'a signature of 64 bytes': { mutate: (payload) => (payload.signature = payload.signature.slice(0, -2)) },
    'a signature of 66 bytes': { mutate: (payload) => (payload.signature += '00') },
    'a signature of zeros': { mutate: (payload) => (payload.signature = `0x${'00'.repeat(65)}`) },
    'a recovery id that does not exist': { mutate: (payload) => (payload.signature = `${payload.signature.slice(0, -2)}1d`) },
  };
  for (const [name, { change = {}, mutate }] of Object.entries(rows)) {
    test(name, () => {
      const honest = { to: world.seller.address, value: '15000' };
      const after = change.mend ? { [change.mend]: honest[change.mend] } : change.after;
      return refused(reason, { change: { ...change, after }, mutate });
    });
  }
});

describe('an authorization over something else', () => {
  const recipient = 'invalid_exact_evm_payload_recipient_mismatch';
  const value = 'invalid_exact_evm_payload_authorization_value_mismatch';
  test('it pays somebody else', () => refused(recipient, { change: { authorization: { to: STRANGER } } }));
  for (const amount of ['0', '14999', '15001', '15000000000', String(2n ** 256n - 1n)]) {
    test(`it is over ${amount} instead of 15000`, () => refused(value, { change: { authorization: { value: amount } } }));
  }
  test('the seller pays itself', () => refused('invalid_exact_evm_payload_payer', { privateKey: world.seller.privateKey }));
  test('nobody pays', () => refused('invalid_exact_evm_payload_payer', { change: { after: { from: `0x${'00'.repeat(20)}` } } }));
});

describe('an authorization out of its time', () => {
  const late = 'invalid_exact_evm_payload_authorization_valid_before';
  const early = 'invalid_exact_evm_payload_authorization_valid_after';
  test('expired', () => refused(late, { change: { authorization: { validBefore: inSeconds(-1) } } }));
  test('expired since 1970', () => refused(late, { change: { authorization: { validBefore: '0' } } }));
  test('expiring within five seconds, too soon to be included', () => refused(late, { change: { authorization: { validBefore: inSeconds(5) } } }));
  test('valid from tomorrow on', () => refused(early, { change: { authorization: { validAfter: inSeconds(86_400), validBefore: inSeconds(90_000) } } }));
  test('valid in a minute', () => refused(early, { change: { authorization: { validAfter: inSeconds(60) } } }));
});

describe('an authorization that the chain would refuse', () => {
  const used = 'invalid_exact_evm_nonce_already_used';
  const spendOutside = async (privateKey) => {
    const { required } = await access(world.url, { planId: 'basic' });
    const { signature, authorization } = (await signPayment(privateKey, required)).payload;
    const { from, to, value, validAfter, validBefore, nonce } = authorization;
    const args = [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, signature];
    await world.chain.transact({ to: USDC_ADDRESS, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transferWithAuthorization', args }) });
    return authorization;
  };
  const cancel = async (privateKey) => {
    const account = privateKeyToAccount(privateKey);
    const nonce = freshNonce();
    const signature = await account.signTypedData({
      domain: { name: 'USDC', version: '2', chainId: CHAIN_ID, verifyingContract: USDC_ADDRESS },
      types: { CancelAuthorization: [{ name: 'authorizer', type: 'address' }, { name: 'nonce', type: 'bytes32' }] },
      primaryType: 'CancelAuthorization',
      message: { authorizer: account.address, nonce },
    });
    await world.chain.transact({ to: USDC_ADDRESS, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'cancelAuthorization', args: [account.address, nonce, signature] }) });
    return nonce;
  };

  test('its nonce was used on chain, outside the gateway', async () => {
    const { nonce, validAfter, validBefore } = await spendOutside(buyer.privateKey);
    const before = await income(world);
    const authorization = await refused(used, { change: { authorization: { nonce, validAfter, validBefore } } });
    assert.equal(await isUsed(world, authorization), true);
    assert.equal((await income(world)).length, before.length);
  });
  test('it was cancelled on chain', async () => {
    const nonce = await cancel(buyer.privateKey);
    await refused(used, { change: { authorization: { nonce } } });
  });
  test('the payer has nothing', async () => refused('insufficient_funds', { privateKey: (await world.newBuyer(0n)).privateKey }));
  test('the payer lacks one millionth of a dollar', async () => refused('insufficient_funds', { privateKey: (await world.newBuyer(14_999n)).privateKey }));
  test('the payer’s account is blocked by the token', async () => {
    const blocked = await world.newBuyer();
    await world.chain.blacklist(blocked.address);
    await refused('invalid_exact_evm_transaction_simulation_failed', { privateKey: blocked.privateKey });
  });
});

test('after all of this no object holds anything', () => {
  assert.deepEqual(stored(world), {});
  assert.deepEqual(leftOver(world, 'PayerObject'), []);
  assert.equal(world.rpc.callsOf('eth_sendRawTransaction').length, 0);
});
