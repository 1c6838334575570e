// Clients of the Machine Payments Protocol buy beside those of x402, from the same 402.
//
//  1. The published clients for JavaScript and Python buy a plan and pay for a call: one transfer each, a receipt that names
//     it, the answer private. With a token of their own in Authorization they pay in the other header.
//  2. The published client of x402 and that of its first version still buy from the 402 that has both. A client that speaks
//     both families pays once.
//  3. Both nonces of one challenge: one transfer, and the grant for both. A third nonce is refused.
//  4. The same authorization by both protocols, in either order and at once: one transfer, one purchase, two answers.
//     Twenty equal credentials at once: one broadcast, twenty equal answers.
//  5. An application that starts anew after a lost answer is not charged anew.
//  6. The wrapped MCP client buys with the result form; no answer has the code -32042.
//  7. The published validator finds nothing wrong.
//  8. With MPP_ENABLED=false nothing of this is there.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { evm } from 'mppx/client';
import { McpClient } from 'mppx/mcp/client';
import { privateKeyToAccount } from 'viem/accounts';
import { nodeModules } from '../tools/lib/paths.mjs';
import { call } from './support/calls.mjs';
import { broadcasts, income, paidBy } from './support/facts.mjs';
import { asX402, challengeOf, credentialFor, mppxFetch, paying, receiptOf, startPympp } from './support/mpp.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { CENT, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { access, encodeHeader, legacyFetch, payingFetch } from './support/x402.mjs';

const PRICE = 15_000n;
const PLAN = { planId: 'basic' };
const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(selling(origin));
let python;
before(async () => {
  python = await startPympp();
});
after(() => python.stop());
beforeEach(() => {
  origin.calls.length = 0;
});

const at = (path) => `${world.url}${path}`;
const post = (body) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
const problemOf = ({ body }) => body.type.split('/').at(-1);

/** Asks, signs, and gives what pays. */
async function signed(buyer, body, change) {
  const { headers } = await access(world.url, body);
  const challenge = challengeOf(headers);
  return { challenge, credential: await credentialFor(buyer.privateKey, challenge, change) };
}
const pay = (body, credential, name) => access(world.url, body, { headers: paying(credential, name) });

async function assertPaidOnce(buyer, value, hash) {
  const paid = await paidBy(world, buyer);
  assert.deepEqual(paid.map((transfer) => transfer.value), [value]);
  if (hash) assert.equal(paid[0].hash, hash);
}

/** Buys with a published client: `fetch` with the answers of each. */
const CLIENTS = {
  mppx: async (buyer, url, { method = 'GET', body, headers = {} } = {}) => {
    const json = body && { 'content-type': 'application/json' };
    const response = await mppxFetch(buyer.privateKey)(url, { method, headers: { ...json, ...headers }, body: body && JSON.stringify(body) });
    const receipt = receiptOf(response.headers);
    return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text(), reference: receipt?.reference };
  },
  pympp: (buyer, url, options) => python.request({ key: buyer.privateKey, url, ...options }),
};

