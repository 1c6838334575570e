// A payment buys the call that it was made for, and nothing else.
//
//  1. The payment for a cheap route does not open a dear one; that for one path, query, body or kind of content no other.
//  2. No alias of a path (`..`, encoded, doubled or reversed slashes, another case, an absolute URL) reaches the API under another
//     price, or at all.
//  3. Two different calls with one payment at the same moment: one is answered, the other refused, one charge.
//  4. Nobody poses as the gateway: forged headers do not arrive, and no header is smuggled in.
//  5. What was paid is shown to the payer only: a payment seen on chain opens nothing.
//  6. No transfer is taken for a call.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, beforeEach, test } from 'node:test';
import { call, payFor } from './support/calls.mjs';
import { paidBy, traces } from './support/facts.mjs';
import { startOrigin } from './support/origin.mjs';
import { CENT, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, encodeHeader, signPayment } from './support/x402.mjs';

const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(selling(origin));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
});

const at = (path) => `${world.url}${path}`;

/** A payment that nobody has seen yet. */
async function paymentFor(path, options = {}) {
  const buyer = await world.newBuyer();
  const { required } = await call(at(path), options);
  return { buyer, payment: await signPayment(buyer.privateKey, required) };
}

/** The status line of a request that no client library would send. */
function raw(line, headers = {}) {
  const { hostname, port } = new URL(world.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      const lines = Object.entries({ host: `${hostname}:${port}`, connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}`);
      socket.write(`${line} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    });
    let text = '';
    socket.on('data', (piece) => (text += piece)).on('end', () => resolve(Number(text.split(' ')[1]))).on('error', reject);
  });
}

test('the payment for one call opens no other', async () => {
  const post = (body, type = 'application/json') => ({ method: 'POST', body, headers: { 'content-type': type } });
  const cases = [
    ['/api/weather/oslo', {}, '/api/premium/oslo', {}],
    ['/api/weather/oslo', {}, '/api/weather/rome', {}],
    ['/api/weather/oslo?days=1', {}, '/api/weather/oslo?days=9', {}],
    ['/api/weather/oslo?days=1', {}, '/api/weather/oslo', {}],
    ['/api/search?a=1&b=2', {}, '/api/search?b=2&a=1', {}],
    ['/api/search?q=a+b', {}, '/api/search?q=a%20b', {}],
    ['/api/notes', post('{"n":1}'), '/api/notes', post('{"n":2}')],
    ['/api/notes', post('{"n":1}'), '/api/notes', post('')],
    ['/api/notes', post('a=1'), '/api/notes', post('a=1', 'application/x-www-form-urlencoded')],
    ['/api/summaries', post('{"n":1}'), '/api/notes', post('{"n":1}')],
  ];
  for (const [path, options, otherPath, otherOptions] of cases) {
    const { buyer, payment } = await paymentFor(path, options);
    const refused = await call(at(otherPath), { ...otherOptions, payment });
    assert.ok([400, 402, 409].includes(refused.status), `${path} → ${otherPath}: ${refused.status} ${refused.text}`);
    assert.deepEqual(origin.calls, [], otherPath);
    assert.deepEqual(await paidBy(world, buyer), []);
    const meant = await call(at(path), { ...options, payment });
    assert.equal(meant.status, 200, meant.text);
    assert.equal((await paidBy(world, buyer)).length, 1);
    const after = await call(at(otherPath), { ...otherOptions, payment });
    assert.ok([400, 402, 409].includes(after.status), `${otherPath} afterwards: ${after.status}`);
    assert.equal(origin.calls.length, 1);
    origin.calls.length = 0;
  }
});

test('what a client without an offer id has paid with for one call opens no other', async () => {
  const { buyer, payment } = await paymentFor('/api/weather/oslo');
  const headers = { 'x-payment': encodeHeader(asVersion1(payment)) };
  const meant = await call(at('/api/weather/oslo'), { headers });
  assert.equal(meant.status, 200, meant.text);
  for (const path of ['/api/weather/rome', '/api/search', '/api/weather/oslo?days=9']) {
    const other = await call(at(path), { headers });
    assert.ok([402, 409].includes(other.status), `${path}: ${other.status} ${other.text}`);
  }
  assert.equal((await paidBy(world, buyer)).length, 1);
  assert.equal(origin.calls.length, 1);
});

