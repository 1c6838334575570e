// The MCP door by hand, in both generations of the protocol.
//
//  1. What the transport demands: methods, media types, origins, sizes; what waits for no answer gets none.
//  2. Handshake, versions, envelopes: each error of the protocol that can occur, with its code and HTTP status.
//  3. The two tools: listed, the price list, an offer that is the same each time, what cannot be sold.
//  4. A purchase, with the payment as an object, as JSON, as base64, and in a header. The grant, the receipt, one transfer.
//  5. The same again: while it is settled, after the delivery, signed anew, through another door.
//  6. What is paid and cannot be delivered. Nobody is invited to pay again.
//  7. The documents that lead to the door.
//  8. With MCP_ENABLED=false nothing of this is there.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { getAddress } from 'viem';
import { NETWORK } from '../tools/lib/chain.mjs';
import { post } from './support/a2a.mjs';
import { broadcasts, income } from './support/facts.mjs';
import { ERAS, HANDSHAKE, HANDSHAKE_VERSIONS, MODERN, MODERN_VERSION, Mcp, assertFailed, assertGranted, assertOffered, assertUnderWay } from './support/mcp.mjs';
import { poll } from './support/poll.mjs';
import { newWallet } from './support/smart-wallets.mjs';
import { useWorld } from './support/world.mjs';
import { access, encodeHeader, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const MOST_BYTES = 1024 * 1024;
const world = useWorld({ backend: false });
const mcp = new Mcp(world);
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);
const list = { jsonrpc: '2.0', id: 7, method: 'tools/list' };

/** Buys, and gives buyer, payment and grant. */
async function bought(door = mcp, args = { planId: 'basic' }) {
  const buyer = await world.newBuyer();
  const payment = await signPayment(buyer.privateKey, await door.offer(args));
  const answer = await door.access(args, payment);
  return { buyer, payment, answer, grant: assertGranted(answer) };
}

describe('the transport', () => {
  test('has one method: GET and DELETE are 405, OPTIONS tells a browser what it may send', async () => {
    for (const method of ['GET', 'DELETE', 'PUT', 'HEAD']) {
      const answer = await fetch(mcp.url, { method, headers: { accept: 'text/event-stream' } });
      assert.equal(answer.status, 405, method);
      assert.match(answer.headers.get('allow'), /^POST\b/);
    }
    const preflight = await fetch(mcp.url, { method: 'OPTIONS', headers: { origin: 'https://app.example' } });
    assert.equal(preflight.status, 204);
    const allowed = preflight.headers.get('access-control-allow-headers').toLowerCase();
    for (const name of ['content-type', 'accept', 'authorization', 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'mcp-session-id', 'last-event-id']) assert.ok(allowed.includes(name), name);
  });

  test('takes a trailing slash, and whatever session a client believes in; it gives none', async () => {
    const answer = await post(`${mcp.url}/`, list, { headers: { 'mcp-session-id': randomUUID(), 'last-event-id': '7' } });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers.get('mcp-session-id'), null);
    assert.match(answer.headers.get('cache-control'), /no-store/);
  });

  test('reads JSON and answers JSON', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) assert.equal((await mcp.post(list, { 'content-type': type })).status, 415, type);
    for (const accept of ['text/event-stream', 'text/html']) assert.equal((await mcp.post(list, { accept })).status, 406, accept);
    for (const accept of ['*/*', 'application/json', 'text/event-stream, application/json;q=0.1']) assert.equal((await mcp.post(list, { accept })).status, 200, accept);
  });

  test('lets web pages of this machine call a worker of this machine, and no others', async () => {
    for (const origin of ['http://localhost:6274', 'http://127.0.0.1:1', 'http://[::1]']) assert.equal((await mcp.post(list, { origin })).status, 200, origin);
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example']) {
      const answer = await mcp.post(list, { origin });
      assert.deepEqual([answer.status, answer.body.error.code, 'id' in answer.body], [403, -32600, false], origin);
    }
  });

  test('reads a body of 1 MiB, and answers 413 to a larger one', async () => {
    const body = (length) => {
      const call = (filler) => JSON.stringify({ ...list, params: { filler } });
      return call('x'.repeat(length - call('').length));
    };
    assert.equal((await mcp.post(body(MOST_BYTES))).status, 200);
    const large = await mcp.post(body(MOST_BYTES + 1));
    assert.deepEqual([large.status, large.body.code], [413, 'PAYLOAD_TOO_LARGE']);
  });

  test('gives no answer to what waits for none', async () => {
    for (const body of [
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } },
      { jsonrpc: '2.0', method: 'tools/call', params: { name: 'discover_plans' } },
      { jsonrpc: '2.0', id: 1, result: {} },
    ]) {
      const answer = await mcp.post(body);
      assert.deepEqual([answer.status, answer.text], [202, ''], JSON.stringify(body));
    }
  });
});