for (const [name, request] of Object.entries(CLIENTS)) {
  describe(name, () => {
    test('buys a plan', async () => {
      const buyer = await world.newBuyer();
      const answer = await request(buyer, at('/x402/access'), { method: 'POST', body: PLAN });
      assert.equal(answer.status, 200, answer.text ?? JSON.stringify(answer));
      const grant = JSON.parse(answer.text);
      assert.equal(grant.type, 'AccessGrant');
      assert.equal(answer.reference, grant.txHash);
      assert.match(answer.headers['cache-control'], /private/);
      await assertPaidOnce(buyer, PRICE, grant.txHash);
    });

    test('buys the plan that is offered to an empty body', async () => {
      const buyer = await world.newBuyer();
      const answer = await request(buyer, at('/x402/access'), { method: 'POST' });
      assert.equal(answer.status, 200, answer.text ?? JSON.stringify(answer));
      await assertPaidOnce(buyer, PRICE, answer.reference);
    });

    for (const [path, value, method, body] of [
      ['/api/search?q=a%20b', CENT, 'GET'],
      ['/api/summaries', 20_000n, 'POST', { text: 'Long.' }],
    ]) {
      test(`pays for a call, ${method} ${path}`, async () => {
        const buyer = await world.newBuyer();
        const answer = await request(buyer, at(path), { method, body });
        assert.equal(answer.status, 200, answer.text ?? JSON.stringify(answer));
        assert.equal(JSON.parse(answer.text).called, `${method} ${path}`);
        assert.match(answer.headers['cache-control'], /private/);
        await assertPaidOnce(buyer, value, answer.reference);
        const [seen, ...more] = origin.calls;
        assert.deepEqual(more, []);
        for (const header of ['authorization', 'payment-authorization', 'accept-payment']) assert.equal(seen.headers[header], undefined);
      });
    }

    test('pays beside a token of its own', async () => {
      const buyer = await world.newBuyer();
      const answer = await request(buyer, at('/api/weather/rome'), { headers: { authorization: 'Bearer abc' } });
      assert.equal(answer.status, 200, answer.text ?? JSON.stringify(answer));
      await assertPaidOnce(buyer, CENT, answer.reference);
    });

    test('is not charged for what the API does not answer well, and has no receipt', async () => {
      const buyer = await world.newBuyer();
      origin.except('/api/weather/oslo', 500);
      const answer = await request(buyer, at('/api/weather/oslo'));
      assert.equal(answer.status, 500, answer.text ?? JSON.stringify(answer));
      assert.equal(answer.reference ?? undefined, undefined);
      assert.deepEqual(await paidBy(world, buyer), []);
    });

    test('pays nothing where the wallet is empty', async () => {
      const buyer = await world.newBuyer(0n);
      const answer = await request(buyer, at('/x402/access'), { method: 'POST', body: PLAN });
      assert.equal(answer.status, 402, answer.text);
      assert.match(answer.text, /payment-insufficient/);
    });
  });
}

describe('the 402 that has both', () => {
  test('is paid by the published clients of x402 as before', async () => {
    for (const wrap of [payingFetch, legacyFetch]) {
      const buyer = await world.newBuyer();
      const response = await wrap(buyer.privateKey)(at('/x402/access'), post(PLAN));
      assert.equal(response.status, 200, await response.text());
      assert.ok(response.headers.has(wrap === payingFetch ? 'payment-response' : 'x-payment-response'));
      assert.equal(response.headers.get('payment-receipt'), null);
      await assertPaidOnce(buyer, PRICE);
    }
  });

  test('is readable from web pages', async () => {
    const allowed = await fetch(at('/x402/access'), { method: 'OPTIONS' });
    for (const name of ['Accept-Payment', 'Payment-Authorization', 'Authorization', 'Idempotency-Key']) {
      assert.ok(allowed.headers.get('access-control-allow-headers').includes(name), name);
    }
    const { headers } = await access(world.url, PLAN);
    for (const name of ['WWW-Authenticate', 'Payment-Receipt', 'Retry-After']) assert.ok(headers.get('access-control-expose-headers').includes(name), name);
    assert.equal(headers.get('cache-control'), 'no-store');
  });

  test('has headers that every proxy lets pass, and one challenge', async () => {
    for (const answer of [await access(world.url, PLAN), await access(world.url, ''), await call(at('/api/weather/rome'))]) {
      assert.equal(answer.status, 402);
      const size = [...answer.headers].reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
      assert.ok(size < 6_000, `${size} bytes`);
      assert.equal(answer.headers.get('www-authenticate').match(/Payment id=/g).length, 1);
    }
  });
});

