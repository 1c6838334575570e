// How the worker shows the seller's backend who calls, in each of the four ways.
//
//  1. none: no header. shared-secret: the header and the secret, also under another name.
//  2. jwt: a token for each call, which a published JWT library accepts with the shared secret or with jwks.json, with the
//     documented claims, good for a minute, and which opens nothing that is sold.
//  3. oauth: 100 parallel purchases cause one token request, a documented form.
//  4. The backend takes no more of that token (401): exactly one renewal, and no buyer notices.
//  5. The token comes to its end: exactly one renewal for everybody.
//  6. The authorization server is down: the buyer is told 500 INTERNAL_ERROR and gets the goods when it is back.
//  7. After a restart the kept token serves. It is stored encrypted.
//  8. No answer and no log line holds a secret or a token.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { startAuthorizationServer } from './support/authorization-server.mjs';
import { stored } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const issuer = await startIssuer();
const secret = () => randomBytes(32).toString('hex');
const vars = { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url };
const client = { id: 'key0', secret: secret() };
const server = await startAuthorizationServer(client);
after(() => Promise.all([issuer.stop(), server.stop()]));

/** Buys, and returns what the backend was sent. */
async function headersOfACall(world) {
  const buyer = await world.newBuyer();
  const requestId = randomUUID();
  const bought = await buy(world.url, buyer.privateKey, { planId: 'basic', requestId });
  assert.equal(bought.status, 200, bought.text);
  return issuer.callsFor(requestId)[0].headers;
}

describe('a secret that both know', () => {
  const world = useWorld({ backend: false, vars });
  const shared = secret();

  test('travels in the header that is set, and nothing does without a strategy', async () => {
    const bare = await headersOfACall(world);
    assert.equal(bare['x-internal-auth'], undefined);
    assert.equal(bare.authorization, undefined);
    await world.restartWorker({ BACKEND_AUTH_STRATEGY: 'shared-secret', INTERNAL_AUTH_SECRET: shared });
    assert.equal((await headersOfACall(world))['x-internal-auth'], shared);
    await world.restartWorker({ BACKEND_AUTH_STRATEGY: 'shared-secret', INTERNAL_AUTH_SECRET: shared, INTERNAL_AUTH_HEADER: 'X-Gateway' });
    assert.equal((await headersOfACall(world))['x-gateway'], shared);
    assert.ok(world.logs.every((line) => !line.includes(shared)));
  });
});

describe('a token that is signed for each call', () => {
  const strategy = { ...vars, BACKEND_AUTH_STRATEGY: 'jwt' };
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const rsa = { KEY0_TOKEN_ALGORITHM: 'RS256', KEY0_ACCESS_TOKEN_PRIVATE_KEY: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) };
  const world = useWorld({ vars: { ...strategy, BACKEND_AUTH_AUDIENCE: 'issuing' } });

  async function assertService(key, algorithm) {
    const tokens = [];
    for (let i = 0; i < 2; i += 1) tokens.push((await headersOfACall(world)).authorization.replace('Bearer ', ''));
    const [one, two] = await Promise.all(tokens.map((token) => jwtVerify(token, key, { algorithms: [algorithm], issuer: world.url })));
    const { sub, resourceId, planId, txHash, iat, exp } = one.payload;
    assert.deepEqual({ sub, resourceId, planId, txHash }, { sub: 'key0-service', resourceId: 'issuing', planId: 'system', txHash: 'system-auth' });
    assert.equal(exp - iat, 60);
    assert.notEqual(one.payload.jti, two.payload.jti);
    return tokens[0];
  }

  test('is good in a published library, and opens nothing that is sold', async () => {
    const token = await assertService(Buffer.from(world.tokenSecret), 'HS256');
    const answer = await fetch(`${world.backend.url}/api/issuing`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 401);
    await world.restartWorker({ ...rsa });
    await assertService(createRemoteJWKSet(new URL(`${world.url}/.well-known/jwks.json`)), 'RS256');
  });
});

