// Everything that is served without paying.
//
//  1. Documents: /discover, the agent card at both paths and in both versions, /.well-known/token-info. Each has an ETag, may
//     be cached, and is not sent again to who has it.
//  2. /health is never cached, and says when the gas wallet runs low.
//  3. Every answer carries CORS; OPTIONS tells methods and headers; HEAD is GET without a body.
//  4. An unknown path is 404, a wrong method 405 with Allow, a trailing slash changes nothing. All in JSON.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { useWorld } from './support/world.mjs';

const DOCUMENTS = ['/discover', '/.well-known/agent-card.json', '/.well-known/agent.json', '/.well-known/token-info', '/.well-known/jwks.json', '/.well-known/mcp.json', '/.well-known/ai-catalog.json', '/mcp/server-card'];
const PAGES = [...DOCUMENTS, '/health'];
const world = useWorld({ backend: false, vars: { AGENT_NAME: 'Weather', PROVIDER_NAME: 'Clouds Ltd', PROVIDER_URL: 'https://clouds.example' } });
const get = (path, init) => fetch(world.url + path, init);
const json = async (path, init) => (await get(path, init)).json();
const lower = (value) => value.toLowerCase();

describe('documents', () => {
  test('/discover lists plans with price, description and lifetime, and says what to do next', async () => {
    const { plans, nextStep, routes, ...facts } = await json('/discover');
    assert.equal(facts.agent, 'Weather');
    assert.equal(facts.network, 'testnet');
    assert.equal(facts.chainId, 84532);
    assert.equal(facts.asset, 'USDC');
    assert.equal(lower(facts.assetAddress), lower(USDC_ADDRESS));
    assert.equal(lower(facts.walletAddress), lower(world.seller.address));
    assert.deepEqual(routes, []);
    assert.equal(plans.length, 4);
    for (const plan of plans) {
      assert.match(plan.unitAmount, /^\$\d+\.\d+$/);
      assert.ok(plan.description.length > 20);
      assert.ok(plan.expiresIn > 0);
    }
    assert.equal(nextStep.method, 'POST');
    assert.equal(nextStep.url, `${world.url}/x402/access`);
    assert.ok(nextStep.body.planId);
  });

  test('the agent card is the same at both paths; A2A-Version: 1.0 gets the pure card, everybody else the one 0.3 clients read too', async () => {
    const both = await Promise.all(['/.well-known/agent-card.json', '/.well-known/agent.json'].map((path) => json(path)));
    assert.deepEqual(both[0], both[1]);
    const { url, preferredTransport, protocolVersion, ...common } = both[0];
    assert.equal(url, `${world.url}/a2a`);
    assert.equal(protocolVersion, '0.3.0');
    assert.equal(preferredTransport, 'JSONRPC');
    for (const path of ['/.well-known/agent-card.json', '/.well-known/agent.json']) {
      assert.deepEqual(await json(path, { headers: { 'a2a-version': '1.0' } }), common);
      assert.deepEqual(await json(path, { headers: { 'a2a-version': '0.3' } }), both[0]);
    }
    assert.equal(common.name, 'Weather');
    assert.deepEqual(common.provider, { organization: 'Clouds Ltd', url: 'https://clouds.example' });
    assert.ok(common.supportedInterfaces.length && common.skills.length);
    const [{ params }] = common.capabilities.extensions;
    assert.equal(params.network, NETWORK);
    assert.equal(lower(params.payTo), lower(world.seller.address));
  });

  test('both forms of the agent card have their own ETag and vary by A2A-Version', async () => {
    const hybrid = await get('/.well-known/agent-card.json');
    const pure = await get('/.well-known/agent-card.json', { headers: { 'a2a-version': '1.0' } });
    assert.notEqual(hybrid.headers.get('etag'), pure.headers.get('etag'));
    assert.match(hybrid.headers.get('vary'), /A2A-Version/i);
    assert.match(pure.headers.get('vary'), /A2A-Version/i);
  });

  test('/.well-known/token-info tells how tokens look, and nothing of how they are made', async () => {
    const info = await json('/.well-known/token-info');
    assert.equal(info.algorithm, 'HS256');
    assert.equal(info.tokenType, 'Bearer');
    assert.equal(info.issuer, world.url);
    assert.equal(info.expiresIn, 3600);
    assert.deepEqual(new Set(info.claims.map(({ name }) => name)), new Set(['sub', 'jti', 'resourceId', 'planId', 'txHash', 'iat', 'exp', 'iss', 'payer', 'chainId', 'grant', 'limits']));
  });

  for (const path of DOCUMENTS) {
    test(`${path} may be cached, and is not sent again to who has it`, async () => {
      const first = await get(path);
      assert.equal(first.status, 200);
      assert.match(first.headers.get('content-type'), /^application\/(?:[a-z-]+\+)?json/);
      assert.match(first.headers.get('cache-control'), /^public, max-age=\d+/);
      const etag = first.headers.get('etag');
      assert.match(etag, /^"[0-9a-f]+"$/);
      const body = await first.text();
      assert.equal(await (await get(path)).text(), body, 'the same question, the same answer');
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const again = await get(path, { headers: { 'if-none-match': known }, cache: 'no-store' });
        assert.equal(again.status, 304, known);
        assert.equal(again.headers.get('etag'), etag);
        assert.equal(await again.text(), '');
      }
      assert.equal((await get(path, { headers: { 'if-none-match': '"other"' }, cache: 'no-store' })).status, 200);
    });
  }
});