describe('one challenge', () => {
  test('has two nonces, and is paid once', async () => {
    const buyer = await world.newBuyer();
    const { challenge, credential } = await signed(buyer, PLAN);
    const other = await credentialFor(buyer.privateKey, challenge, { form: 'list' });
    const [first, second] = [await pay(PLAN, credential), await pay(PLAN, other)];
    assert.equal(first.status, 200, first.text);
    assert.equal(second.status, 200, second.text);
    assert.equal(second.body.accessToken, first.body.accessToken);
    assert.deepEqual(receiptOf(second.headers), receiptOf(first.headers));
    await assertPaidOnce(buyer, PRICE, first.body.txHash);
    const third = await credentialFor(buyer.privateKey, challenge, { authorization: { nonce: `0x${'1'.repeat(64)}` } });
    const refused = await pay(PLAN, third);
    assert.equal(refused.status, 402, refused.text);
    assert.equal(problemOf(refused), 'verification-failed');
  });

  test('has two nonces, and is paid once also when both come at the same time', async () => {
    const buyer = await world.newBuyer();
    const { challenge, credential } = await signed(buyer, PLAN);
    const other = await credentialFor(buyer.privateKey, challenge, { form: 'list' });
    const answers = await Promise.all([pay(PLAN, credential), pay(PLAN, other)]);
    for (const answer of answers) assert.ok([200, 503].includes(answer.status), answer.text);
    await poll(async () => (await pay(PLAN, other)).status === 200, 'the grant');
    await assertPaidOnce(buyer, PRICE);
  });

  test('is paid by twenty equal credentials once, and all get the same answer', async () => {
    const buyer = await world.newBuyer();
    const before = await broadcasts(world);
    const { credential } = await signed(buyer, PLAN);
    const answers = await Promise.all(Array.from({ length: 20 }, () => pay(PLAN, credential)));
    for (const answer of answers) {
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.text, answers[0].text);
      assert.equal(answer.headers.get('payment-receipt'), answers[0].headers.get('payment-receipt'));
    }
    await assertPaidOnce(buyer, PRICE);
    assert.equal(await broadcasts(world), before + 1);
  });
});

describe('the same authorization by both protocols', () => {
  const X402 = { v1: (credential) => ({ 'x-payment': encodeHeader(asX402(credential)) }), v2: (credential, required) => ({ 'payment-signature': encodeHeader({ ...asX402(credential), x402Version: 2, accepted: required.accepts[0] }) }) };
  for (const [version, header] of Object.entries(X402)) {
    for (const order of ['MPP first', 'x402 first', 'at once']) {
      test(`is one purchase: x402 ${version}, ${order}`, async () => {
        const buyer = await world.newBuyer();
        const { headers, required } = await access(world.url, PLAN);
        const credential = await credentialFor(buyer.privateKey, challengeOf(headers));
        const mpp = () => pay(PLAN, credential);
        const x402 = () => access(world.url, PLAN, { headers: header(credential, required) });
        const ways = order === 'x402 first' ? [x402, mpp] : [mpp, x402];
        const answers = [];
        if (order === 'at once') answers.push(...(await Promise.all(ways.map((way) => way()))));
        else for (const way of ways) answers.push(await way());
        const granted = answers.filter(({ status }) => status === 200);
        assert.ok(granted.length >= 1, answers.map(({ text }) => text).join('\n'));
        // What is public on chain may prove nothing any more, or the purchase is still under way: but nobody is invited to pay.
        for (const { status, text } of answers) assert.notEqual(status, 402, text);
        if (version === 'v2' && order !== 'at once') assert.equal(granted.length, 2, answers.map(({ text }) => text).join('\n'));
        await assertPaidOnce(buyer, PRICE, granted[0].body.txHash);
      });
    }
  }

  test('is refused when both come in one request', async () => {
    const buyer = await world.newBuyer();
    const { credential } = await signed(buyer, PLAN);
    const answer = await access(world.url, PLAN, { headers: { ...paying(credential), ...X402.v1(credential) } });
    assert.equal(answer.status, 400, answer.text);
    assert.equal(problemOf(answer), 'bad-request');
    assert.deepEqual(await paidBy(world, buyer), []);
  });
});

