// The limit by client address.
//
//  1. One address sends payments and proofs that are refused: after 60 in ten seconds it is answered 429 with Retry-After, whatever
//     it sends. Other addresses are not, but those of the same IPv6 network are.
//  2. When Retry-After is over, it is served again.
//  3. Questions for a price and good payments never count, however many.
//  4. A deployment without the binding, and a client without an address, have no limit.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { startWorker } from '../tools/lib/worker.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const LIMIT = 60;
const world = useWorld({ backend: false });
const from = (address) => ({ headers: { 'cf-connecting-ip': address } });
const PROOF = { proof: { challengeId: 'forged', txHash: `0x${'11'.repeat(32)}` } };
const badProof = (address, url = world.url) => access(url, PROOF, from(address));
const badPayment = (address) => access(world.url, { planId: 'basic' }, { header: '!!!', ...from(address) });
const price = (address) => access(world.url, {}, from(address));

/** Sends refusable requests until one is answered 429. A window may end on the way, so there may be twice as many. */
async function provoke(send) {
  for (let sent = 1; sent <= 2 * LIMIT + 2; sent += 1) {
    const answer = await send(sent);
    if (answer.status === 429) return { answer, sent };
    assert.ok([400, 404].includes(answer.status), answer.text);
  }
  throw new Error('nobody was refused');
}

test('an address of which too many payments and proofs were refused is refused, for a time, and no other is', async () => {
  const address = '192.0.2.1';
  const { answer, sent } = await provoke((at) => (at % 2 ? badProof(address) : badPayment(address)));
  assert.ok(sent > LIMIT, `after ${sent}`);
  assert.equal(answer.body.code, 'RATE_LIMITED');
  assert.equal(answer.body.details.reason, 'too_many_refusals');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(answer.required, undefined, 'no offer belongs here');
  const wait = Number(answer.headers.get('retry-after'));
  assert.ok(wait >= 1 && wait <= 10, `${wait}`);
  assert.equal((await price(address)).status, 429, 'whatever it sends');
  assert.equal((await fetch(`${world.url}/discover`, from(address))).status, 200, 'what costs nothing is served');
  assert.equal((await badProof('192.0.2.2')).status, 404);
  await poll(async () => (await price(address)).status === 402, 'the address is served again');
});

test('a network of IPv6 is one client', async () => {
  await provoke((at) => badProof(`2001:db8:1:2::${at.toString(16)}`));
  assert.equal((await price('2001:db8:1:2:ffff::1')).status, 429);
  assert.equal((await price('2001:db8:1:3::1')).status, 402);
});

test('questions for a price and good payments never count', async () => {
  const address = '198.51.100.1';
  for (let asked = 0; asked < 2 * LIMIT + 2; asked += 1) assert.equal((await price(address)).status, 402);
  const buyer = await world.newBuyer();
  const bought = await buy(world.url, buyer.privateKey, { planId: 'basic' });
  assert.equal(bought.status, 200, bought.text);
  const again = () => access(world.url, { planId: 'basic' }, { payment: bought.payment, ...from(address) });
  for (let asked = 0; asked < 2 * LIMIT + 2; asked += 1) assert.equal((await again()).status, 200);
  const poor = await world.newBuyer(0n);
  const { required } = await access(world.url, { planId: 'basic' });
  const refused = await access(world.url, { planId: 'basic' }, { payment: await signPayment(poor.privateKey, required), ...from(address) });
  assert.equal(refused.status, 402, refused.text);
});

test('without the binding, or without an address, there is no limit', async () => {
  for (let sent = 0; sent < 2 * LIMIT + 2; sent += 1) assert.equal((await access(world.url, PROOF)).status, 404);
  const worker = await startWorker({ state: join(world.state, 'unlimited'), env: world.settings, rateLimits: [] });
  try {
    for (let sent = 0; sent < 2 * LIMIT + 2; sent += 1) assert.equal((await badProof('192.0.2.9', worker.url)).status, 404);
  } finally {
    await worker.stop();
  }
});