describe('/health', () => {
  test('says what runs here and is never cached', async () => {
    const answer = await get('/health');
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    const health = await answer.json();
    assert.equal(health.status, 'ok');
    assert.equal(health.service, 'key0');
    assert.equal(health.storage, 'durable-objects');
    assert.equal(health.tokenMode, 'native');
    assert.equal(health.network, 'testnet');
    assert.equal(lower(health.gasWallet.address), lower(world.gasWallet.address));
    assert.equal(health.gasWallet.balance, 'ok');
    assert.equal(health.gasWallet.balanceWei, String(10n ** 19n));
  });

  const poor = useWorld({ backend: false });
  test('says when the gas wallet runs low, and when nobody can tell', async () => {
    await poor.chain.fund(poor.gasWallet.address, '0.0001');
    await poor.restartWorker();
    const low = await (await fetch(`${poor.url}/health`)).json();
    assert.equal(low.status, 'degraded');
    assert.equal(low.gasWallet.balance, 'low');
    assert.equal(low.gasWallet.balanceWei, String(10n ** 14n));

    poor.rpc.on('eth_getBalance', { kind: 'refuse' });
    await poor.restartWorker();
    const unknown = await fetch(`${poor.url}/health`);
    assert.equal(unknown.status, 200);
    const { status, gasWallet } = await unknown.json();
    assert.equal(status, 'degraded');
    assert.equal(gasWallet.balance, 'unknown');
  });
});

describe('every path', () => {
  const paths = [...PAGES.map((path) => ({ path, allowed: 'GET, HEAD, OPTIONS' })), ...['/x402/access', '/mcp'].map((path) => ({ path, allowed: 'POST, OPTIONS' }))];
  for (const { path, allowed } of paths) {
    test(`${path} answers OPTIONS with methods and headers, also to a browser's preflight`, async () => {
      const headers = { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'payment-signature' };
      for (const init of [{ method: 'OPTIONS' }, { method: 'OPTIONS', headers }]) {
        const answer = await get(path, init);
        assert.equal(answer.status, 204);
        assert.equal(answer.headers.get('allow'), allowed);
        assert.equal(answer.headers.get('access-control-allow-methods'), allowed);
        assert.equal(answer.headers.get('access-control-allow-origin'), '*');
        const names = answer.headers.get('access-control-allow-headers').split(/, */).map(lower);
        for (const name of ['content-type', 'authorization', 'payment-signature', 'x-payment', 'sign-in-with-x', 'access-control-expose-headers', 'baggage', 'sentry-trace', 'traceparent', 'tracestate']) assert.ok(names.includes(name), name);
      }
    });

    test(`${path} refuses other methods with 405 and Allow`, async () => {
      const refused = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => !allowed.includes(method));
      for (const method of refused) {
        const answer = await get(path, { method });
        assert.equal(answer.status, 405, method);
        assert.equal(answer.headers.get('allow'), allowed);
        if (method !== 'HEAD') assert.equal((await answer.json()).code, 'METHOD_NOT_ALLOWED');
      }
    });
  }

  for (const path of PAGES) {
    test(`${path} answers HEAD as GET, without the body, and does not mind a trailing slash or a query`, async () => {
      const full = await get(path);
      const head = await get(path, { method: 'HEAD' });
      assert.equal(head.status, 200);
      assert.equal(await head.text(), '');
      for (const name of ['content-type', 'etag', 'cache-control', 'vary', 'access-control-allow-origin']) assert.equal(head.headers.get(name), full.headers.get(name), name);
      const body = await full.text();
      assert.equal(await (await get(`${path}/`)).text(), body);
      assert.equal(await (await get(`${path}?x=1`)).text(), body);
    });
  }

  test('the x402 door does not mind a trailing slash', async () => {
    const answer = await get('/x402/access/', { method: 'POST', body: '{"planId":"basic"}' });
    assert.equal(answer.status, 402);
    assert.ok(answer.headers.get('payment-required'));
  });

  test('that is not served is 404, in JSON, whatever the method', async () => {
    for (const path of ['/nothing', '/x402', '/x402/access/more', '/discover/basic', '/DISCOVER', '/.well-known', '/x402//access', '/%2e%2e/discover/x']) {
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
        const answer = await get(path, { method });
        assert.equal(answer.status, 404, `${method} ${path}`);
        assert.equal(answer.headers.get('access-control-allow-origin'), '*');
        assert.equal((await answer.json()).code, 'NOT_FOUND');
      }
    }
  });

  test('lets a browser read the payment headers, on refusals too', async () => {
    for (const [path, init] of [['/discover'], ['/nothing'], ['/x402/access'], ['/x402/access', { method: 'POST', body: '{}' }], ['/x402/access', { method: 'POST', body: '{"planId":"basic"}' }]]) {
      const { headers } = await get(path, init);
      assert.equal(headers.get('access-control-allow-origin'), '*');
      const names = headers.get('access-control-expose-headers').split(/, */).map(lower);
      for (const name of ['payment-required', 'payment-response', 'x-payment-response', 'www-authenticate', 'retry-after']) assert.ok(names.includes(name), name);
    }
  });
});