describe('a token of an authorization server', () => {
  const world = useWorld({
    backend: false,
    vars: {
      ...vars,
      BACKEND_AUTH_STRATEGY: 'oauth',
      OAUTH_TOKEN_URL: server.url,
      OAUTH_CLIENT_ID: client.id,
      OAUTH_CLIENT_SECRET: client.secret,
      OAUTH_SCOPES: 'issue,notify',
      OAUTH_AUDIENCE: 'https://backend.example',
      REFUND_MIN_AGE_MS: '120000',
      BACKEND_NOTIFICATIONS: 'false',
    },
  });
  const answers = [];
  const given = [];

  /** So many buyers at the same time. */
  async function crowd(count) {
    issuer.admit(server.letsIn);
    const orders = [];
    for (let i = 0; i < count; i += 1) {
      const buyer = await world.newBuyer();
      const body = { planId: 'basic', requestId: randomUUID() };
      const { required } = await access(world.url, body);
      orders.push({ body, payment: await signPayment(buyer.privateKey, required) });
    }
    const bought = orders.map(({ body, payment }) =>
      poll(async () => {
        const answer = await access(world.url, body, { payment });
        answers.push(answer.text);
        return ![502, 503].includes(answer.status) && answer;
      }, 'an answer', 90_000),
    );
    const statuses = (await Promise.all(bought)).map(({ status }) => status);
    assert.deepEqual(new Set(statuses), new Set([200]));
    given.push(...server.good);
  }

  test('100 parallel purchases cause one token request', async () => {
    server.settings.delayMs = 300;
    await crowd(100);
    assert.equal(server.requests.length, 1);
    const [{ form, type }] = server.requests;
    assert.equal(type, 'application/x-www-form-urlencoded');
    assert.deepEqual(form, {
      grant_type: 'client_credentials',
      client_id: client.id,
      client_secret: client.secret,
      scope: 'issue notify',
      audience: 'https://backend.example',
    });
  });

  test('a 401 of the backend causes exactly one renewal, which no buyer notices', async () => {
    server.requests.length = 0;
    server.revoke();
    await crowd(20);
    assert.equal(server.requests.length, 1);
  });

  test('a token at its end is renewed exactly once', async () => {
    server.requests.length = 0;
    server.revoke();
    server.settings.lifetime = 12;
    await crowd(1);
    const ends = Date.now() + 2_000;
    server.settings.lifetime = 3600;
    await poll(() => Date.now() > ends, 'the last ten seconds of the token');
    await crowd(20);
    assert.equal(server.requests.length, 2);
  });

  test('what was given serves after a restart, and is stored encrypted', async () => {
    server.requests.length = 0;
    await world.killWorker();
    await world.restartWorker();
    await crowd(1);
    assert.equal(server.requests.length, 0);
    const disk = JSON.stringify(stored(world));
    assert.ok(stored(world).BackendTokenObject, 'something is stored');
    assert.ok([...server.good, client.secret].every((text) => !disk.includes(text)));
  });

  test('without an authorization server the buyer is told so, and gets the goods when it is back', async () => {
    server.revoke();
    server.settings.status = 503;
    const buyer = await world.newBuyer();
    const body = { planId: 'basic', requestId: randomUUID() };
    const bought = await buy(world.url, buyer.privateKey, body);
    answers.push(bought.text);
    assert.equal(bought.status, 500, bought.text);
    assert.equal(bought.body.code, 'INTERNAL_ERROR');
    assert.equal(bought.body.details.state, 'PAID');
    server.settings.status = 200;
    await poll(async () => (await access(world.url, body, { payment: bought.payment })).status === 200, 'the delivery', 30_000);
    assert.equal((await world.chain.transfers({ from: buyer.address, to: world.seller.address })).length, 1);
    assert.deepEqual(await world.chain.transfers({ from: world.seller.address, to: buyer.address }), []);
  });

  test('no answer and no log line holds a secret or a token', () => {
    const told = [...answers, ...world.logs];
    assert.ok(world.logs.some((line) => line.includes('oauth_failed')), 'the failure was logged');
    for (const text of [client.secret, ...given]) assert.ok(told.every((line) => !line.includes(text)), 'a secret was told');
  });
});
