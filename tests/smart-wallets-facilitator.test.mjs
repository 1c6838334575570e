// Contract wallets where a facilitator settles first and the gas wallet last.
//
//  1. A contract wallet buys. The facilitator is given the wallet's own signature and sends the transfer.
//  2. A wallet that does not exist yet buys: the facilitator is not asked, for it would have to make a stranger's call; the gas
//     wallet creates the wallet and takes the payment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { broadcasts, income } from './support/facts.mjs';
import { futureWallet, newWallet, signFrom, wrapped } from './support/smart-wallets.mjs';
import { useWorld } from './support/world.mjs';
import { access } from './support/x402.mjs';

const PRICE = 15_000n;
const facilitator = await startFacilitator();
after(() => facilitator.stop());
let factory;
const world = useWorld({ backend: false, vars: settledBy(facilitator) }, async (ready) => {
  await facilitator.connect(ready.chain);
  factory = await ready.chain.deploy('WalletFactory');
  await ready.restartWorker({ USE_GAS_WALLET: 'true', GAS_WALLET_PRIVATE_KEY: ready.gasWallet.privateKey, KEY0_WALLET_FACTORIES: factory });
});

/** Buys, and tells how many transactions the gas wallet has sent for that. */
async function buy(wallet, form) {
  const body = { planId: 'basic', requestId: randomUUID() };
  const payment = await signFrom(world.url, wallet, body, form);
  const sent = await broadcasts(world);
  const answer = await access(world.url, body, { payment });
  assert.equal(answer.status, 200, answer.text);
  const paid = (await income(world)).filter(({ from }) => from.toLowerCase() === wallet.address.toLowerCase());
  assert.deepEqual(paid.map(({ value, hash }) => [value, hash]), [[PRICE, answer.body.txHash]]);
  return { payment, ours: (await broadcasts(world)) - sent, from: (await world.chain.client.getTransaction({ hash: paid[0].hash })).from };
}
const asked = ({ payload: { authorization } }) =>
  facilitator.calls.filter(({ body }) => body?.paymentPayload?.payload.authorization.nonce === authorization.nonce).map(({ action, body }) => [action, body.paymentPayload.payload.signature]);

test('a contract wallet buys through the facilitator, which is given its own signature', async () => {
  const wallet = await newWallet(world);
  const { payment, ours, from } = await buy(wallet);
  assert.equal(ours, 0);
  assert.equal(from.toLowerCase(), facilitator.address.toLowerCase());
  assert.deepEqual(asked(payment), [['verify', payment.payload.signature], ['settle', payment.payload.signature]]);
});

test('a wallet that does not exist yet buys through the gas wallet, and the facilitator is not asked', async () => {
  const wallet = await futureWallet(world, factory);
  const { payment, ours, from } = await buy(wallet, (signature) => wrapped(factory, wallet.call, signature));
  assert.equal(ours, 1);
  assert.equal(from.toLowerCase(), world.gasWallet.address.toLowerCase());
  assert.deepEqual(asked(payment), []);
});
