// A deployment whose settings are wrong.
//
//  1. Required settings are missing: every endpoint answers 500 CONFIG_INVALID and names each of them; /health answers 503
//     misconfigured with the same list.
//  2. Every setting is wrong at once: each is named, with a reason, and no value is shown, in no answer and no log line.
//  3. One setting is wrong: it alone is named.
//  4. Settings that are dangerous together are refused on mainnet; others are warned of, in /health and the log.
//  5. The same deployment with good settings sells.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const PATHS = ['/discover', '/.well-known/agent-card.json', '/.well-known/agent.json', '/.well-known/agent-card-keys.json', '/.well-known/token-info', '/.well-known/jwks.json', '/x402/access', '/a2a'];
const POSTED = { '/x402/access': '{"planId":"basic"}', '/a2a': '{"jsonrpc":"2.0","id":1,"method":"ListTasks"}' };
const REQUIRED = ['KEY0_WALLET_ADDRESS', 'KEY0_ACCESS_TOKEN_SECRET'];
const nothing = Object.fromEntries(REQUIRED.map((name) => [name, '']));
const world = useWorld({ backend: false, vars: nothing });

/** What /health lists; every other endpoint must list the same, and sell nothing. */
async function problems() {
  const health = await fetch(`${world.url}/health`);
  assert.equal(health.status, 503);
  assert.equal(health.headers.get('cache-control'), 'no-store');
  const { status, service, problems: listed } = await health.json();
  assert.deepEqual([status, service], ['misconfigured', 'key0']);
  for (const path of PATHS) {
    const init = path in POSTED ? { method: 'POST', body: POSTED[path] } : {};
    const answer = await fetch(world.url + path, init);
    assert.equal(answer.status, 500, path);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    const body = await answer.json();
    assert.equal(body.code, 'CONFIG_INVALID');
    assert.deepEqual(body.details.problems, listed);
  }
  for (const { name, reason } of listed) assert.ok(name && reason, `${name}: ${reason}`);
  return listed;
}
const names = (listed) => listed.map(({ name }) => name).sort();

test('without its required settings every endpoint says which are missing, and nothing is sold', async () => {
  assert.deepEqual(names(await problems()), [...REQUIRED].sort());
  assert.equal((await fetch(`${world.url}/nothing`)).status, 500, 'any path may be a route of the seller');
  assert.equal((await fetch(`${world.url}/discover`, { method: 'POST' })).status, 405);
});

test('with every setting wrong each is named once, and no value is shown anywhere', async () => {
  const canary = 'canary-7f3a';
  const wrong = {
    KEY0_NETWORK: canary,
    KEY0_WALLET_ADDRESS: `0x${canary}`,
    KEY0_ACCESS_TOKEN_SECRET: canary,
    KEY0_ACCESS_TOKEN_SECRETS_OLD: canary,
    KEY0_TOKEN_ALGORITHM: canary,
    KEY0_ACCESS_TOKEN_PRIVATE_KEY: canary,
    KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT: canary,
    KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD: canary,
    KEY0_TOKEN_TTL_SECONDS: canary,
    KEY0_PUBLIC_URL: canary,
    KEY0_RPC_URL: `ftp://${canary}`,
    KEY0_CONFIRMATIONS: canary,
    CHALLENGE_TTL_SECONDS: canary,
    TOKEN_MODE: canary,
    USE_GAS_WALLET: canary,
    GAS_WALLET_PRIVATE_KEY: `0x${canary}`,
    FACILITATOR_URL: `https://good.example,ftp://${canary}`,
    CDP_API_KEY_SECRET: canary,
    BACKEND_API_URL: canary,
    KEY0_RESOURCE_ENDPOINT: canary,
    PROVIDER_URL: canary,
    // The fault shows the plan's id: every buyer sees the id, and it tells the seller which plan to correct.
    PLANS: `[{"planId":"basic","unitAmount":"${canary}","description":["${canary}"],"resourceIds":["${canary} "]}]`,
    A2A_ENABLED: canary,
    A2A_CARD_KEY: canary,
    MCP_ENABLED: canary,
    MCP_ALLOWED_ORIGINS: `https://good.example,${canary}`,
    AGENT_NAME: canary.repeat(10),
    AGENT_DESCRIPTION: canary.repeat(100),
  };
  await world.restartWorker(wrong);
  const listed = await problems();
  for (const name of Object.keys(wrong)) assert.ok(names(listed).includes(name), `${name} is not named`);
  assert.equal(new Set(names(listed)).size, listed.length, 'a setting is named twice');
  assert.ok(!JSON.stringify(listed).includes(canary), JSON.stringify(listed));
  assert.deepEqual(world.logs.filter((line) => line.includes(canary)), []);
});

