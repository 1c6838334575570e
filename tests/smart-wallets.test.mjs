// Payers that are contracts.
//
//  1. A contract wallet buys, with signatures of any length; an account that has delegated itself (EIP-7702) buys.
//  2. What the wallet does not accept is refused: nothing stored, nothing sent. For an account with code the key alone is not
//     enough.
//  3. Its grant is shown again to who signs for the wallet, and to nobody else.
//  4. A wallet that burns gas burns a bounded amount, three times; then it must wait.
//  5. A wallet that does not exist yet is created in the transaction that pays, if the seller lists its factory.
//  6. The call of a foreign factory is never made, not even to see what it would do.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { MULTICALL3_ADDRESS, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { broadcasts, income, isUsed, receiptOf, stored } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { assertRefused } from './support/refusal.mjs';
import { delegated, futureWallet, newWallet, signFrom, wrapped } from './support/smart-wallets.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, encodeHeader } from './support/x402.mjs';

const PRICE = 15_000n;
const MAX_GAS = 400_000n;
const BAD_SIGNATURE = { status: 402, code: 'PAYMENT_FAILED', reason: 'invalid_exact_evm_payload_signature' };
let factory;
let trap;
const world = useWorld({ backend: false }, async (ready) => {
  factory = await ready.chain.deploy('WalletFactory');
  trap = await ready.chain.deploy('TrapFactory');
  await ready.restartWorker({ KEY0_WALLET_FACTORIES: factory });
});
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from.toLowerCase() === address.toLowerCase());
const codeOf = ({ address }) => world.chain.client.getCode({ address });

/** Pays, and proves that it cost the wallet the price once. */
async function buys(wallet, form, body = order()) {
  const payment = await signFrom(world.url, wallet, body, form);
  const answer = await access(world.url, body, { payment });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.settled.payer.toLowerCase(), wallet.address.toLowerCase());
  const paid = await paidBy(wallet);
  assert.equal(paid.at(-1).value, PRICE);
  assert.equal(paid.at(-1).hash, answer.body.txHash);
  return { paid, order: body };
}

async function refused(wallet, expected = BAD_SIGNATURE, form) {
  const body = order();
  const payment = await signFrom(world.url, wallet, body, form);
  await assertRefused(world, () => access(world.url, body, { payment }), expected);
  assert.equal(await isUsed(world, payment.payload.authorization), false);
  return payment;
}

describe('a contract wallet', () => {
  for (const [name, form] of [
    ['with its owner’s 65 bytes', undefined],
    ['with 66 bytes', (signature) => `${signature}00`],
    ['with a long signature', (signature) => `${signature}${'ab'.repeat(2000)}`],
  ]) {
    test(`${name} buys`, async () => assert.equal((await buys(await newWallet(world), form)).paid.length, 1));
  }

  test('buys through version 1', async () => {
    const wallet = await newWallet(world);
    const body = order();
    const payment = await signFrom(world.url, wallet, body);
    const answer = await access(world.url, body, { headers: { 'x-payment': encodeHeader(asVersion1(payment)) } });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await paidBy(wallet)).length, 1);
  });

  test('does not pay with a stranger’s signature', async () => {
    const [wallet, stranger] = [await newWallet(world), await newWallet(world)];
    await refused({ ...wallet, owner: stranger.owner });
  });
  for (const [name, form] of [
    ['nothing', () => '0x'],
    ['64 bytes', (signature) => signature.slice(0, -2)],
    ['5,000 bytes', (signature) => `${signature}${'ab'.repeat(4935)}`],
    ['the ERC-6492 suffix and nothing else', () => `0x${'6492'.repeat(16)}`],
    ['an ERC-6492 signature cut short', (signature) => wrapped(trap, '0xdeadbeef', signature).replace('0x', '0x00')],
  ]) {
    test(`does not pay with ${name}`, async () => refused(await newWallet(world), BAD_SIGNATURE, form));
  }
  test('that has too little money is told so', async () => {
    const { owner } = await newWallet(world);
    const poor = { address: await world.chain.deploy('ContractWallet', [owner.address]), owner };
    await refused(poor, { status: 402, code: 'PAYMENT_FAILED', reason: 'insufficient_funds' });
  });

  test('gets its grant again for a fresh signature, and a stranger does not', async () => {
    const [wallet, stranger] = [await newWallet(world), await newWallet(world)];
    const bought = await buys(wallet);
    const fresh = await signFrom(world.url, wallet, bought.order);
    const again = await access(world.url, bought.order, { payment: fresh });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.body.txHash, bought.paid[0].hash);
    assert.equal(await isUsed(world, fresh.payload.authorization), false);
    const theirs = await signFrom(world.url, { ...wallet, owner: stranger.owner }, bought.order);
    const nothing = await access(world.url, bought.order, { payment: theirs });
    assert.equal(nothing.status, 402, nothing.text);
    assert.doesNotMatch(nothing.text, /accessToken|eyJ/);
    assert.equal((await paidBy(wallet)).length, 1);
  });

  test('that cannot be asked is not believed, and not charged', async () => {
    const wallet = await newWallet(world);
    const body = order();
    const payment = await signFrom(world.url, wallet, body);
    const down = world.rpc.on('eth_call', { kind: 'status', status: 503 });
    const unknown = await access(world.url, body, { payment });
    down.end();
    assert.equal(unknown.status, 502, unknown.text);
    assert.equal(unknown.body.code, 'ADAPTER_ERROR');
    assert.equal((await access(world.url, body, { payment })).status, 200);
    assert.equal((await paidBy(wallet)).length, 1);
  });
});

