// Promises: the USDC stand-in accepts and refuses what the real token does, in its words. If this file fails, no
// other black-box test says anything about real money.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { NETWORKS, startChain } from '../tools/lib/chain.mjs';
import { testAccount } from '../tools/lib/world.mjs';
import { freshNonce, signCancellation, signPayment } from './support/x402.mjs';

const GOLDEN_KEY = `0x${'0'.repeat(63)}1`;
const GOLDEN_PAYER = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf';
const GOLDEN_SELLER = '0x209693Bc6afc0C5328bA36FaF03C514EF312287C';
const GOLDEN_SIGNATURE =
  '0xde9059771001546f981e69c29e11a7f1c536828e3749076c58418afa6f3f19ac3d9f16f45a90ccb3e0d9e059c976e50828219a550d9d2339aee12287740bc01f1b';
const CURVE_ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const PRICE = 10_000n;

/** @type {import('../tools/lib/chain.mjs').Chain} */
let chain;
const seller = testAccount().address;
const stranger = testAccount().address;

before(async () => {
  chain = await startChain();
  await chain.mint(GOLDEN_PAYER, PRICE);
});
after(() => chain?.stop());

const offer = () => ({
  accepts: [{ network: chain.network, payTo: seller, amount: String(PRICE), asset: chain.usdc.address, maxTimeoutSeconds: 300, extra: { name: 'USDC', version: '2' } }],
});

/** A funded payer's authorization. */
async function authorize(change = {}, payer = testAccount()) {
  await chain.mint(payer.address, PRICE);
  const { payload } = await signPayment(payer.privateKey, offer(), change);
  return payload;
}

/** @param {'bytes' | 'parts'} form which overload */
function args({ authorization: a, signature }, form = 'bytes') {
  const parts = [Number(`0x${signature.slice(130, 132)}`), signature.slice(0, 66), `0x${signature.slice(66, 130)}`];
  return [a.from, a.to, BigInt(a.value), BigInt(a.validAfter), BigInt(a.validBefore), a.nonce, ...(form === 'bytes' ? [signature] : parts)];
}

const call = (functionName, values, account = stranger) => chain.client.simulateContract({ ...chain.usdc, functionName, args: values, account });
const transfer = (payload, form) => call('transferWithAuthorization', args(payload, form));