describe('the protocol', () => {
  const fails = ({ status, body, text }, expected, code) => assert.deepEqual([status, body?.error?.code], [expected, code], text);

  test('a handshake agrees on a version: the one asked for, or else the newest of its kind', async () => {
    for (const asked of [...HANDSHAKE_VERSIONS, MODERN_VERSION, '2030-01-01', 'x']) {
      const { body } = await mcp.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: asked, capabilities: {}, clientInfo: { name: 'c', version: '1' } } });
      assert.equal(body.result.protocolVersion, HANDSHAKE_VERSIONS.includes(asked) ? asked : HANDSHAKE_VERSIONS[0]);
      assert.deepEqual(body.result.capabilities, { tools: {} });
      assert.match(body.result.instructions, /discover_plans/);
    }
    assert.deepEqual(await mcp.result('ping'), {});
  });

  test('errors of the first generation have their codes and statuses', async () => {
    fails(await mcp.post('{'), 400, -32700);
    fails(await mcp.post([list]), 400, -32600);
    fails(await mcp.post({ ...list, jsonrpc: '1.0' }), 400, -32600);
    fails(await mcp.post({ ...list, id: null }), 400, -32600);
    fails(await mcp.post(list, { 'mcp-protocol-version': '2023-01-01' }), 400, -32600);
    fails(await mcp.post(list, { 'mcp-protocol-version': MODERN_VERSION }), 400, -32602);
    for (const method of ['resources/list', 'prompts/list', 'logging/setLevel', 'completion/complete', 'server/discover']) fails(await mcp.call(method, {}), 200, -32601);
    fails(await mcp.call('tools/list', { cursor: 'page-2' }), 200, -32602);
    for (const params of [{}, { name: 'nothing' }, { name: 'request_access', arguments: 'basic' }, []]) fails(await mcp.call('tools/call', params), 200, -32602);
  });

  test('errors of the second have theirs', async () => {
    const modern = new Mcp(world, MODERN);
    for (const method of ['initialize', 'ping', 'resources/list', 'subscriptions/listen']) fails(await modern.call(method, {}), 404, -32601);
    fails(await modern.call('tools/list', {}, { headers: { 'mcp-method': 'tools/call' } }), 400, -32020);
    fails(await modern.call('tools/call', { name: 'discover_plans' }, { headers: { 'mcp-name': 'request_access' } }), 400, -32020);
    const { params, headers } = MODERN.wrap('tools/list', {});
    fails(await modern.post({ ...list, params }), 400, -32020);
    fails(await modern.post({ ...list, id: null, params }, headers), 400, -32600);
    const bare = { _meta: { 'io.modelcontextprotocol/protocolVersion': MODERN_VERSION } };
    fails(await modern.post({ ...list, params: bare }, headers), 400, -32602);
    const later = JSON.parse(JSON.stringify(params).replace(MODERN_VERSION, '2027-01-01'));
    const refused = await modern.post({ ...list, params: later }, { ...headers, 'mcp-protocol-version': '2027-01-01' });
    fails(refused, 400, -32022);
    assert.deepEqual(refused.body.error.data, { supported: [MODERN_VERSION], requested: '2027-01-01' });
    fails(await modern.call('tools/call', { name: 'nothing' }), 200, -32602);
    const about = await modern.result('server/discover', {});
    assert.deepEqual([about.supportedVersions, about.capabilities, about.cacheScope], [[MODERN_VERSION], { tools: {} }, 'public']);
  });
});

