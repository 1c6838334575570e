// An API is sold per call, without a change of its own.
//
//  1. A call without payment learns its price: 402, whatever else is wrong with it. The API hears nothing.
//  2. The published clients of both versions pay and get the API's own status, headers and body, and a receipt. The API is told who
//     pays for what. `settle: after` and `before` alike, with a query, a body, and an answer of 1 MB.
//  3. The same payment again gets the same answer, without another call and without another charge.
//  4. A token of a listed plan opens the route; one of another plan, or of another network, does not. A payment beside a good token is
//     not used. No API gets such a token, whatever it opens.
//  5. A free route is passed through. A path that is not listed is not.
//  6. Many calls of one wallet at once: each gets its own answer and is charged once.
//  7. The example agent pays for a call. What the API does not answer well costs it nothing.
//  8. OPTIONS, HEAD, other methods and upgrades are answered by the gateway.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { call, payFor } from './support/calls.mjs';
import { income, paidBy } from './support/facts.mjs';
import { startOrigin } from './support/origin.mjs';
import { CENT, ROUTES, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { buy, decodeAnswer, legacyFetch, payingFetch, signPayment } from './support/x402.mjs';

const AGENT = fileURLToPath(new URL('../examples/agent/agent.mjs', import.meta.url));
const origin = await startOrigin();
after(() => origin.stop());
/** Routes whose API gets the caller's own Authorization. */
const ASKING = [
  { routeId: 'own', method: 'GET', path: '/api/own', unitAmount: '$0.01', plans: ['basic'], forwardAuthorization: true },
  { routeId: 'owned', method: 'GET', path: '/api/owned', free: true, forwardAuthorization: true },
];
const world = useWorld(selling(origin, { ROUTES: JSON.stringify([...ROUTES, ...ASKING]) }));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
});

const at = (path) => `${world.url}${path}`;

test('a call without payment learns its price, and the API hears nothing of it', async () => {
  const url = at('/api/weather/london?days=3');
  const answer = await call(url);
  assert.equal(answer.status, 402, answer.text);
  const [offer, ...others] = answer.required.accepts;
  assert.deepEqual(others, []);
  assert.equal(offer.amount, String(CENT));
  assert.equal(offer.extra.routeId, 'weather');
  assert.equal(answer.required.resource.url, url);
  assert.equal(answer.required.resource.description, 'The weather of a city.');
  assert.equal(answer.body.nextStep.url, url);
  assert.equal(answer.body.nextStep.method, 'GET');
  assert.equal(answer.body.accepts[0].resource, url);
  assert.equal(answer.body.transferInstead, undefined);
  for (const [path, options] of [
    ['/api/notes', { method: 'POST', body: 'neither JSON nor anything else' }],
    ['/api/notes', { method: 'POST' }],
    ['/api/weather/%00', {}],
  ]) {
    const { status } = await call(at(path), options);
    assert.ok([400, 402].includes(status), `${path}: ${status}`);
  }
  assert.deepEqual(origin.calls, []);
});

for (const [name, pays] of [['of version 2', payingFetch], ['of version 1', legacyFetch]]) {
  test(`the published client ${name} pays for a call and gets the answer of the API`, async () => {
    const buyer = await world.newBuyer();
    const paid = await decodeAnswer(await pays(buyer.privateKey)(at('/api/weather/oslo?days=3')));
    assert.equal(paid.status, 200, paid.text);
    assert.deepEqual(paid.body, { called: 'GET /api/weather/oslo?days=3', body: '', number: 1 });
    const [payment, ...others] = await paidBy(world, buyer);
    assert.deepEqual(others, []);
    assert.equal(payment.value, CENT);
    const receipt = paid.settled ?? paid.settledV1;
    assert.equal(receipt.success, true);
    assert.equal(receipt.transaction, payment.hash);
    assert.equal(paid.headers.get('cache-control'), 'private, no-store');
    const [seen, ...more] = origin.calls;
    assert.deepEqual(more, []);
    assert.equal(seen.headers['x-key0-internal-token'], 'p'.repeat(40));
    assert.equal(seen.headers['x-key0-route'], 'weather');
    assert.equal(seen.headers['x-key0-payer'], buyer.address);
    assert.equal(seen.headers['x-key0-transaction'], undefined, 'with `after` there is none yet');
    assert.ok(seen.headers['idempotency-key']);
    for (const header of ['x-payment', 'payment-signature']) assert.equal(seen.headers[header], undefined);
  });
}

