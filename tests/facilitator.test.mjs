// A facilitator settles, and there is no gas wallet: the default.
//
//  1. The published client buys. The facilitator's wallet sent the one transfer; ours sent nothing.
//  2. What the facilitator was asked is ours in every member, and names neither the request nor the challenge.
//  3. What it refuses to settle is refused with its reason, in our words. Nothing is charged, the same payment is not tried
//     again by itself, and the new offer can be paid.
//  4. /health says who settles, and whether it can.
//  5. It moves within its site: it is followed, with method and body, and log and /health say where to. It sends elsewhere:
//     nobody asks there.
//  6. It refuses our key: buyers are told to come back; what it said is in the log, and in /health for the operator alone.
//  7. Many who ask for the health at once are answered by one look.
//  8. A purchase that cannot be delivered is refunded by the seller's own wallet.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, test } from 'node:test';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { broadcasts, income, receiptOf } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, decodeAnswer, payingFetch, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const facilitator = await startFacilitator();
const issuer = await startIssuer();
after(() => Promise.all([facilitator.stop(), issuer.stop()]));
const world = useWorld({ backend: false, vars: settledBy(facilitator) }, async ({ chain, seller }) => {
  await facilitator.connect(chain);
  await chain.fund(seller.address, '1');
});
afterEach(() => facilitator.clear());

const order = () => ({ planId: 'basic', requestId: randomUUID() });
const mine = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

test('the published client buys, and the facilitator sends the one transfer', async () => {
  const buyer = await world.newBuyer();
  const sent = await facilitator.broadcasts(world.chain);
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(order()) };
  const answer = await decodeAnswer(await payingFetch(buyer.privateKey)(`${world.url}/x402/access`, init));
  assert.equal(answer.status, 200, answer.text);
  const [transfer, ...more] = await mine(buyer);
  assert.deepEqual([transfer.value, more], [PRICE, []]);
  assert.deepEqual(answer.settled, { success: true, transaction: transfer.hash, network: NETWORK, payer: buyer.address });
  assert.equal(answer.body.txHash, transfer.hash);
  assert.equal(await facilitator.broadcasts(world.chain), sent + 1);
  assert.equal((await world.chain.client.getTransaction({ hash: transfer.hash })).from.toLowerCase(), facilitator.address.toLowerCase());
  assert.equal(await broadcasts(world), 0);
});

test('what the facilitator is asked is ours in every member, and names no purchase', async () => {
  const buyer = await world.newBuyer();
  const request = order();
  const { required } = await access(world.url, request);
  const change = { accepted: { ...required.accepts[0], maxTimeoutSeconds: 300, surprise: 'of the client' }, extra: { surprise: 'too' } };
  const payment = await signPayment(buyer.privateKey, required, change);
  payment.resource = { url: 'https://elsewhere.example' };
  payment.extensions = { surprise: {} };
  assert.equal((await access(world.url, request, { payment })).status, 200);
  const requirements = {
    scheme: 'exact',
    network: NETWORK,
    amount: '15000',
    asset: USDC_ADDRESS,
    payTo: world.seller.address,
    maxTimeoutSeconds: 300,
    extra: { name: 'USDC', version: '2', paymentFlow: 'upfront' },
  };
  const asked = ['verify', 'settle'].flatMap((action) => facilitator.callsOf(action, buyer.address));
  assert.deepEqual(asked.map(({ action }) => action), ['verify', 'settle']);
  for (const { body, headers } of asked) {
    const resource = { url: `${world.url}/x402/access` };
    assert.deepEqual(body, {
      x402Version: 2,
      paymentPayload: { x402Version: 2, accepted: requirements, payload: payment.payload, resource, extensions: { bazaar: required.extensions.bazaar } },
      paymentRequirements: requirements,
    });
    assert.equal(headers.authorization, undefined);
    for (const secret of [request.requestId, required.accepts[0].extra.challengeId]) assert.ok(!JSON.stringify(body).includes(secret));
  }
});