test('an application that starts anew after a lost answer is not charged anew', async () => {
  const buyer = await world.newBuyer();
  const body = { ...PLAN, requestId: randomUUID() };
  for (const order of [body, PLAN]) {
    const texts = [];
    for (let round = 0; round < 2; round += 1) {
      const answer = await CLIENTS.mppx(buyer, at('/x402/access'), { method: 'POST', body: order });
      assert.equal(answer.status, 200, answer.text);
      texts.push(JSON.parse(answer.text).accessToken);
    }
    assert.equal(texts[1], texts[0]);
  }
  assert.ok((await paidBy(world, buyer)).length <= 2);
});

test('a client that speaks both families pays once', async () => {
  const buyer = await world.newBuyer();
  const sent = [];
  const fetch_ = async (...args) => {
    const request = new Request(...args);
    sent.push(['authorization', 'payment-signature'].filter((name) => request.headers.has(name)));
    return fetch(request);
  };
  const response = await mppxFetch(buyer.privateKey, fetch_)(at('/x402/access'), post(PLAN));
  assert.equal(response.status, 200, await response.text());
  assert.deepEqual(sent, [[], ['authorization']]);
  await assertPaidOnce(buyer, PRICE);
});

describe('over MCP', () => {
  const connect = async () => {
    const client = new Client({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(at('/mcp'))));
    return client;
  };
  test('the wrapped client buys', async () => {
    const buyer = await world.newBuyer();
    const client = await connect();
    const offer = await client.callTool({ name: 'request_access', arguments: PLAN });
    assert.equal(offer.isError, true);
    assert.doesNotMatch(JSON.stringify(offer), /-32042|-32043/);
    const account = privateKeyToAccount(buyer.privateKey);
    const paid = McpClient.wrap(client, { methods: [evm({ account, currencies: [evm.assets.baseSepolia.USDC] })] });
    const result = await paid.callTool({ name: 'request_access', arguments: PLAN });
    assert.equal(result.isError, false, JSON.stringify(result));
    assert.equal(result.structuredContent.status, 'access_granted');
    await assertPaidOnce(buyer, PRICE, result.receipt.reference);
    // Signed anew for the next call, it is the same purchase.
    const again = await paid.callTool({ name: 'request_access', arguments: PLAN });
    assert.equal(again.structuredContent.accessToken, result.structuredContent.accessToken);
    await assertPaidOnce(buyer, PRICE, result.receipt.reference);
    await client.close();
  });

  test('the fetch of the published client buys', async () => {
    const buyer = await world.newBuyer();
    const client = new Client({ name: 'test', version: '1' });
    const transport = new StreamableHTTPClientTransport(new URL(at('/mcp')), { fetch: mppxFetch(buyer.privateKey) });
    await client.connect(transport);
    const result = await client.callTool({ name: 'request_access', arguments: PLAN });
    assert.equal(result.isError, false, JSON.stringify(result));
    await assertPaidOnce(buyer, PRICE);
    await client.close();
  });
});

test('the published validator finds nothing wrong', async () => {
  const bin = join(nodeModules, 'mppx', 'dist', 'bin.js');
  const { stdout } = await promisify(execFile)(process.execPath, [bin, 'validate', world.url, '--format', 'json', '--output-json'], { env: { ...process.env, HOME: world.state } }).catch((error) => error);
  const report = JSON.parse(stdout);
  assert.ok(JSON.stringify(report).includes('/x402/access'), stdout);
  assert.equal(report.summary?.failed ?? report.failed, 0, stdout);
});

describe('with MPP_ENABLED=false', () => {
  test('x402 is the only way', async () => {
    await world.restartWorker({ MPP_ENABLED: 'false' });
    const { status, headers } = await access(world.url, PLAN, { headers: { 'accept-payment': 'evm/charge' } });
    assert.equal(status, 402);
    assert.equal(headers.get('www-authenticate'), null);
    assert.equal(headers.get('content-type'), 'application/json');
    const buyer = await world.newBuyer();
    const answer = await CLIENTS.mppx(buyer, at('/x402/access'), { method: 'POST', body: PLAN });
    assert.equal(answer.status, 200, answer.text);
    await assertPaidOnce(buyer, PRICE);
    assert.ok((await income(world)).length > 0);
  });
});
