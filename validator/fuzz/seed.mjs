// Promises: the hostile tokens of the tests, and the key files, as a corpus for the fuzz targets to start from.
//
//   node validator/fuzz/seed.mjs

import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

const tests = new URL('../tests/', import.meta.url);
const corpus = (target) => {
  const folder = new URL(`corpus/${target}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  let count = 0;
  return (data) => writeFileSync(new URL(`seed-${count++}`, folder), data);
};
const decoded = (part) => Buffer.from(part, 'base64url');

const token = corpus('token');
for (const line of readFileSync(new URL('hostile/table.jsonl', tests), 'utf8').trim().split('\n')) {
  const [, value] = JSON.parse(line).authorization?.split(' ') ?? [];
  if (!value) continue;
  const [header, payload, signature] = value.split('.');
  // The target has the tests' RSA keys, and asserts that nobody guesses a signature: do not give it good ones.
  token(signature?.length > 300 ? `${header}.${payload}.${'A'.repeat(signature.length)}` : value);
  // What the target signs itself: header, line break, claims.
  if (payload !== undefined) token(Buffer.concat([decoded(header), Buffer.from('\n'), decoded(payload)]));
}

const jwks = corpus('jwks');
const keys = new URL('keys/', tests);
for (const file of readdirSync(keys)) jwks(readFileSync(new URL(file, keys)));
const number = (pem, at, length) => decoded(pem.replace(/-.*-|\s/g, '')).subarray(at, length).toString('base64url');
const n = number(readFileSync(new URL('a.pub.pem', keys), 'utf8'), 33, 33 + 256);
const key = { kty: 'RSA', use: 'sig', alg: 'RS256', key_ops: ['verify'], kid: 'a', n, e: 'AQAB' };
jwks(JSON.stringify({ keys: [key] }));
jwks(JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: n, y: n }, { ...key, d: 'AQAB' }, { kty: 'oct', k: 'AQAB' }] }));
