// On Base itself: the settings of a mainnet deployment, against a local chain that looks like Base.
//
//  1. Discovery, agent card and offer say Base, its USDC, and the token's own name there: "USD Coin", not "USDC".
//  2. The published client buys; the money arrives; the token is good.
//  3. A signature made with the test network's name for the token is refused before anything is sent.
//  4. A payment for the test network is no payment here.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { NETWORK, NETWORKS } from '../tools/lib/chain.mjs';
import { broadcasts, income } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, decodeHeader, payingFetch } from './support/x402.mjs';

const BASE = NETWORKS.mainnet;
const world = useWorld({ network: 'mainnet' });
const json = async (path, init) => (await fetch(world.url + path, init)).json();
const post = (body) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

test('everything that is published says Base, and calls its USDC "USD Coin"', async () => {
  const discover = await json('/discover');
  assert.equal(discover.network, 'mainnet');
  assert.equal(discover.chainId, 8453);
  assert.equal(discover.assetAddress, BASE.usdc);
  const card = JSON.stringify(await json('/.well-known/agent-card.json'));
  assert.ok(card.includes(BASE.caip2));
  assert.ok(!card.includes(NETWORK));
  const { required, body } = await access(world.url, { planId: 'basic', requestId: randomUUID() });
  for (const offer of required.accepts) {
    assert.equal(offer.network, BASE.caip2);
    assert.equal(offer.asset, BASE.usdc);
    assert.equal(offer.extra.name, 'USD Coin');
    assert.equal(offer.extra.version, '2');
  }
  assert.equal(body.chainId, 8453);
  const health = await json('/health');
  assert.deepEqual([health.status, health.network, health.rpc[0].status], ['ok', 'mainnet', 'ok']);
});

test('the published client buys, and the token opens the door', async () => {
  const buyer = await world.newBuyer();
  const pay = payingFetch(buyer.privateKey, fetch, BASE.caip2);
  const answer = await pay(`${world.url}/x402/access`, post({ planId: 'basic', requestId: randomUUID() }));
  const grant = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(grant));
  assert.equal(decodeHeader(answer.headers.get('payment-response')).network, BASE.caip2);
  assert.ok(grant.explorerUrl.startsWith('https://basescan.org/tx/'));
  const mine = (await income(world)).filter(({ from }) => from === buyer.address);
  assert.deepEqual(mine.map(({ hash, value }) => ({ hash, value })), [{ hash: grant.txHash, value: 15_000n }]);
  const opened = await fetch(grant.resourceEndpoint, { headers: { authorization: `Bearer ${grant.accessToken}` } });
  assert.equal(opened.status, 200);
});

for (const [name, change, reason] of [
  ["the test network's name for the token", { domain: { name: 'USDC' } }, 'invalid_exact_evm_payload_signature'],
  ['the test network', { domain: { name: 'USDC', chainId: 84532, verifyingContract: NETWORKS.testnet.usdc }, accepted: { network: NETWORK } }, 'invalid_payment_requirements'],
]) {
  test(`a payment signed for ${name} is refused before anything is sent`, async () => {
    const buyer = await world.newBuyer();
    const before = await broadcasts(world);
    const answer = await buy(world.url, buyer.privateKey, { planId: 'basic', requestId: randomUUID() }, change);
    assert.equal(answer.status, 402, answer.text);
    assert.equal(answer.body.details.reason, reason);
    assert.equal(await broadcasts(world), before);
  });
}