for (const era of ERAS) {
  describe(`clients ${era.name}`, () => {
    const door = new Mcp(world, era);

    test('list the tools: the free one says what it returns, the paid one that it costs', async () => {
      const { tools, nextCursor } = await door.result('tools/list', {});
      assert.deepEqual([tools.map(({ name }) => name), nextCursor], [['discover_plans', 'request_access'], undefined]);
      const [free, paid] = tools;
      assert.ok(free.outputSchema && free.annotations.readOnlyHint && !paid.outputSchema && !paid.annotations.readOnlyHint);
      assert.equal(paid._meta['agents-x402/paymentRequired'], true);
      assert.match(paid.description, /basic \$0\.015/);
      assert.deepEqual(await door.result('tools/list', {}), await door.result('tools/list', {}));
    });

    test('read the price list', async () => {
      const { nextStep: _, ...catalog } = await (await fetch(`${world.url}/discover`)).json();
      for (const name of ['discover_plans', 'discover']) {
        const { result, texts, data } = await door.tool(name);
        assert.deepEqual([data, JSON.parse(texts[0]), result.isError], [catalog, catalog, false]);
      }
    });

    test('get the same offer each time, under the short name, too', async () => {
      const offer = await door.offer();
      assert.equal(offer.error, 'Payment required');
      const [{ extra, ...accepts }] = offer.accepts;
      assert.deepEqual([accepts.network, accepts.amount, accepts.payTo], [NETWORK, String(PRICE), world.seller.address]);
      assert.deepEqual(Object.keys(extra).sort(), ['name', 'paymentFlow', 'planId', 'resourceId', 'version']);
      assert.equal(offer.resource.url, `${world.url}/x402/access`);
      const again = await door.tool('access', { planId: 'basic', resourceId: 'default' });
      assert.deepEqual(assertOffered(again), offer);
      const hint = JSON.parse(again.texts[1]);
      assert.match(hint.paymentInstructions, /make_http_request_with_x402.*POST/s);
      assert.equal(hint.x402PaymentUrl, offer.resource.url);
    });

    test('buy: the grant, the receipt, one transfer of the price', async () => {
      const { buyer, grant, answer } = await bought(door);
      assert.deepEqual((await paidBy(buyer)).map(({ value, hash }) => [value, hash]), [[PRICE, grant.txHash]]);
      assert.equal(answer.receipt.payer, buyer.address);
      assert.match(grant.requestId, /^x402-[0-9a-f]{32}$/);
      assert.equal(grant.planId, 'basic');
    });
  });
}

describe('what cannot be sold', () => {
  const cases = {
    'no plan': [{}, 'INVALID_REQUEST', /planId is missing/],
    'another member for the plan': [{ plan: 'basic' }, 'INVALID_REQUEST', /`planId`/],
    'a plan that is not for sale': [{ planId: 'gold' }, 'TIER_NOT_FOUND', /gold/],
    'a route, of which there is none': [{ routeId: 'photos' }, 'TIER_NOT_FOUND', /Route "photos" not found/],
    'plan and route together': [{ planId: 'basic', routeId: 'photos' }, 'INVALID_REQUEST', /not both/],
    'a request id that is none': [{ planId: 'basic', requestId: '7' }, 'INVALID_REQUEST', /requestId/],
    'a proof of a transfer, which belongs elsewhere': [{ planId: 'basic', proof: {} }, 'INVALID_REQUEST', /x402\/access/],
  };
  for (const [name, [args, code, words]] of Object.entries(cases)) {
    test(`${name}: a result that a model can act on`, async () => {
      const answer = await mcp.access(args);
      assert.match(assertFailed(answer, code).message, words);
      assert.deepEqual(answer.texts.map((text) => JSON.parse(text)), [answer.data]);
      assert.equal(answer.receipt, undefined);
    });
  }
});

