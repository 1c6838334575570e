// Coinbase's facilitator, which answers only with a key. A server of ours plays its host; the worker is not told so, and
// checks each request's token with a published library. Behind it is a real facilitator.
//
//  1. Every kind of key that operators have: Ed25519; P-256 in PKCS#8 and in SEC1, with real and with written line ends. Each
//     request has a fresh token that is good for its own path and two minutes; the purchase succeeds.
//  2. No other facilitator is sent a token, and neither key nor token is in any answer or log line.
//  3. A key that is not accepted: nothing is settled, and the buyer is told to come back.

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { income } from './support/facts.mjs';
import { forward, startOutbound } from './support/outbound.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const HOST = 'api.cdp.coinbase.com';
const BASE = '/platform/v2/x402';
const KEY_ID = 'organizations/0a1b/apiKeys/2c3d';

const real = await startFacilitator();
const foreign = await startFacilitator();
const outbound = await startOutbound({ [HOST]: (call) => coinbase(call) });
after(() => Promise.all([real.stop(), foreign.stop(), outbound.stop()]));
const world = useWorld({ backend: false, vars: settledBy(real) }, async ({ chain }) => {
  await real.connect(chain);
  await foreign.connect(chain);
});

/** What the current key's public half and algorithm are, and the tokens that were accepted. */
let expected;
const tokens = [];

async function coinbase({ method, url, headers, body }) {
  try {
    assert.equal(url.protocol, 'https:');
    const token = headers.get('authorization').replace(/^Bearer /, '');
    const { publicKey, algorithm } = expected;
    const options = { algorithms: [algorithm], issuer: 'cdp', subject: KEY_ID, typ: 'JWT', requiredClaims: ['nbf', 'exp', 'iat'] };
    const { payload } = await jwtVerify(token, publicKey, options);
    assert.equal(payload.exp - payload.iat, 120);
    assert.equal(payload.nbf, payload.iat);
    assert.deepEqual(payload.uris, [`${method} ${HOST}${url.pathname}`]);
    const { kid, nonce, ...header } = decodeProtectedHeader(token);
    assert.deepEqual([kid, header], [KEY_ID, { alg: algorithm, typ: 'JWT' }]);
    assert.match(nonce, /^[0-9a-f]{32}$/);
    assert.ok(!tokens.includes(token));
    tokens.push(token);
  } catch (error) {
    return Response.json({ errorType: 'unauthorized', errorMessage: error.message }, { status: 401 });
  }
  return forward({ method, headers, body }, url.href.replace(`https://${HOST}${BASE}`, real.url));
}

const ed25519 = generateKeyPairSync('ed25519');
const jwk = ed25519.privateKey.export({ format: 'jwk' });
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = (type) => p256.privateKey.export({ type, format: 'pem' });
const keys = {
  'Ed25519': ['EdDSA', Buffer.concat([Buffer.from(jwk.d, 'base64url'), Buffer.from(jwk.x, 'base64url')]).toString('base64'), ed25519],
  'P-256 in PKCS#8': ['ES256', pem('pkcs8'), p256],
  'P-256 in PKCS#8 with written line ends': ['ES256', pem('pkcs8').replaceAll('\n', '\\n'), p256],
  'P-256 in SEC1': ['ES256', pem('sec1'), p256],
};
const vars = (secret, more = '') => ({ FACILITATOR_URL: `${more}https://${HOST}${BASE}`, CDP_API_KEY_ID: KEY_ID, CDP_API_KEY_SECRET: secret });
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const mine = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

for (const [kind, [algorithm, secret, { publicKey }]] of Object.entries(keys)) {
  test(`a purchase is settled with a key of the kind ${kind}`, async () => {
    expected = { algorithm, publicKey };
    await world.restartWorker(vars(secret), outbound.address);
    const health = await (await fetch(`${world.url}/health`)).json();
    assert.deepEqual(health.settlement, [{ facilitator: HOST, status: 'ok' }]);
    const before = tokens.length;
    const buyer = await world.newBuyer();
    const bought = await buy(world.url, buyer.privateKey, order());
    assert.equal(bought.status, 200, bought.text);
    assert.deepEqual((await mine(buyer)).map(({ hash }) => hash), [bought.body.txHash]);
    assert.equal(tokens.length, before + 2);
  });
}

test('no other facilitator is sent a token, and nothing shows key or token', async () => {
  const [algorithm, secret, { publicKey }] = keys.Ed25519;
  expected = { algorithm, publicKey };
  await world.restartWorker(vars(secret, `${foreign.url},`), outbound.address);
  foreign.on('verify', { kind: 'answer', status: 401, body: { error: 'who are you?' } });
  const answers = [await (await fetch(`${world.url}/health`)).text()];
  const buyer = await world.newBuyer();
  const bought = await buy(world.url, buyer.privateKey, order());
  assert.equal(bought.status, 200, bought.text);
  answers.push(bought.text, JSON.stringify([...bought.headers]));
  assert.deepEqual(foreign.calls.map(({ action }) => action), ['supported', 'verify']);
  for (const { headers } of foreign.calls) assert.equal(headers.authorization, undefined);
  const shown = [...answers, ...world.logs].join('\n');
  for (const hidden of [...Object.values(keys).map(([, text]) => text), ...tokens, KEY_ID]) assert.ok(!shown.includes(hidden));
  assert.ok(tokens.length >= 10);
});

test('a key that is not accepted settles nothing, and the buyer is told to come back', async () => {
  const [, secret] = keys.Ed25519;
  const other = generateKeyPairSync('ed25519');
  expected = { algorithm: 'EdDSA', publicKey: createPublicKey(createPrivateKey(other.privateKey.export({ type: 'pkcs8', format: 'pem' }))) };
  await world.restartWorker(vars(secret), outbound.address);
  assert.equal((await (await fetch(`${world.url}/health`)).json()).status, 'degraded');
  const buyer = await world.newBuyer();
  const pending = await buy(world.url, buyer.privateKey, order());
  assert.equal(pending.status, 503, pending.text);
  assert.equal(pending.body.code, 'SETTLEMENT_PENDING');
  assert.deepEqual(await mine(buyer), []);
  await world.restartWorker();
});