test('with one setting wrong that one is named', async () => {
  const good = { ...nothing, KEY0_WALLET_ADDRESS: world.seller.address, KEY0_ACCESS_TOKEN_SECRET: 'x'.repeat(32), USE_GAS_WALLET: 'true', GAS_WALLET_PRIVATE_KEY: world.gasWallet.privateKey };
  const wrong = {
    KEY0_ACCESS_TOKEN_SECRET: 'x'.repeat(31),
    KEY0_WALLET_ADDRESS: `${world.seller.address}0`,
    GAS_WALLET_PRIVATE_KEY: `0x${'0'.repeat(64)}`,
    USE_GAS_WALLET: 'maybe',
    FACILITATOR_URL: 'x402.org/facilitator',
    KEY0_NETWORK: 'base',
    PLANS: '[{"planId":"a","unitAmount":"$1"},{"planId":"a","unitAmount":"$2"}]',
    CHALLENGE_TTL_SECONDS: '0',
  };
  for (const [name, value] of Object.entries(wrong)) {
    await world.restartWorker({ ...good, [name]: value });
    assert.deepEqual(names(await problems()), [name], name);
  }

  // Without a gas wallet a facilitator settles: on testnet a public one, on mainnet one that wants a key.
  const alone = { ...good, USE_GAS_WALLET: '', GAS_WALLET_PRIVATE_KEY: '' };
  await world.restartWorker({ ...alone, KEY0_NETWORK: 'mainnet' });
  assert.deepEqual(names(await problems()), ['CDP_API_KEY_ID']);
  await world.restartWorker({ ...alone, USE_GAS_WALLET: 'true' });
  assert.deepEqual(names(await problems()), ['GAS_WALLET_PRIVATE_KEY']);

  const mainnet = { ...good, KEY0_NETWORK: 'mainnet' };
  const old = 'an earlier token secret of 32 characters';
  const dangers = {
    GAS_WALLET_PRIVATE_KEY: { ...mainnet, KEY0_WALLET_ADDRESS: world.gasWallet.address, KEY0_WALLET_PRIVATE_KEY: '' },
    KEY0_WALLET_ADDRESS: { ...mainnet, KEY0_WALLET_ADDRESS: '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266', KEY0_WALLET_PRIVATE_KEY: '' },
    KEY0_RPC_URL: { ...mainnet, KEY0_RPC_URL: 'http://rpc.example' },
    KEY0_ADMIN_SECRET: { ...good, KEY0_ACCESS_TOKEN_SECRETS_OLD: old, KEY0_ADMIN_SECRET: old },
  };
  for (const [name, settings] of Object.entries(dangers)) {
    await world.restartWorker(settings);
    assert.deepEqual(names(await problems()), [name], name);
  }

  await world.restartWorker({ ...good, TOKEN_MODE: 'remote', BACKEND_API_URL: 'http://127.0.0.1:9', REFUND_MIN_AGE_MS: '15000' });
  const { warnings } = await (await fetch(`${world.url}/health`)).json();
  assert.deepEqual(names(warnings), ['BACKEND_AUTH_STRATEGY', 'TOKEN_ISSUE_TIMEOUT_MS']);
  for (const { name } of warnings) assert.ok(world.logs.some((line) => line.includes('unsafe_setting') && line.includes(name)), name);

  await world.restartWorker(good);
  assert.equal((await fetch(`${world.url}/health`)).status, 200);
  const buyer = await world.newBuyer();
  assert.equal((await buy(world.url, buyer.privateKey, { planId: 'basic' })).status, 200);
});