describe('a payment may come', () => {
  const args = { planId: 'basic' };
  const forms = {
    'as JSON in a text': (payment) => [JSON.stringify(payment)],
    'as base64': (payment) => [encodeHeader(payment)],
    'as base64 for URLs, without padding': (payment) => [Buffer.from(JSON.stringify(payment)).toString('base64url')],
    'in the header PAYMENT-SIGNATURE': (payment) => [undefined, { 'payment-signature': encodeHeader(payment) }],
    'in the header X-PAYMENT': (payment) => [undefined, { 'x-payment': encodeHeader(payment) }],
    'with numbers that have a fraction, and null for what is absent': (payment) => [
      JSON.stringify({ ...payment, extensions: null }).replace('"x402Version":2', '"x402Version":2.0').replace('"maxTimeoutSeconds":300', '"maxTimeoutSeconds":300.0'),
    ],
  };
  for (const [name, form] of Object.entries(forms)) {
    test(name, async () => {
      const buyer = await world.newBuyer();
      const grant = assertGranted(await mcp.access(args, ...form(await signPayment(buyer.privateKey, await mcp.offer(args)))));
      assert.deepEqual((await paidBy(buyer)).map(({ hash }) => hash), [grant.txHash]);
    });
  }

  test('from a contract wallet', async () => {
    const wallet = await newWallet(world);
    const payment = await signPayment(wallet.owner.privateKey, await mcp.offer(args), { authorization: { from: wallet.address } });
    const grant = assertGranted(await mcp.access(args, payment));
    assert.deepEqual((await paidBy({ address: getAddress(wallet.address) })).map(({ hash }) => hash), [grant.txHash]);
  });

  test('for the offer of another door, whose purchase it is then', async () => {
    const buyer = await world.newBuyer();
    const request = { ...args, requestId: randomUUID() };
    const { required } = await access(world.url, request);
    const payment = await signPayment(buyer.privateKey, required);
    const grant = assertGranted(await mcp.access(args, payment));
    assert.equal(grant.requestId, request.requestId);
    const there = await access(world.url, request, { payment });
    assert.deepEqual([there.status, there.body.accessToken], [200, grant.accessToken]);
    assert.equal((await paidBy(buyer)).length, 1);
  });
});

