// Tokens of published JWT libraries in the validator, and the worker's tokens in published JWT libraries: jose and
// jsonwebtoken for JavaScript, PyJWT for Python.
//
//  1. Each library signs with HS256 and with RS256; the validator accepts all of it, with the same claims, from a shared
//     secret, a PEM file and a key document.
//  2. The same tokens run out, lack a claim, are under another key or changed in one place: each with the right verdict.
//  3. The worker sells with HS256 and with RS256; each library accepts the token with what the seller publishes, and refuses
//     it under another key.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SignJWT, importJWK, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { inspect } from '../tools/lib/inspector.mjs';
import { ensurePython } from '../tools/lib/python.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const NOW = Math.floor(Date.now() / 1000);
const CLAIMS = {
  sub: '2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11',
  jti: 'c-77',
  resourceId: 'wetter/münchen',
  planId: 'basic',
  txHash: '0xabc',
  iat: NOW - 10,
  exp: NOW + 3600,
  iss: 'https://seller.example',
  payer: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
  chainId: 8453,
};
const secret = randomBytes(32).toString('hex');
const keyPair = () => generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });
const rsa = keyPair();
const KEYS = { HS256: secret, RS256: rsa.privateKey };

let python;
before(async () => {
  python = await ensurePython();
});
/** Runs PyJWT once for all jobs. */
function pyjwt(jobs) {
  const input = jobs.map((job) => `${JSON.stringify(job)}\n`).join('');
  const { status, stdout, stderr } = spawnSync(python, ['tests/support/pyjwt.py'], { input, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}

const MINTS = {
  jose: (claims, algorithm, header) =>
    new SignJWT(claims).setProtectedHeader({ alg: algorithm, ...header }).sign(algorithm === 'HS256' ? Buffer.from(secret) : createPrivateKey(rsa.privateKey)),
  jsonwebtoken: (claims, algorithm, header) => jsonwebtoken.sign(claims, KEYS[algorithm], { algorithm, header: header ?? {} }),
  PyJWT: (claims, algorithm, headers) => pyjwt([{ do: 'mint', claims, algorithm, key: KEYS[algorithm], headers }])[0].token,
};

describe('tokens of published libraries in the validator', () => {
  const folder = mkdtempSync(join(tmpdir(), 'key0-interop-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name, text) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const { n, e } = createPublicKey(rsa.publicKey).export({ format: 'jwk' });
  const jwks = file('jwks.json', JSON.stringify({ keys: [{ kty: 'RSA', use: 'sig', alg: 'RS256', kid: 'k1', n, e }] }));
  const doors = {
    HS256: [['--secret-env', 'TOKEN_SECRET']],
    RS256: [
      ['--public-key', file('public.pem', rsa.publicKey)],
      ['--jwks', jwks],
    ],
  };
  const ask = (door, lines) => inspect([...door, '--now', String(NOW), '--issuer', CLAIMS.iss], lines, { TOKEN_SECRET: secret });

  for (const [library, mint] of Object.entries(MINTS)) {
    for (const algorithm of Object.keys(KEYS)) {
      test(`${library}, ${algorithm}`, async () => {
        const good = [await mint(CLAIMS, algorithm), await mint(CLAIMS, algorithm, { kid: 'k1' }), `Authorization: bearer ${await mint(CLAIMS, algorithm, { typ: 'at+jwt' })}`];
        const { planId: _, ...planless } = CLAIMS;
        const bad = [
          ['expired', 'CHALLENGE_EXPIRED', await mint({ ...CLAIMS, exp: NOW }, algorithm)],
          ['invalid', 'INVALID_REQUEST', await mint(planless, algorithm)],
          ['invalid', 'INVALID_REQUEST', await mint({ ...CLAIMS, planId: 'system' }, algorithm)],
          ['invalid', 'INVALID_REQUEST', await mint({ ...CLAIMS, iss: 'https://other.example' }, algorithm)],
          ['invalid', 'INVALID_REQUEST', good[0].replace('.', '.A')],
        ];
        for (const door of doors[algorithm]) {
          for (const answer of ask(door, good)) {
            assert.deepEqual(answer, { verdict: 'valid', code: null, message: 'The token is valid', claims: CLAIMS });
          }
          const answers = ask(door, bad.map(([, , token]) => token));
          assert.deepEqual(answers.map(({ verdict, code }) => [verdict, code]), bad.map(([verdict, code]) => [verdict, code]));
          assert.equal(answers[1].message, 'The token lacks the claim planId');
        }
        for (const other of doors[algorithm === 'HS256' ? 'RS256' : 'HS256']) {
          assert.deepEqual(ask(other, good).map(({ verdict }) => verdict), ['invalid', 'invalid', 'invalid'], 'the other algorithm');
        }
      });
    }
  }
});

/** Sells one token and has it checked by all three libraries. */
async function checkSold(world, { algorithm, jwk, pem, wrong }) {
  const { privateKey } = await world.newBuyer();
  const sold = await buy(world.url, privateKey, { planId: 'basic' });
  assert.equal(sold.status, 200, sold.text);
  const token = sold.body.accessToken;
  const key = algorithm === 'HS256' ? Buffer.from(world.tokenSecret) : await importJWK(jwk, 'RS256');
  const verified = await jwtVerify(token, key, { algorithms: [algorithm], issuer: world.url });
  const claims = verified.payload;
  assert.equal(claims.txHash, sold.body.txHash);
  assert.deepEqual(jsonwebtoken.verify(token, pem, { algorithms: [algorithm], issuer: world.url }), claims);
  assert.throws(() => jsonwebtoken.verify(token, wrong, { algorithms: [algorithm] }), /invalid signature/);
  const job = { do: 'check', token, algorithm, issuer: world.url };
  assert.deepEqual(pyjwt([{ ...job, ...(jwk ? { jwk } : { key: pem }) }, { ...job, key: wrong }]), [{ claims }, { refused: 'InvalidSignatureError' }]);
}

describe("the worker's HS256 tokens in published libraries", () => {
  const world = useWorld();
  test('all of them accept it', () => checkSold(world, { algorithm: 'HS256', pem: world.tokenSecret, wrong: secret }));
});

describe("the worker's RS256 tokens in published libraries", () => {
  const own = keyPair();
  const world = useWorld({ vars: { KEY0_TOKEN_ALGORITHM: 'RS256', KEY0_ACCESS_TOKEN_PRIVATE_KEY: own.privateKey } });
  test('all of them accept it with what jwks.json and token-info say', async () => {
    const json = async (path) => (await fetch(world.url + path)).json();
    const { keys } = await json('/.well-known/jwks.json');
    const { publicKey } = await json('/.well-known/token-info');
    await checkSold(world, { algorithm: 'RS256', jwk: keys[0], pem: publicKey, wrong: rsa.publicKey });
  });
});
