// The main job.
//
//  1. An agent that knows only the address reads the price list.
//  2. It asks for a plan without paying and learns the price: 402.
//  3. The published x402 client pays, with and without a requestId of its own.
//  4. The answer is a grant; PAYMENT-RESPONSE names the transaction; the chain shows exactly one transfer of the price.
//  5. The token opens the seller's backend. Without it, or with a changed one, the backend refuses.
//  6. The same paid request again, and a fresh signature of the same wallet, get the same grant and cost nothing.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { broadcasts, income, receiptOf } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, decodeAnswer, payingFetch, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const MEMBERS = ['accessToken', 'challengeId', 'expiresAt', 'explorerUrl', 'grant', 'planId', 'requestId', 'resourceEndpoint', 'resourceId', 'tokenType', 'txHash', 'type'];
const world = useWorld();

const post = (body) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

/** Buys with the published client and proves from the chain what that cost. */
async function pay(body) {
  const buyer = await world.newBuyer();
  const before = { received: await income(world), sent: await broadcasts(world) };
  const answer = await decodeAnswer(await payingFetch(buyer.privateKey)(`${world.url}/x402/access`, post(body)));
  assert.equal(answer.status, 200, answer.text);
  const transfers = (await income(world)).slice(before.received.length);
  assert.deepEqual(transfers.map(({ from, value }) => ({ from, value })), [{ from: buyer.address, value: PRICE }]);
  assert.equal(await broadcasts(world), before.sent + 1);
  assert.equal(await world.chain.usdcBalance(buyer.address), 1_000_000_000n - PRICE);
  return { buyer, transfer: transfers[0], ...answer };
}

function assertGrant({ body: grant, settled, headers, transfer, buyer }) {
  assert.deepEqual(Object.keys(grant).sort(), MEMBERS);
  for (const name of MEMBERS) assert.equal(typeof grant[name], 'string', name);
  assert.equal(grant.type, 'AccessGrant');
  assert.equal(grant.tokenType, 'Bearer');
  assert.equal(grant.planId, 'basic');
  assert.equal(grant.grant, grant.requestId);
  assert.equal(grant.txHash, transfer.hash);
  assert.equal(grant.explorerUrl, `https://sepolia.basescan.org/tx/${transfer.hash}`);
  assert.match(grant.expiresAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/);
  const seconds = (Date.parse(grant.expiresAt) - Date.now()) / 1000;
  assert.ok(seconds > 3500 && seconds <= 3600, `expires in ${seconds} s`);
  assert.deepEqual(settled, { success: true, transaction: transfer.hash, network: NETWORK, payer: buyer.address });
  assert.match(headers.get('cache-control'), /private/);
  assert.match(headers.get('cache-control'), /no-store/);
  assert.equal(headers.get('payment-required'), null);

  const claims = claimsOf(grant.accessToken);
  const { iat, ...rest } = claims;
  assert.deepEqual(rest, {
    sub: grant.requestId,
    jti: grant.challengeId,
    resourceId: grant.resourceId,
    planId: 'basic',
    txHash: transfer.hash,
    iss: world.url,
    payer: buyer.address,
    chainId: 84532,
    grant: claims.sub,
    limits: { rate: { calls: 10, per: 'minute' }, concurrency: 2 },
    exp: iat + 3600,
  });
  assert.equal(new Date(claims.exp * 1000).getTime(), Date.parse(grant.expiresAt));
}

test('an agent that knows only the address finds plans, prices and what to do next', async () => {
  const catalog = await (await fetch(`${world.url}/discover`)).json();
  assert.equal(catalog.chainId, 84532);
  assert.equal(catalog.walletAddress.toLowerCase(), world.seller.address.toLowerCase());
  assert.equal(catalog.assetAddress.toLowerCase(), USDC_ADDRESS.toLowerCase());
  assert.deepEqual(
    catalog.plans.map(({ planId, unitAmount }) => [planId, unitAmount]),
    [['basic', '$0.015'], ['starter-monthly', '$15.00'], ['starter-yearly', '$168.00'], ['pro-monthly', '$150.00']],
  );
  assert.equal(catalog.nextStep.url, `${world.url}/x402/access`);
});