test('no alias of a path reaches the API', async () => {
  const before = traces(world);
  for (const path of [
    '/api/status/../premium/oslo',
    '/api/status/%2e%2e/premium/oslo',
    '/api/weather/..%2fpremium%2foslo',
    '/api/weather/..%5cpremium',
    '/api//weather/oslo',
    '//api/weather/oslo',
    '/api/weather/oslo;x=1',
    '/api/weather/%2e%2e',
    '/api/weather/oslo%00',
    '/api/weather/%ff',
    '/api/weather/%zz',
    '/api/weather/oslo/extra',
    '/API/STATUS/../PREMIUM/oslo',
    '/api/weather\\oslo',
  ]) {
    const status = await raw(`GET ${path}`);
    assert.ok([400, 402, 404].includes(status), `${path}: ${status}`);
  }
  assert.deepEqual(origin.calls, []);
  assert.equal(await raw('GET http://evil.example/api/premium/oslo'), 402);
  assert.equal(await raw('GET /API/Premium/oslo/'), 402);
  assert.equal(await raw('GET /api/STATUS'), 200);
  assert.equal(origin.calls.at(-1)?.url, '/api/status');
  assert.deepEqual(traces(world), before);
});

test('two different calls with one payment at the same moment: one is answered', async () => {
  const { buyer, payment } = await paymentFor('/api/weather/oslo');
  const answers = await Promise.all([
    call(at('/api/weather/oslo'), { payment }),
    call(at('/api/weather/rome'), { payment }),
    call(at('/api/premium/oslo'), { payment }),
  ]);
  assert.equal(answers[0].status, 200, answers[0].text);
  for (const { status, text } of answers.slice(1)) assert.ok([402, 409].includes(status), text);
  assert.deepEqual(origin.calls.map(({ url }) => url), ['/api/weather/oslo']);
  assert.equal((await paidBy(world, buyer)).length, 1);
});

test('nobody poses as the gateway', async () => {
  const buyer = await world.newBuyer();
  const forged = {
    'x-key0-internal-token': 'guess',
    'x-key0-payer': '0x0000000000000000000000000000000000000001',
    'x-key0-anything': '1',
    'x-forwarded-for': '10.0.0.1',
    'x-http-method-override': 'DELETE',
    'x-original-url': '/api/premium/oslo',
    'accept-language': 'no',
  };
  const paid = await payFor(at('/api/weather/oslo'), buyer.privateKey, { headers: forged });
  assert.equal(paid.status, 200, paid.text);
  const free = await call(at('/api/status'), { headers: forged });
  assert.equal(free.status, 200);
  for (const { headers } of origin.calls) {
    assert.equal(headers['x-key0-internal-token'], 'p'.repeat(40));
    assert.notEqual(headers['x-key0-payer'], forged['x-key0-payer']);
    for (const name of ['x-key0-anything', 'x-forwarded-for', 'x-http-method-override', 'x-original-url']) assert.equal(headers[name], undefined, name);
    assert.equal(headers['accept-language'], 'no');
  }
  assert.equal(await raw('GET /api/status', { 'x-mine': 'a\rx-key0-payer: 0x1' }), 400);
});

test('a payment that was seen on chain opens nothing to others', async () => {
  const { payment } = await paymentFor('/api/weather/oslo');
  const v1 = { 'x-payment': encodeHeader(asVersion1(payment)) };
  const paid = await call(at('/api/weather/oslo'), { headers: v1 });
  assert.equal(paid.status, 200, paid.text);
  const seen = await call(at('/api/weather/oslo'), { headers: v1 });
  assert.equal(seen.status, 409, seen.text);
  assert.equal(seen.body.called, undefined);
  assert.equal(origin.calls.length, 1);
});

test('no transfer is taken for a call', async () => {
  const buyer = await world.newBuyer();
  const { required } = await call(at('/api/weather/oslo'));
  const proof = { challengeId: required.accepts[0].extra.challengeId, txHash: `0x${'11'.repeat(32)}`, signature: `0x${'22'.repeat(65)}` };
  const refused = await access(world.url, { proof });
  assert.equal(refused.status, 400, refused.text);
  assert.deepEqual(await paidBy(world, buyer), []);
  assert.equal(required.accepts[0].amount, String(CENT));
});