for (const [action, answer, reason] of [
  ['verify', { isValid: false, invalidReason: 'invalid_exact_evm_insufficient_balance' }, 'insufficient_funds'],
  ['verify', { isValid: false, invalidReason: 'unsupported_scheme' }, 'unexpected_settle_error'],
  ['settle', { success: false, errorReason: 'insufficient_funds', transaction: '', network: NETWORK }, 'insufficient_funds'],
  ['settle', { success: false, error_reason: 'invalid_signature', network: NETWORK }, 'invalid_exact_evm_payload_signature'],
]) {
  for (const status of [200, 400]) {
    test(`what ${action} declines with status ${status} and ${JSON.stringify(answer)} is refused, and another payment is good`, async () => {
      const buyer = await world.newBuyer();
      const request = order();
      facilitator.on(action, { kind: 'answer', status, body: answer });
      const refused = await buy(world.url, buyer.privateKey, request);
      assert.equal(refused.status, 402, refused.text);
      assert.equal(refused.body.code, 'PAYMENT_FAILED');
      assert.equal(refused.body.details.reason, reason);
      assert.deepEqual([refused.settled.success, refused.settled.errorReason], [false, reason]);
      assert.equal(facilitator.callsOf(action, buyer.address).length, 1);
      facilitator.clear();
      assert.deepEqual(await mine(buyer), []);
      // The offer that comes with the refusal is another purchase's.
      const payment = await signPayment(buyer.privateKey, (await access(world.url, { ...request, requestId: randomUUID() })).required);
      assert.equal((await access(world.url, { planId: 'basic' }, { payment })).status, 200);
      assert.equal((await mine(buyer)).length, 1);
    });
  }
}

test('a payment that was declined is good when it is sent again and the facilitator has changed its mind', async () => {
  const buyer = await world.newBuyer();
  const request = order();
  facilitator.on('verify', { kind: 'answer', body: { isValid: false, invalidReason: 'invalid_transaction_state' } });
  const refused = await buy(world.url, buyer.privateKey, request);
  assert.equal(refused.status, 402, refused.text);
  facilitator.clear();
  const again = await access(world.url, request, { payment: refused.payment });
  assert.equal(again.status, 200, again.text);
  assert.deepEqual((await mine(buyer)).map(({ hash }) => hash), [again.body.txHash]);
});

test('/health says who settles and whether it can', async () => {
  const health = async (vars) => {
    await world.restartWorker(vars);
    return (await fetch(`${world.url}/health`)).json();
  };
  const good = await health();
  assert.equal(good.status, 'ok');
  assert.deepEqual(good.settlement, [{ facilitator: '127.0.0.1', status: 'ok' }]);
  assert.equal(good.gasWallet, undefined);
  assert.equal(good.refundWallet.address, world.seller.address);
  facilitator.on('supported', { kind: 'answer', body: { kinds: [{ x402Version: 2, scheme: 'exact', network: 'eip155:8453' }] } });
  const wrong = await health();
  assert.deepEqual([wrong.status, wrong.settlement[0].status], ['degraded', 'does not support this network']);
  facilitator.on('supported', { kind: 'cut' });
  const gone = await health();
  assert.deepEqual([gone.status, gone.settlement[0].status], ['degraded', 'unknown']);
  facilitator.clear();
  const both = await health({ USE_GAS_WALLET: 'true', GAS_WALLET_PRIVATE_KEY: world.gasWallet.privateKey });
  assert.deepEqual(both.settlement, [{ facilitator: '127.0.0.1', status: 'ok' }, { gasWallet: both.gasWallet }]);
  assert.equal(both.gasWallet.address, world.gasWallet.address);
  await world.restartWorker();
});