async function refused(attempt, words) {
  await assert.rejects(attempt, (error) => {
    assert.match(String(error.shortMessage), new RegExp(words.replace(/[()']/g, '\\$&')));
    return true;
  });
}

/** Really sends it. @returns the receipt */
async function settle(payload, form) {
  const [account] = await chain.client.getAddresses();
  const hash = await chain.client.writeContract({ ...chain.usdc, functionName: 'transferWithAuthorization', args: args(payload, form), account });
  return chain.client.waitForTransactionReceipt({ hash });
}

async function introduces(itself, { domainSeparator, usdcName }) {
  const read = (functionName) => itself.client.readContract({ ...itself.usdc, functionName });
  assert.equal(await read('DOMAIN_SEPARATOR'), domainSeparator);
  assert.deepEqual([await read('name'), await read('symbol'), await read('version'), await read('decimals')], [usdcName, 'USDC', '2', 6]);
}

test('it introduces itself as USDC on Base Sepolia does', () => introduces(chain, NETWORKS.testnet));

test('on a chain that looks like Base, as USDC on Base does', async () => {
  const base = await startChain({ network: 'mainnet' });
  try {
    await introduces(base, NETWORKS.mainnet);
  } finally {
    await base.stop();
  }
});

test('the golden signature moves the money', async () => {
  const authorization = { from: GOLDEN_PAYER, to: GOLDEN_SELLER, value: PRICE, validAfter: 0n, validBefore: 1_900_000_000n, nonce: `0x${'11'.repeat(32)}` };
  const { payload } = await signPayment(GOLDEN_KEY, offer(), { authorization });
  assert.equal(payload.signature, GOLDEN_SIGNATURE);
  await settle(payload);
  assert.equal(await chain.usdcBalance(GOLDEN_SELLER), PRICE);
});

for (const form of ['bytes', 'parts']) {
  test(`a settled authorization logs its use and then the transfer, and works only once (signature as ${form})`, async () => {
    const payload = await authorize();
    const { logs } = await settle(payload, form);
    assert.deepEqual(
      logs.map(({ topics }) => topics[0]),
      ['0x98de503528ee59b575ef0c0a2576a82497bfc029a5685b209e9ec333479b10a5', '0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef'],
    );
    const { from, nonce } = payload.authorization;
    assert.equal(await chain.client.readContract({ ...chain.usdc, functionName: 'authorizationState', args: [from, nonce] }), true);
    await refused(transfer(payload, form), 'FiatTokenV2: authorization is used or canceled');
  });
}

test('time limits are those of the block', async () => {
  const now = Math.floor(Date.now() / 1000);
  await refused(transfer(await authorize({ authorization: { validBefore: String(now - 1) } })), 'FiatTokenV2: authorization is expired');
  await refused(transfer(await authorize({ authorization: { validAfter: String(now + 900) } })), 'FiatTokenV2: authorization is not yet valid');
});

test('a signature fits one message and one form only', async () => {
  await refused(transfer(await authorize({ after: { to: stranger } })), 'FiatTokenV2: invalid signature');
  await refused(transfer(await authorize({ domain: { name: 'USD Coin' } })), 'FiatTokenV2: invalid signature');
  const payload = await authorize();
  await refused(transfer({ ...payload, signature: payload.signature.slice(0, -2) }), 'ECRecover: invalid signature length');
  const [r, s, v] = [payload.signature.slice(2, 66), BigInt(`0x${payload.signature.slice(66, 130)}`), payload.signature.slice(130)];
  const mirrored = `0x${r}${(CURVE_ORDER - s).toString(16).padStart(64, '0')}${v === '1b' ? '1c' : '1b'}`;
  await refused(transfer({ ...payload, signature: mirrored }), "ECRecover: invalid signature 's' value");
  await refused(transfer({ ...payload, signature: `0x${payload.signature.slice(2, 130)}05` }), "ECRecover: invalid signature 'v' value");
});

test('nobody pays more than they have, and a blocked account pays nothing', async () => {
  await refused(transfer(await authorize({ authorization: { value: String(PRICE * 2n) } })), 'ERC20: transfer amount exceeds balance');
  const payload = await authorize();
  await chain.blacklist(payload.authorization.from);
  await refused(transfer(payload), 'Blacklistable: account is blacklisted');
});

test('a contract wallet signs through EIP-1271', async () => {
  const owner = testAccount();
  const wallet = await chain.deploy('ContractWallet', [owner.address]);
  await chain.mint(wallet, PRICE);
  const { payload } = await signPayment(owner.privateKey, offer(), { authorization: { from: wallet } });
  assert.equal((await settle({ ...payload, signature: `${payload.signature}aabb` })).status, 'success');
  const foreign = await signPayment(testAccount().privateKey, offer(), { authorization: { from: wallet } });
  await refused(transfer(foreign.payload), 'FiatTokenV2: invalid signature');
});

test('a cancelled authorization cannot be used, and only its author can cancel', async () => {
  const payer = testAccount();
  const nonce = freshNonce();
  const signature = await signCancellation(payer.privateKey, nonce);
  await refused(call('cancelAuthorization', [stranger, nonce, signature]), 'FiatTokenV2: invalid signature');
  const [account] = await chain.client.getAddresses();
  const hash = await chain.client.writeContract({ ...chain.usdc, functionName: 'cancelAuthorization', args: [payer.address, nonce, signature], account });
  await chain.client.waitForTransactionReceipt({ hash });
  await refused(transfer(await authorize({ authorization: { nonce } }, payer)), 'FiatTokenV2: authorization is used or canceled');
});

test('receiving is for the payee', async () => {
  await refused(call('receiveWithAuthorization', args(await authorize())), 'FiatTokenV2: caller must be the payee');
});