test('a body is paid for before the API is called, or after, as the route says', async () => {
  for (const path of ['/api/notes', '/api/summaries']) {
    const buyer = await world.newBuyer();
    const body = JSON.stringify({ text: 'a'.repeat(40_000) });
    const paid = await decodeAnswer(
      await payingFetch(buyer.privateKey)(at(path), { method: 'POST', headers: { 'content-type': 'application/json' }, body }),
    );
    assert.equal(paid.status, 200, paid.text);
    assert.equal(paid.body.body, body);
    const [payment, ...others] = await paidBy(world, buyer);
    assert.deepEqual(others, []);
    assert.equal(payment.value, 2n * CENT);
    const [seen, ...more] = origin.callsOf(path);
    assert.deepEqual(more, []);
    assert.equal(seen.headers['content-type'], 'application/json');
    assert.equal(seen.headers['x-key0-transaction'], path === '/api/summaries' ? payment.hash : undefined);
  }
});

test('the same payment again gets the same answer and costs nothing', async () => {
  for (const [path, options] of [
    ['/api/weather/rome', {}],
    ['/api/summaries', { method: 'POST', body: { text: 'b' } }],
  ]) {
    const buyer = await world.newBuyer();
    const first = await payFor(at(path), buyer.privateKey, options);
    assert.equal(first.status, 200, first.text);
    const again = await call(at(path), { ...options, payment: first.payment });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.text, first.text);
    assert.deepEqual(again.settled, first.settled);
    assert.equal((await paidBy(world, buyer)).length, 1);
    assert.equal(origin.callsOf(path).length, 1);
  }
});

test('a call that the client has named is one purchase, however often it is signed', async () => {
  const buyer = await world.newBuyer();
  const headers = { 'idempotency-key': randomUUID() };
  const first = await payFor(at('/api/weather/bern'), buyer.privateKey, { headers });
  assert.equal(first.status, 200, first.text);
  const again = await payFor(at('/api/weather/bern'), buyer.privateKey, { headers });
  assert.equal(again.status, 200, again.text);
  assert.equal(again.text, first.text);
  assert.equal((await paidBy(world, buyer)).length, 1);
  assert.equal(origin.calls.length, 1);
});

test('a token of a plan that is listed opens the route without payment', async () => {
  const buyer = await world.newBuyer();
  const { body: grant } = await buy(world.url, buyer.privateKey, { planId: 'basic' });
  const authorization = `Bearer ${grant.accessToken}`;
  const before = await income(world);
  const opened = await call(at('/api/weather/kyiv'), { headers: { authorization, 'if-none-match': '"1"' } });
  assert.equal(opened.status, 200, opened.text);
  assert.equal(opened.settled, undefined);
  assert.equal(opened.headers.get('cache-control'), 'private, no-store');
  const [seen] = origin.calls;
  assert.equal(seen.headers.authorization, undefined);
  assert.equal(seen.headers['x-key0-plan'], 'basic');
  assert.equal(seen.headers['x-key0-payer'], buyer.address);
  assert.equal(seen.headers['x-key0-purchase'], grant.requestId);
  assert.equal(seen.headers['if-none-match'], '"1"');

  const { required } = await call(at('/api/weather/kyiv'));
  const payment = await signPayment(buyer.privateKey, required);
  const both = await call(at('/api/weather/kyiv'), { headers: { authorization }, payment });
  assert.equal(both.status, 200);
  assert.match(both.headers.get('key0-payment-unused') ?? '', /nothing was charged/);
  assert.deepEqual(await income(world), before);

  const unlisted = await call(at('/api/premium/kyiv'), { headers: { authorization } });
  assert.equal(unlisted.status, 402);
  const bent = await call(at('/api/weather/kyiv'), { headers: { authorization: `${authorization.slice(0, -4)}AAAA` } });
  assert.equal(bent.status, 402);
});

test('no API gets a token of ours, not even one that opens another route', async () => {
  const buyer = await world.newBuyer();
  const { body: grant } = await buy(world.url, buyer.privateKey, { planId: 'other' });
  const { required } = await call(at('/api/own'));
  const payment = await signPayment(buyer.privateKey, required);
  const ours = `Bearer ${grant.accessToken}`;
  for (const [authorization, arrives] of [
    [ours, undefined],
    ['Bearer theirs', 'Bearer theirs'],
  ]) {
    origin.calls.length = 0;
    const headers = { authorization };
    assert.equal((await call(at('/api/owned'), { headers })).status, 200);
    assert.equal(origin.calls[0].headers.authorization, arrives);
  }
  origin.calls.length = 0;
  const paid = await call(at('/api/own'), { headers: { authorization: ours }, payment });
  assert.equal(paid.status, 200, paid.text);
  assert.equal(paid.settled.success, true, 'the plan does not open this route');
  assert.equal(origin.calls[0].headers.authorization, undefined);
});