test('a facilitator that has moved within its site is followed, and one that sends elsewhere is not', async () => {
  const elsewhere = await startFacilitator();
  after(() => elsewhere.stop());
  for (const action of ['supported', 'verify', 'settle']) facilitator.on(action, { kind: 'move', to: `/facilitator/${action}` }, { times: 1 });
  await world.restartWorker({ FACILITATOR_URL: facilitator.url.replace('/facilitator', '/old') });
  const health = async () => (await fetch(`${world.url}/health`)).json();
  assert.deepEqual((await health()).settlement, [{ facilitator: '127.0.0.1', status: 'ok', movedTo: '127.0.0.1' }]);
  const buyer = await world.newBuyer();
  const bought = await buy(world.url, buyer.privateKey, order());
  assert.equal(bought.status, 200, bought.text);
  assert.deepEqual(facilitator.callsOf(/./, buyer.address).map(({ action, path }) => [action, path.split('/')[1]]), [['verify', 'old'], ['verify', 'facilitator'], ['settle', 'old'], ['settle', 'facilitator']]);
  assert.ok(world.worker.logs.some((line) => line.includes('"facilitator_moved"')));
  for (const to of [elsewhere.url, facilitator.url.replace('127.0.0.1', 'localhost')]) {
    facilitator.on('verify', { kind: 'move', to: `${to}/verify` });
    const pending = await buy(world.url, (await world.newBuyer()).privateKey, order());
    assert.equal(pending.status, 503, pending.text);
  }
  assert.deepEqual(elsewhere.calls, []);
  await world.restartWorker();
});

test('a facilitator that refuses our key is told of to the operator in its own words, and to nobody else', async () => {
  await world.restartWorker();
  facilitator.on('verify', { kind: 'answer', status: 401, body: { errorType: 'unauthorized', errorMessage: 'The API key is unknown.\u0007' } });
  const pending = await buy(world.url, (await world.newBuyer()).privateKey, order());
  assert.deepEqual([pending.status, pending.body.code], [503, 'SETTLEMENT_PENDING'], pending.text);
  const said = 'status 401: The API key is unknown.';
  const health = async (headers) => (await (await fetch(`${world.url}/health`, { headers })).json()).settlement;
  assert.deepEqual(await health({}), [{ facilitator: '127.0.0.1', status: 'refuses our key' }]);
  assert.deepEqual(await health({ authorization: `Bearer ${world.adminSecret}` }), [{ facilitator: '127.0.0.1', status: 'refuses our key', fault: said }]);
  assert.ok(world.worker.logs.some((line) => line.includes('facilitator_unavailable') && line.includes(said)), world.worker.logs.join('\n'));
  assert.ok(!pending.text.includes('API key'));
  facilitator.clear();
  await world.restartWorker();
});

test('many who ask for the health at once are answered by one look', async () => {
  await world.restartWorker();
  // The launcher has asked already; what it heard is good for 15 seconds.
  const before = facilitator.callsOf('supported').length;
  await poll(async () => {
    await Promise.all(Array.from({ length: 20 }, () => fetch(`${world.url}/health`).then((answer) => answer.json())));
    return facilitator.callsOf('supported').length > before;
  }, 'a new look', 30_000);
  assert.equal(facilitator.callsOf('supported').length, before + 1);
});

test('a purchase that cannot be delivered is refunded by the seller’s own wallet, once', async () => {
  issuer.behave('fails');
  await world.restartWorker({ TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, REFUND_MIN_AGE_MS: '1000', REFUND_INTERVAL_MS: '500' });
  const buyer = await world.newBuyer();
  const request = order();
  const bought = await buy(world.url, buyer.privateKey, request);
  assert.equal(bought.status, 502, bought.text);
  const refunds = () => world.chain.transfers({ from: world.seller.address, to: buyer.address });
  await poll(async () => (await refunds()).length > 0, 'the refund', 30_000);
  const refunded = await poll(async () => {
    const answer = await access(world.url, request, { payment: bought.payment });
    return answer.body.details.state === 'REFUNDED' && answer;
  }, 'the end of the refund', 30_000);
  const [refund, ...more] = await refunds();
  assert.deepEqual([refund.args.value, more], [PRICE, []]);
  assert.equal(refunded.body.details.refundTransaction, refund.transactionHash);
  assert.equal((await receiptOf(world, refund.transactionHash)).from.toLowerCase(), world.seller.address.toLowerCase());
  assert.equal(await world.chain.usdcBalance(buyer.address), 1_000_000_000n);
  assert.equal(await broadcasts(world), 0);
  await world.restartWorker();
});