describe('a wallet that wants our gas', () => {
  test('is refused when it burns it at once, and was given a bounded amount', async () => {
    world.rpc.forget();
    await refused(await newWallet(world, 'BurningWallet', []));
    for (const { params } of world.rpc.callsOf('eth_call').filter(({ params }) => params[0].data?.startsWith('0x1626ba7e'))) {
      assert.ok(BigInt(params[0].gas) <= MAX_GAS, params[0].gas);
    }
  });
  test('is charged nothing and costs a bounded amount when it burns it in the transaction only', async () => {
    const wallet = await newWallet(world, 'FickleWallet', []);
    const body = order();
    const answer = await access(world.url, body, { payment: await signFrom(world.url, wallet, body) });
    assert.equal(answer.status, 402, answer.text);
    assert.equal(answer.body.details.reason, 'invalid_exact_evm_transaction_failed');
    const receipt = await receiptOf(world, answer.settled.transaction);
    assert.equal(receipt.status, 'reverted');
    assert.ok(receipt.gasUsed <= MAX_GAS + MAX_GAS / 4n + 10_000n, `${receipt.gasUsed}`);
    assert.deepEqual(await paidBy(wallet), []);
  });
  test('must wait after the third such transaction, and nothing is sent for it', async () => {
    const wallet = await newWallet(world, 'FickleWallet', []);
    const pay = async () => {
      const body = order();
      return access(world.url, body, { payment: await signFrom(world.url, wallet, body) });
    };
    const counted = (number) => () => stored(world).PayerObject.standing?.some(({ reverts }) => Number(reverts) === number);
    for (const number of [1, 2, 3]) {
      const answer = await pay();
      assert.equal(answer.status, 402, answer.text);
      await poll(counted(number), `transaction ${number} in the payer's book`);
    }
    const sent = await broadcasts(world);
    const answer = await pay();
    assert.equal(answer.status, 429, answer.text);
    assert.equal(answer.body.code, 'RATE_LIMITED');
    assert.equal(answer.settled.errorReason, 'too_many_reverts');
    assert.ok(Number(answer.headers.get('retry-after')) > 3_000);
    assert.equal(answer.required, undefined);
    assert.equal(await broadcasts(world), sent);
  });
});

describe('an account that has delegated itself (EIP-7702)', () => {
  const behindOne = (signature) => `0x01${signature.slice(2)}`;
  test('has the code that says so', async () => assert.match(await codeOf(await delegated(world, false)), /^0xef0100/));
  test('buys with its key’s signature when its code accepts that', async () => buys(await delegated(world, false)));
  test('buys with what its code wants', async () => buys(await delegated(world, true), behindOne));
  test('does not buy with its key’s signature alone when its code refuses that', async () => refused(await delegated(world, true)));
  test('does not buy with a form that its code does not know', async () => refused(await delegated(world, false), BAD_SIGNATURE, behindOne));
});

