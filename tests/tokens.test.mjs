// The token that is sold: who can check it, and how its key is changed without a buyer noticing.
//
//  1. HS256: a published JWT library checks the token with the shared secret alone.
//  2. The secret is changed from A to B: new tokens are B's, A's still open the backend while it knows A, and no more
//     when it has forgotten A.
//  3. The same with RS256: a published JWT library checks with nothing but jwks.json; a new key is published before it
//     signs, and an old one until its last token has expired. The example backend, which knows only the address of
//     jwks.json, follows without a restart.
//  4. token-info and jwks.json say what a backend needs, and nothing secret.

import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { createRemoteJWKSet, decodeProtectedHeader, importSPKI, jwtVerify } from 'jose';
import { startBackend } from '../tools/lib/backend.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const secret = () => randomBytes(32).toString('hex');
const rsaKey = () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { secret: privateKey.export({ type: 'pkcs8', format: 'pem' }), open: publicKey.export({ type: 'spki', format: 'pem' }) };
};
const kid = (token) => decodeProtectedHeader(token).kid;

async function grant(world, buyer, body = { planId: 'basic' }) {
  const { privateKey } = buyer ?? (await world.newBuyer());
  const answer = await buy(world.url, privateKey, body);
  assert.equal(answer.status, 200, answer.text);
  return answer;
}
const token = async (world) => (await grant(world)).body.accessToken;
const json = async (world, path) => (await fetch(world.url + path)).json();

describe('HS256', () => {
  const world = useWorld();

  test('a token is good in a published library that knows only the secret', async () => {
    const sold = await token(world);
    const { payload, protectedHeader } = await jwtVerify(sold, Buffer.from(world.tokenSecret), { algorithms: ['HS256'], issuer: world.url });
    assert.equal(payload.planId, 'basic');
    assert.equal(protectedHeader.typ, 'JWT');
    await assert.rejects(jwtVerify(sold, Buffer.from(secret())), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
    assert.deepEqual(await json(world, '/.well-known/jwks.json'), { keys: [] }, 'a shared secret is not published');
  });

  test('the secret is changed from A to B: A is good as long as the backend knows it', async () => {
    const [a, b] = [world.tokenSecret, secret()];
    const backends = await Promise.all([
      startBackend({ secret: b, env: { KEY0_ACCESS_TOKEN_SECRETS_OLD: a } }),
      startBackend({ secret: b }),
    ]);
    after(() => Promise.all(backends.map((backend) => backend.stop())));
    const [overlap, later] = backends;
    const open = async (backend, bearer) => {
      const answer = await fetch(`${backend.url}/api/default`, { headers: { authorization: `Bearer ${bearer}` } });
      return { status: answer.status, code: (await answer.json()).code };
    };

    const buyer = await world.newBuyer();
    const first = await grant(world, buyer);
    const signedByA = first.body.accessToken;
    await world.restartWorker({ KEY0_ACCESS_TOKEN_SECRET: b, KEY0_ACCESS_TOKEN_SECRETS_OLD: a });
    const signedByB = await token(world);
    assert.notEqual(kid(signedByB), kid(signedByA));
    assert.deepEqual(await open(overlap, signedByA), { status: 200, code: undefined });
    assert.deepEqual(await open(overlap, signedByB), { status: 200, code: undefined });
    assert.deepEqual(await open(later, signedByB), { status: 200, code: undefined });
    assert.deepEqual(await open(later, signedByA), { status: 401, code: 'INVALID_REQUEST' });

    const again = await access(world.url, { planId: 'basic' }, { payment: first.payment });
    assert.equal(again.status, 200, again.text);
    assert.equal(again.body.challengeId, first.body.challengeId, 'what was bought under A is still the same purchase');
    assert.equal(kid(again.body.accessToken), kid(signedByB), 'and its token is signed anew');
    assert.deepEqual(await open(later, again.body.accessToken), { status: 200, code: undefined });
  });
});

describe('RS256', () => {
  const [a, b] = [rsaKey(), rsaKey()];
  // As settings often carry it: in one line.
  const world = useWorld({ vars: { KEY0_TOKEN_ALGORITHM: 'RS256', KEY0_ACCESS_TOKEN_PRIVATE_KEY: a.secret.replaceAll('\n', '\\n') } });
  // A new set each time: the library would keep the keys for a while.
  const check = (bearer) =>
    jwtVerify(bearer, createRemoteJWKSet(new URL(`${world.url}/.well-known/jwks.json`)), { algorithms: ['RS256'], issuer: world.url });

  test('a token is good in a published library that knows only the address of the keys', async () => {
    const sold = await grant(world);
    const { payload, protectedHeader } = await check(sold.body.accessToken);
    assert.equal(payload.txHash, sold.body.txHash);
    assert.equal(protectedHeader.alg, 'RS256');
    const again = await access(world.url, { planId: 'basic' }, { payment: sold.payment });
    assert.equal(again.body.accessToken, sold.body.accessToken, 'the same token again, though none is stored');
  });

  test('token-info and jwks.json say what a backend needs and nothing secret', async () => {
    const info = await json(world, '/.well-known/token-info');
    assert.equal(info.algorithm, 'RS256');
    assert.equal(info.jwksUrl, `${world.url}/.well-known/jwks.json`);
    assert.equal(info.publicKey, a.open);
    const { keys } = await json(world, '/.well-known/jwks.json');
    const { n, e } = createPublicKey(a.open).export({ format: 'jwk' });
    assert.deepEqual(keys, [{ kty: 'RSA', use: 'sig', alg: 'RS256', kid: info.keyId, n, e }]);
    await jwtVerify(await token(world), await importSPKI(info.publicKey, 'RS256'));
  });

  test('the key is changed from A to B: A is good as long as it is published', async () => {
    const signedByA = await token(world);
    const backend = await startBackend({ secret: '', env: { KEY0_JWKS_URL: `${world.url}/.well-known/jwks.json` } });
    after(() => backend.stop());
    const opens = async (bearer) => (await fetch(`${backend.url}/api/default`, { headers: { authorization: `Bearer ${bearer}` } })).status;
    assert.equal(await opens(signedByA), 200);
    const vars = { KEY0_ACCESS_TOKEN_PRIVATE_KEY: b.secret, KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD: a.open };
    await world.restartWorker(vars);
    const signedByB = await token(world);
    assert.notEqual(kid(signedByB), kid(signedByA));
    await check(signedByA);
    await check(signedByB);
    // It may have fetched the keys less than ten seconds ago; then it does not at once.
    await poll(async () => (await opens(signedByB)) === 200, 'the backend knows the new key', 40_000);
    assert.equal(await opens(signedByA), 200);
    assert.equal(await opens(`${signedByA.slice(0, -2)}AA`), 401);
    assert.deepEqual((await json(world, '/.well-known/jwks.json')).keys.map((key) => key.kid), [kid(signedByB), kid(signedByA)]);

    await world.restartWorker({ KEY0_ACCESS_TOKEN_PRIVATE_KEY: b.secret });
    await check(await token(world));
    await assert.rejects(check(signedByA), { code: 'ERR_JWKS_NO_MATCHING_KEY' });
  });

  test('a key is published before it signs', async () => {
    await world.restartWorker({ KEY0_TOKEN_ALGORITHM: 'HS256', KEY0_ACCESS_TOKEN_PRIVATE_KEY: b.secret });
    assert.equal(decodeProtectedHeader(await token(world)).alg, 'HS256');
    assert.equal((await json(world, '/.well-known/jwks.json')).keys.length, 1);
  });
});
