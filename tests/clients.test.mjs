// Every published kind of x402 client buys, whoever sends the payments.
//
//  1. A worker whose gas wallet settles; and one for which a facilitator made of the published packages settles.
//  2. At each, these buy: the TypeScript client of version 2, the TypeScript client of version 1, the Rust client; with a
//     requestId of their own and without one.
//  3. Each gets the grant and is told of the settlement in the words of its version; the chain shows one transfer of the price.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { NETWORK } from '../tools/lib/chain.mjs';
import { rustClient } from '../tools/lib/rust-client.mjs';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { income } from './support/facts.mjs';
import { useWorld } from './support/world.mjs';
import { decodeAnswer, decodeHeader, legacyFetch, payingFetch } from './support/x402.mjs';

const PRICE = 15_000n;
const run = promisify(execFile);

const withFetch = (fetchOf) => async (url, { privateKey }, body) => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return decodeAnswer(await fetchOf(privateKey)(url, init));
};

/** Each buys `body` at `url`. */
const CLIENTS = {
  'TypeScript, version 2': { buy: withFetch(payingFetch), network: NETWORK },
  'TypeScript, version 1': { buy: withFetch(legacyFetch), network: 'base-sepolia' },
  Rust: {
    network: NETWORK,
    buy: async (url, { privateKey }, body) => {
      const { stdout } = await run(rustClient, [url, JSON.stringify(body)], { env: { AGENT_PRIVATE_KEY: privateKey } });
      const [status, settled, ...text] = stdout.split('\n');
      return { status: Number(status), settled: decodeHeader(settled), body: JSON.parse(text.join('\n')), text: text.join('\n') };
    },
  },
};

function everyClientBuys(world) {
  for (const [name, { buy, network }] of Object.entries(CLIENTS)) {
    for (const [how, order] of [
      ['with a requestId of its own', () => ({ planId: 'basic', requestId: randomUUID() })],
      ['without a requestId', () => ({ planId: 'basic' })],
    ]) {
      test(`${name}, ${how}`, async () => {
        const buyer = await world.newBuyer();
        const body = order();
        const answer = await buy(`${world.url}/x402/access`, buyer, body);
        assert.equal(answer.status, 200, answer.text);
        const paid = (await income(world)).filter(({ from }) => from === buyer.address);
        assert.deepEqual(paid.map(({ value, hash }) => [value, hash]), [[PRICE, answer.body.txHash]]);
        assert.equal(answer.body.type, 'AccessGrant');
        if (body.requestId) assert.equal(answer.body.requestId, body.requestId);
        const settled = network === NETWORK ? answer.settled : answer.settledV1;
        assert.deepEqual(settled, { success: true, transaction: paid[0].hash, network, payer: buyer.address });
      });
    }
  }
}

describe('a gas wallet settles', () => everyClientBuys(useWorld({ backend: false })));

describe('a facilitator settles', async () => {
  const facilitator = await startFacilitator();
  after(() => facilitator.stop());
  const world = useWorld({ backend: false, vars: settledBy(facilitator) }, ({ chain }) => facilitator.connect(chain));
  everyClientBuys(world);
  test('and was asked in version 2 for all of them', () => {
    const spoken = new Set(facilitator.callsOf(/verify|settle/).flatMap(({ body }) => [body.x402Version, body.paymentPayload.x402Version]));
    assert.deepEqual([...spoken], [2]);
  });
});