describe('a wallet that does not exist yet', () => {
  const form = ({ factory: by, call }) => (signature) => wrapped(by, call, signature);

  test('is created in the transaction that pays, by a factory that the seller lists; afterwards it pays as any other', async () => {
    const wallet = await futureWallet(world, factory);
    assert.equal(await codeOf(wallet), undefined);
    const sent = await broadcasts(world);
    const [{ hash: first }] = (await buys(wallet, form(wallet))).paid;
    assert.equal(await broadcasts(world), sent + 1);
    assert.notEqual(await codeOf(wallet), undefined);
    assert.equal((await receiptOf(world, first)).to.toLowerCase(), MULTICALL3_ADDRESS.toLowerCase());
    // Whether it still wraps its signature or not.
    await buys(wallet, form(wallet));
    await buys(wallet);
    const hashes = (await paidBy(wallet)).slice(1).map(({ hash }) => hash);
    assert.equal(hashes.length, 2);
    for (const hash of hashes) assert.equal((await receiptOf(world, hash)).to.toLowerCase(), USDC_ADDRESS.toLowerCase());
  });

  test('gets its grant again, and the same payment twice at once is one purchase', async () => {
    const wallet = await futureWallet(world, factory);
    const body = order();
    const payment = await signFrom(world.url, wallet, body, form(wallet));
    const answers = await Promise.all([1, 2, 3].map(() => access(world.url, body, { payment })));
    assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200], answers.map(({ text }) => text).join('\n'));
    assert.equal((await paidBy(wallet)).length, 1);
  });

  test('that somebody else creates between check and transaction is paid from all the same', async () => {
    const wallet = await futureWallet(world, factory);
    const body = order();
    const payment = await signFrom(world.url, wallet, body, form(wallet));
    const held = world.rpc.on('eth_sendRawTransaction', { kind: 'hang' }, 1);
    const answer = access(world.url, body, { payment });
    await poll(() => held.calls.length > 0, 'the broadcast');
    await world.chain.transact({ to: factory, data: wallet.call });
    held.end();
    assert.equal((await answer).status, 200);
    assert.equal((await paidBy(wallet)).length, 1);
  });

  test('is refused with another owner’s signature', async () => {
    const [wallet, stranger] = [await futureWallet(world, factory), await newWallet(world)];
    await refused({ ...wallet, owner: stranger.owner }, BAD_SIGNATURE, form(wallet));
    assert.equal(await codeOf(wallet), undefined);
  });

  test('is refused when the call creates another wallet', async () => {
    const [wallet, other] = [await futureWallet(world, factory), await futureWallet(world, factory)];
    const reason = 'smart_wallet_deployment_failed';
    await refused(wallet, { status: 402, code: 'PAYMENT_FAILED', reason }, form({ ...wallet, call: other.call }));
    await refused(wallet, { status: 402, code: 'PAYMENT_FAILED', reason }, form({ ...wallet, call: '0xdeadbeef' }));
    for (const each of [wallet, other]) assert.equal(await codeOf(each), undefined);
  });
});

describe('a factory that the seller does not list', () => {
  const MARK = '5ca1ab1edeadbeef';
  const touched = () => world.chain.client.readContract({ address: trap, abi: [{ type: 'function', name: 'calls', inputs: [], outputs: [{ type: 'uint256' }], stateMutability: 'view' }], functionName: 'calls' });
  const lured = (signature) => wrapped(trap, `0x${MARK}`, signature);
  /** No call of any kind has carried the factory's words, and the factory has seen none. */
  const untouched = async () => {
    assert.equal(await touched(), 0n);
    const carrying = world.rpc.calls.filter(({ params }) => JSON.stringify(params).includes(MARK) || params[0]?.to?.toLowerCase() === trap.toLowerCase());
    assert.deepEqual(carrying, []);
  };

  test('is never called for a wallet that does not exist: eip6492_factory_not_allowed', async () => {
    const wallet = await futureWallet(world, factory);
    await refused(wallet, { status: 402, code: 'PAYMENT_FAILED', reason: 'eip6492_factory_not_allowed' }, lured);
    await untouched();
  });
  test('is never called for a wallet that exists, which pays with the signature inside', async () => {
    const wallet = await newWallet(world);
    await buys(wallet, lured);
    await untouched();
  });
  test('is never called for an ordinary account', async () => {
    const buyer = await world.newBuyer();
    await refused({ ...buyer, owner: buyer }, { status: 402, code: 'PAYMENT_FAILED', reason: 'eip6492_factory_not_allowed' }, lured);
    await untouched();
  });
  test('is any factory, unless the seller lists some', async () => {
    await world.restartWorker({ KEY0_WALLET_FACTORIES: '' });
    const wallet = await futureWallet(world, factory);
    await refused(wallet, { status: 402, code: 'PAYMENT_FAILED', reason: 'eip6492_factory_not_allowed' }, (signature) => wrapped(factory, wallet.call, signature));
    assert.equal(await codeOf(wallet), undefined);
  });
});