test('a free route is passed through, and what is not listed is not', async () => {
  const free = await call(at('/api/status?full=1'), { headers: { accept: 'application/json' } });
  assert.equal(free.status, 200);
  assert.equal(free.body.called, 'GET /api/status?full=1');
  assert.equal((await call(at('/api/secret'))).status, 404);
  assert.equal((await call(at('/api'))).status, 404);
  assert.equal(origin.calls.length, 1);
  origin.except('/api/status', 500);
  assert.equal((await call(at('/api/status'))).status, 500);
});

test('many calls of one wallet at once each get their own answer and are charged once', async () => {
  const buyer = await world.newBuyer();
  const cities = Array.from({ length: 12 }, (_, number) => `/api/weather/city-${number}`);
  const answers = await Promise.all(cities.map((path) => payFor(at(path), buyer.privateKey)));
  for (const [number, answer] of answers.entries()) {
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.called, `GET ${cities[number]}`);
  }
  const payments = await paidBy(world, buyer);
  assert.equal(payments.length, cities.length);
  assert.equal(new Set(answers.map(({ settled }) => settled.transaction)).size, cities.length);
  for (const path of cities) assert.equal(origin.callsOf(path).length, 1, path);
});

test('two identical requests with one payment at the same moment get one answer', async () => {
  const buyer = await world.newBuyer();
  const url = at('/api/weather/lima');
  const { required } = await call(url);
  const payment = await signPayment(buyer.privateKey, required);
  const answers = await Promise.all([call(url, { payment }), call(url, { payment }), call(url, { payment })]);
  for (const { status, text } of answers) assert.equal(status, 200, text);
  assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
  assert.equal((await paidBy(world, buyer)).length, 1);
  assert.equal(origin.callsOf('/api/weather/lima').length, 1);
});

test('the example agent pays for one call and prints the answer of the API', async () => {
  const buyer = await world.newBuyer();
  const run = (...more) =>
    promisify(execFile)('node', [AGENT, '--url', world.url, '--call', '/api/weather/agra?days=2', ...more], {
      env: { ...process.env, AGENT_PRIVATE_KEY: buyer.privateKey },
    });
  const { stdout } = await run();
  assert.match(stdout, /Calling GET \/api\/weather\/agra\?days=2 for \$0\.01 USDC/);
  assert.match(stdout, /paid in 0x[0-9a-f]{64}/);
  assert.match(stdout, /GET \/api\/weather\/agra\?days=2/);
  assert.equal((await paidBy(world, buyer)).length, 1);
  const json = await run('--json');
  assert.equal(JSON.parse(json.stdout).called, 'GET /api/weather/agra?days=2');
  assert.equal((await paidBy(world, buyer)).length, 2, 'a second call is a second purchase');
  origin.behave(500);
  const failed = await run().catch((error) => error);
  assert.match(failed.stderr, /answered 500, and nothing was charged/);
  assert.equal((await paidBy(world, buyer)).length, 2);
});

test('preflights, HEAD, other methods and upgrades are answered by the gateway', async () => {
  const preflight = await fetch(at('/api/notes'), {
    method: 'OPTIONS',
    headers: { origin: 'https://page.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'x-mine, payment-signature' },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get('access-control-allow-headers'), 'x-mine, payment-signature');
  assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /POST/);
  const head = await fetch(at('/api/weather/oslo'), { method: 'HEAD' });
  assert.equal(head.status, 402);
  assert.ok(head.headers.get('payment-required'));
  const buyer = await world.newBuyer();
  const { required } = await call(at('/api/weather/oslo'));
  const payment = await signPayment(buyer.privateKey, required);
  assert.equal((await call(at('/api/weather/oslo'), { method: 'HEAD', payment })).status, 400);
  const other = await call(at('/api/weather/oslo'), { method: 'DELETE' });
  assert.equal(other.status, 405);
  assert.equal(other.headers.get('allow'), 'GET, HEAD');
  const upgraded = await new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' };
    request(at('/api/weather/oslo'), { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  assert.equal(upgraded, 501);
  assert.deepEqual(origin.calls, []);
  assert.deepEqual(await paidBy(world, buyer), []);
});
