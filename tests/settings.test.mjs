// The settings stand once, in the code. What else names them is held against the list that a native test makes from it.
//
//  1. wrangler.toml names every setting once: those with a default as they are, the others commented out, secrets in a comment.
//  2. .dev.vars.example names settings only, and no secret stands in wrangler.toml's [vars].
//  3. A misspelled name finds the one it was meant for.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../tools/lib/paths.mjs';
import { readWorkerShape } from '../tools/lib/runtime-config.mjs';
import { SETTINGS, aboutUnknown, isSecret, unknownSettings } from '../tools/lib/settings.mjs';

const read = (name) => readFileSync(join(root, name), 'utf8');
const sorted = (names) => [...names].sort();

test('wrangler.toml names every setting, with its default', () => {
  const { vars } = readWorkerShape();
  for (const { name, default: usual } of SETTINGS) if (name in vars) assert.equal(vars[name], usual, name);
  const text = read('wrangler.toml');
  const commented = [...text.matchAll(/^# ([A-Z][A-Z0-9_]+) = /gm)].map(([, name]) => name);
  const secrets = [...text.matchAll(/^# {3}([A-Z][A-Z0-9_]+) {2,}/gm)].map(([, name]) => name);
  assert.deepEqual(sorted(secrets), sorted([...SETTINGS.filter(({ secret }) => secret).map(({ name }) => name), 'KEY0_RPC_URL']));
  const open = SETTINGS.filter(({ secret }) => !secret).map(({ name }) => name);
  assert.deepEqual(sorted([...Object.keys(vars), ...commented]), sorted(open));
});

test('.dev.vars.example names settings only', () => {
  const names = [...read('.dev.vars.example').matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(unknownSettings(names), []);
  for (const secret of SETTINGS.filter(({ name }) => isSecret(name))) assert.ok(names.includes(secret.name), secret.name);
  // An empty line would hide what wrangler.toml says: only the one secret that every worker needs is left open.
  const open = [...read('.dev.vars.example').matchAll(/^([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(open, ['KEY0_ACCESS_TOKEN_SECRET']);
});

test('a misspelled setting finds the one it was meant for', () => {
  for (const [name, meant] of [
    ['CHALENGE_TTL_SECONDS', 'CHALLENGE_TTL_SECONDS'],
    ['KEY0_RESOURCE_ENDPONT', 'KEY0_RESOURCE_ENDPOINT'],
    ['WALLET_ADDRESS', 'KEY0_WALLET_ADDRESS'],
    ['key0_network', 'KEY0_NETWORK'],
    ['PLAN', 'PLANS'],
    ['DATABASE_PASSWORD', undefined],
  ]) {
    assert.deepEqual(unknownSettings([name, 'PLANS', 'CLOUDFLARE_API_TOKEN']), [{ name, meant }]);
  }
  assert.equal(aboutUnknown({ name: 'PLAN', meant: 'PLANS' }), 'PLAN is no setting and is ignored. Did you mean PLANS?');
});
