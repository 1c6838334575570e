// A payment that arrived, while the node says for a moment that it did not.
//
//  1. A buyer pays; the money arrives; the node says that the transaction reverted and that the authorization is unused. The
//     buyer is told that the payment failed.
//  2. The node tells the truth again. The buyer, who knows no better, sends the same signed request once more.
//  3. The authorization is used, and it was used to pay for this very purchase: the buyer must get the grant, or be told to
//     come back, but never a new offer, which would invite a second payment.
//  4. Another purchase fails in the same way, and the operator calls it off. Minutes later the node tells the truth: nobody
//     asks, and the purchase is delivered.
//  5. The same, hundreds of blocks later, with a node that looks through ten blocks at once and keeps few states.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { command } from './support/admin.mjs';
import { income, statuses } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const world = useWorld({ backend: false });
/** The selector of authorizationState(address,bytes32). */
const AUTHORIZATION_STATE = '0xe94a0102';

/** Somebody pays and is told that the payment failed. */
async function payInVain() {
  const { privateKey, address } = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  const reverted = { status: '0x0', logs: [], logsBloom: `0x${'00'.repeat(256)}` };
  world.rpc.on('eth_getTransactionReceipt', { kind: 'alter', change: (receipt) => (receipt?.transactionHash ? { ...receipt, ...reverted } : receipt) });
  // A batch is altered as a whole.
  const isAuthorizationState = ([call]) => (call?.data ?? call?.input ?? '').startsWith(AUTHORIZATION_STATE);
  const unused = (result, params) => (isAuthorizationState(params) ? `0x${'00'.repeat(32)}` : result);
  world.rpc.on('eth_call', { kind: 'alter', change: unused, match: isAuthorizationState });
  const { payment, ...first } = await buy(world.url, privateKey, body);
  assert.equal(first.status, 402, first.text);
  assert.equal((await income(world)).filter(({ from }) => from === address).length, 1);
  return { body, payment };
}

test('the same payment again, once the node shows that it arrived, gets the grant and no new offer', async () => {
  const { body, payment } = await payInVain();
  world.rpc.clear();
  const again = await access(world.url, body, { payment });
  assert.ok([200, 503].includes(again.status), again.text);
  assert.equal(again.required, undefined, 'a new offer for what was paid already');
});

test('a payment that had failed and was called off is credited when it turns out to have arrived', async () => {
  const { body, payment } = await payInVain();
  const calledOff = await command(world, `/purchases/${body.requestId}/cancel`);
  assert.deepEqual([calledOff.status, calledOff.body.status], [200, 'CANCELLED']);
  assert.equal((await access(world.url, body, { payment })).status, 410);
  world.rpc.clear();
  await letTimePass(world, 120_000);
  await poll(() => statuses(world)[body.requestId] === 'DELIVERED', 'the delivery, with nobody asking', 30_000);
  const answer = await access(world.url, body, { payment });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.body.type, 'AccessGrant');
});

test('it is found although the node looks through ten blocks at once and has forgotten the states between', async () => {
  const { body, payment } = await payInVain();
  await command(world, `/purchases/${body.requestId}/cancel`);
  world.rpc.clear();
  await world.chain.mine(400);
  const newest = Number(await world.chain.client.getBlockNumber({ cacheTime: 0 }));
  const span = ({ fromBlock, toBlock }) => Number(toBlock) - Number(fromBlock);
  world.rpc.on('eth_getLogs', { kind: 'error', code: -32602, message: 'the block range is too large', match: ([filter]) => span(filter) >= 10 });
  world.rpc.on('eth_call', { kind: 'error', message: 'missing trie node', match: ([, block]) => Number(block) < newest - 128 });
  await letTimePass(world, 120_000);
  await poll(() => statuses(world)[body.requestId] === 'DELIVERED', 'the delivery, with nobody asking', 60_000);
  assert.equal((await access(world.url, body, { payment })).status, 200);
  const spans = world.rpc.callsOf('eth_getLogs').filter(({ result }) => result !== undefined).map(({ params }) => span(params[0]));
  assert.ok(spans.length > 3 && spans.slice(-4).every((blocks) => blocks < 10), spans.join());
});
