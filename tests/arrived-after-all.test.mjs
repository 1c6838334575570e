// A payment that arrived, while the node says for a moment that it did not.
//
//  1. A buyer pays; the money arrives; the node shows a receipt without the transfer, as after a reorganisation. The buyer is
//     told that the payment failed.
//  2. The node tells the truth again. The buyer, who knows no better, sends the same signed request once more.
//  3. The authorization is used, and it was used to pay for this very purchase: the buyer must get the grant, or be told to
//     come back, but never a new offer, which would invite a second payment.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { income } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const world = useWorld({ backend: false });

test('the same payment again, once the node shows that it arrived, gets the grant and no new offer', async () => {
  const { privateKey } = await world.newBuyer();
  const body = { planId: 'basic', requestId: randomUUID() };
  world.rpc.on('eth_getTransactionReceipt', { kind: 'alter', change: (receipt) => receipt && { ...receipt, logs: [] } });
  const { payment, ...first } = await buy(world.url, privateKey, body);
  assert.equal(first.status, 402, first.text);
  assert.equal((await income(world)).length, 1);
  world.rpc.clear();
  const again = await access(world.url, body, { payment });
  assert.ok([200, 503].includes(again.status), again.text);
  assert.equal(again.required, undefined, 'a new offer for what was paid already');
});