test('asking for a plan without paying states the price, and the same question in the same window gets the same offer', async () => {
  const body = { planId: 'basic', requestId: randomUUID() };
  const answer = await access(world.url, body);
  assert.equal(answer.status, 402);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(answer.settled, undefined);
  const [offer, ...more] = answer.required.accepts;
  assert.deepEqual(more, []);
  assert.equal(answer.required.x402Version, 2);
  assert.equal(answer.required.resource.url, `${world.url}/x402/access`);
  const { extra, ...terms } = offer;
  assert.deepEqual(terms, { scheme: 'exact', network: NETWORK, amount: '15000', asset: USDC_ADDRESS, payTo: world.seller.address, maxTimeoutSeconds: 300 });
  const { challengeId, ...words } = extra;
  assert.deepEqual(words, { name: 'USDC', version: '2', paymentFlow: 'upfront', requestId: body.requestId, planId: 'basic', resourceId: 'default' });

  assert.equal(answer.body.type, 'X402Challenge');
  assert.equal(answer.body.amount, '$0.015');
  assert.equal(answer.body.requestId, body.requestId);
  assert.equal(answer.body.challengeId, challengeId);
  assert.equal(answer.body.destination, world.seller.address);
  assert.ok(Date.parse(answer.body.expiresAt) - Date.now() >= 900_000, answer.body.expiresAt);
  assert.equal(answer.body.nextStep.header, 'PAYMENT-SIGNATURE');

  const again = await access(world.url, body);
  // A window may end between the two questions; within one the offers are equal.
  if (again.body.expiresAt === answer.body.expiresAt) assert.equal(again.body.challengeId, challengeId);
  assert.notEqual((await access(world.url, { planId: 'basic' })).body.requestId, body.requestId);
});

test('the published client buys with a requestId of its own', async () => {
  const requestId = randomUUID();
  const answer = await pay({ planId: 'basic', requestId });
  assertGrant(answer);
  assert.equal(answer.body.requestId, requestId);
  assert.equal(answer.body.resourceId, 'default');
});

test('the published client buys without a requestId, and for a resource that it names', async () => {
  const answer = await pay({ planId: 'basic', resourceId: 'photos/eu' });
  assertGrant(answer);
  assert.match(answer.body.requestId, /^[0-9a-f]{8}-/);
  assert.equal(answer.body.resourceId, 'photos/eu');
  assert.equal(answer.body.resourceEndpoint, `${world.backend.url}/api/photos%2Feu`);
});

test('the token opens the backend; no token or a changed one does not', async () => {
  const { body: grant } = await pay({ planId: 'basic' });
  const call = (authorization) => fetch(grant.resourceEndpoint, { headers: authorization ? { authorization } : {} });
  const opened = await call(`${grant.tokenType} ${grant.accessToken}`);
  assert.equal(opened.status, 200);
  assert.match((await opened.json()).message, /basic plan opens default/);

  const [head, claims, mac] = grant.accessToken.split('.');
  const richer = Buffer.from(JSON.stringify({ ...claimsOf(grant.accessToken), planId: 'pro-monthly' })).toString('base64url');
  const unsigned = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  const otherMac = (mac[0] === 'A' ? 'B' : 'A') + mac.slice(1);
  for (const token of [undefined, `${head}.${richer}.${mac}`, `${head}.${claims}.${otherMac}`, `${unsigned}.${claims}.`]) {
    const refused = await call(token && `Bearer ${token}`);
    assert.equal(refused.status, 401, token);
    assert.equal((await refused.json()).type, 'Error');
  }
  assert.equal((await fetch(`${world.backend.url}/api/other`, { headers: { authorization: `Bearer ${grant.accessToken}` } })).status, 403);
});

test('buying again with the same request id and payment returns the same grant, byte for byte, and moves no money', async () => {
  const { privateKey } = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const first = await buy(world.url, privateKey, body);
  assert.equal(first.status, 200, first.text);
  const money = { received: await income(world), sent: await broadcasts(world) };
  const again = await access(world.url, body, { payment: first.payment });
  assert.equal(again.status, 200);
  assert.equal(again.text, first.text);
  assert.deepEqual(again.settled, first.settled);
  assert.deepEqual({ received: await income(world), sent: await broadcasts(world) }, money);
});

test('a fresh signature of the same wallet under the same request id gets the same grant and is not charged', async () => {
  const { privateKey } = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const first = await buy(world.url, privateKey, body);
  const money = { received: await income(world), sent: await broadcasts(world) };
  const { required } = await access(world.url, body);
  const payment = await signPayment(privateKey, required);
  assert.notEqual(payment.payload.signature, first.payment.payload.signature);
  const again = await access(world.url, body, { payment });
  assert.equal(again.status, 200, again.text);
  assert.equal(again.text, first.text);
  assert.deepEqual({ received: await income(world), sent: await broadcasts(world) }, money);
  assert.equal((await receiptOf(world, first.body.txHash)).status, 'success');
});

test('a client that keeps nothing of the offer but the five terms buys too, and replaying its request costs nothing', async () => {
  const { privateKey } = await world.newBuyer();
  const { required } = await access(world.url, { planId: 'basic' });
  const payment = await signPayment(privateKey, required, { accepted: { extra: undefined, maxTimeoutSeconds: undefined } });
  const first = await access(world.url, { planId: 'basic' }, { payment });
  assert.equal(first.status, 200, first.text);
  const sent = await broadcasts(world);
  // All of that payment is public by now; tests/ownership.test.mjs shows how its buyer gets the grant again.
  assert.equal((await access(world.url, { planId: 'basic' }, { payment })).status, 409);
  assert.equal(await broadcasts(world), sent);
});