describe('the same again', () => {
  const args = { planId: 'basic' };

  test('while it is being settled: under way, for the same payment and for one that is signed anew; then one grant for both', async () => {
    const buyer = await world.newBuyer();
    const offer = await mcp.offer(args);
    const [first, anew] = [await signPayment(buyer.privateKey, offer), await signPayment(buyer.privateKey, offer)];
    const sent = await broadcasts(world);
    await world.chain.holdBlocks();
    const calls = [mcp.access(args, first)];
    try {
      await poll(async () => (await broadcasts(world)) === sent + 1, 'the transaction in the node');
      calls.push(mcp.access(args, first), mcp.access(args, anew), new Mcp(world, MODERN).access(args, anew));
      for (const answer of await Promise.all(calls)) assertUnderWay(answer);
      assert.equal(await broadcasts(world), sent + 1);
    } finally {
      await world.chain.setBlockTime(0);
      await world.chain.mine();
    }
    const grants = [];
    for (const payment of [anew, first, anew]) {
      const answer = await poll(async () => {
        const answer = await mcp.access(args, payment);
        return answer.data?.code !== 'SETTLEMENT_PENDING' && answer;
      }, 'the outcome');
      // By then the first payment is public on chain.
      if (payment === first && answer.result.isError) assertFailed(answer, 'TX_ALREADY_REDEEMED');
      else grants.push(assertGranted(answer));
    }
    for (const grant of grants) assert.deepEqual(grant, grants[0]);
    assert.deepEqual((await paidBy(buyer)).map(({ value }) => value), [PRICE]);
  });

  test('after the delivery the payment is public: a fresh signature is asked for, and gets the grant uncharged', async () => {
    const { buyer, payment, grant } = await bought();
    const error = assertFailed(await mcp.access(args, payment), 'TX_ALREADY_REDEEMED');
    assert.match(error.message, /will not be charged/);
    const named = { ...args, requestId: error.details.requestId };
    const fresh = await signPayment(buyer.privateKey, await mcp.offer(named));
    assert.deepEqual(assertGranted(await mcp.access(named, fresh)), grant);
    assert.equal((await paidBy(buyer)).length, 1);
    const thief = await world.newBuyer();
    const answer = await mcp.access(named, await signPayment(thief.privateKey, await mcp.offer(named)));
    assertFailed(answer, 'REQUEST_CONFLICT');
    assert.equal((await paidBy(thief)).length, 0);
  });

  test('signed anew within two minutes of the delivery: the same grant, uncharged; a purchase that is named is another one', async () => {
    const { buyer, grant } = await bought();
    for (const era of ERAS) {
      const door = new Mcp(world, era);
      const anew = await signPayment(buyer.privateKey, await door.offer(args));
      assert.deepEqual(assertGranted(await door.access(args, anew)), grant);
    }
    assert.equal((await paidBy(buyer)).length, 1);
    const named = { ...args, requestId: randomUUID() };
    const second = assertGranted(await mcp.access(named, await signPayment(buyer.privateKey, await mcp.offer(named))));
    assert.equal(second.requestId, named.requestId);
    assert.equal((await paidBy(buyer)).length, 2);
  });

  test('at the x402 door: one authorization is one purchase', async () => {
    const { buyer, payment, grant } = await bought();
    const { body, status } = await access(world.url, args, { payment });
    assert.deepEqual([status, body.code, body.details.requestId], [409, 'TX_ALREADY_REDEEMED', grant.requestId]);
    const { required } = await access(world.url, args);
    const anew = await access(world.url, args, { payment: await signPayment(buyer.privateKey, required) });
    assert.deepEqual([anew.status, anew.body.accessToken], [200, grant.accessToken]);
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test('forty times at once: one transfer, and one grant', async () => {
    const buyer = await world.newBuyer();
    const payment = await signPayment(buyer.privateKey, await mcp.offer(args));
    const answers = await Promise.all(Array.from({ length: 40 }, (_, at) => new Mcp(world, ERAS[at % 2]).access(args, payment)));
    const grants = answers.filter(({ result }) => !result.isError).map(assertGranted);
    for (const answer of answers.filter(({ result }) => result.isError)) assert.ok(['TX_ALREADY_REDEEMED', 'SETTLEMENT_PENDING'].includes(answer.data.code), answer.text);
    assert.ok(grants.length > 0);
    for (const grant of grants) assert.deepEqual(grant, grants[0]);
    assert.deepEqual((await paidBy(buyer)).map(({ hash }) => hash), [grants[0].txHash]);
  });
});

describe('documents', () => {
  const get = async (path, headers = {}) => {
    const answer = await fetch(world.url + path, { headers });
    return { answer, body: answer.status === 200 ? await answer.json() : undefined };
  };

  test('name the door, in the shape that each has', async () => {
    const { agent, description } = await (await fetch(`${world.url}/discover`)).json();
    const pointer = (await get('/.well-known/mcp.json')).body;
    assert.deepEqual(pointer, { name: agent, description, version: pointer.version, transport: { type: 'streamable-http', url: mcp.url } });
    const { answer, body } = await get('/mcp/server-card');
    assert.match(answer.headers.get('content-type'), /^application\/mcp-server-card\+json/);
    assert.deepEqual([answer.headers.get('access-control-allow-origin'), answer.headers.get('cache-control')], ['*', 'public, max-age=3600']);
    assert.equal(body.$schema, 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json');
    assert.match(body.name, /^[A-Za-z0-9.-]+\/[A-Za-z0-9._-]+$/);
    assert.ok(body.description.length >= 1 && body.description.length <= 100);
    assert.deepEqual(body.remotes, [{ type: 'streamable-http', url: mcp.url, supportedProtocolVersions: [MODERN_VERSION, ...HANDSHAKE_VERSIONS] }]);
    const known = await get('/mcp/server-card', { 'if-none-match': answer.headers.get('etag') });
    assert.equal(known.answer.status, 304);
    const catalog = await get('/.well-known/ai-catalog.json');
    assert.match(catalog.answer.headers.get('content-type'), /^application\/ai-catalog\+json/);
    assert.deepEqual(catalog.body.entries.map(({ type, url }) => [type, url]), [['application/mcp-server-card+json', `${world.url}/mcp/server-card`]]);
    assert.ok((await get('/discover')).body.nextStep.description.includes(mcp.url));
  });
});

describe('with MCP_ENABLED=false', () => {
  test('nothing of it is there, and the other doors are', async () => {
    await world.restartWorker({ MCP_ENABLED: 'false' });
    assert.equal((await mcp.post(list)).status, 404);
    for (const path of ['/mcp/server-card', '/.well-known/mcp.json', '/.well-known/ai-catalog.json']) assert.equal((await fetch(world.url + path)).status, 404, path);
    const { nextStep } = await (await fetch(`${world.url}/discover`)).json();
    assert.ok(!nextStep.description.includes('/mcp'));
    assert.equal((await access(world.url, { planId: 'basic' })).status, 402);
    await world.restartWorker();
  });

  test('MCP_ALLOWED_ORIGINS lets pages in, and KEY0_PUBLIC_URL its own', async () => {
    await world.restartWorker({ KEY0_PUBLIC_URL: 'https://shop.example', MCP_ALLOWED_ORIGINS: 'https://app.example, https://other.example:8443' });
    for (const origin of ['https://app.example', 'https://other.example:8443', 'https://shop.example']) assert.equal((await mcp.post(list, { origin })).status, 200, origin);
    for (const origin of ['https://other.example', 'http://localhost:6274']) assert.equal((await mcp.post(list, { origin })).status, 403, origin);
    await world.restartWorker();
  });
});
