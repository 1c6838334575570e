// On Base itself: the settings of a mainnet deployment, against a local chain that looks like Base.
//
//  1. Discovery, agent card and offer say Base, its USDC, and the token's own name there: "USD Coin", not "USDC".
//  2. The published client buys; the money arrives; the token is good.
//  3. A signature made with the test network's name for the token is refused before anything is sent.
//  4. A payment for the test network is no payment here.
//  5. A seller goes from the test network to Base with the same token secret. What was bought with test money opens nothing: not
//     the backend by its token, and not the worker by the same payment, a new one for the same request id, or the transfer
//     that paid. Nothing of it is told to the backend. Back on the test network it is answered as before.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { startBackend } from '../tools/lib/backend.mjs';
import { NETWORK, NETWORKS, startChain } from '../tools/lib/chain.mjs';
import { operator } from './support/admin.mjs';
import { broadcasts, income } from './support/facts.mjs';
import { newSender, offer, present, proofOf, transfer } from './support/transfer.mjs';
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

describe('what was bought with test money', () => {
  const seller = useWorld();

  test('opens nothing after the switch to Base, though the token secret is the same', async () => {
    const [buyer, sender] = [await seller.newBuyer(), await newSender(seller)];
    const request = { planId: 'basic', requestId: randomUUID() };
    const bought = await buy(seller.url, buyer.privateKey, request);
    assert.equal(bought.status, 200, bought.text);
    const offered = await offer(seller, { planId: 'basic', requestId: randomUUID() });
    const proof = await proofOf(offered, sender, await transfer(seller, sender));
    const shown = await present(seller, proof);
    assert.equal(shown.status, 200, shown.text);
    const claims = JSON.parse(Buffer.from(bought.body.accessToken.split('.')[1], 'base64url').toString());
    assert.equal(claims.chainId, 84532);

    const base = await startChain({ network: 'mainnet' });
    const backend = await startBackend({ secret: seller.tokenSecret, env: { KEY0_NETWORK: 'mainnet' } });
    try {
      await base.fund(seller.gasWallet.address, '1');
      await base.mint(buyer.address, 1_000_000n);
      await seller.restartWorker({ KEY0_NETWORK: 'mainnet', KEY0_RPC_URL: base.url });
      const info = await (await fetch(`${seller.url}/.well-known/token-info`)).json();
      assert.equal(info.chainId, 8453);
      assert.ok(info.claims.some(({ name }) => name === 'chainId'));

      const opened = await fetch(`${backend.url}/api/default`, { headers: { authorization: `Bearer ${bought.body.accessToken}` } });
      assert.equal(opened.status, 401);
      assert.match(await opened.text(), /test money/);
      const refused = [
        await access(seller.url, request, { payment: bought.payment }),
        await access(seller.url, request, { payment: { ...bought.payment, accepted: { ...bought.payment.accepted, extra: undefined } } }),
        // Signed anew, for Base, by the same wallet, for the same request: it would show the grant if it were of this network.
        await buy(seller.url, buyer.privateKey, request),
        await present(seller, proof),
      ];
      assert.deepEqual(refused.map(({ status }) => status), [404, 402, 409, 400], refused.map(({ text }) => text).join('\n'));
      assert.deepEqual([refused[2].body.code, refused[3].body.code], ['REQUEST_CONFLICT', 'CHAIN_MISMATCH']);
      for (const { text } of refused) assert.doesNotMatch(text, /eyJ/);
      const kept = await operator(seller, `/purchases/${request.requestId}`);
      assert.equal(kept.body.status, 'DELIVERED', 'the operator sees it all the same');

      await seller.restartWorker();
      assert.equal((await access(seller.url, request, { payment: bought.payment })).text, bought.text);
      assert.equal((await present(seller, proof)).body.accessToken, shown.body.accessToken);
    } finally {
      await backend.stop();
      await base.stop();
    }
  });
});
