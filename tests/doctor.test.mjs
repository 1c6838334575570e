// `npm run doctor` as a user runs it.
//
//  1. A world in order: no fault, no warning, exit code 0; as text and as JSON. Nothing was bought and no secret is shown.
//  2. Deployments broken on purpose, each a real worker with that fault: the fault is named, nothing else is, exit code 2.
//     Settings wrong · no RPC endpoint · RPC of another chain · a spare endpoint that is dead · an empty gas wallet · a
//     facilitator without our network, and one that is down · a refund wallet without ether, or with code that refuses its key ·
//     a wrong public address.
//  3. A proxy in front that changes answers: the mainnet name on the test network, another recipient, another price, an
//     unpadded header, null, too large a header, no CORS, a cacheable offer, a redirect.
//  4. What works and deserves a word is a warning: plans above $1, little ether, no refunds. Exit code 0.
//     Registries find the operations and their prices, by the rules of a published checker; too many for them, or too long, is said.
//  5. Endpoints given with --rpc: another chain, a liar, a dead one. A settings file that is not the deployment's.
//  6. Plans that cost less than their gas are known. (On a local chain gas has whatever price: nothing is said of it.)
//  7. The backend, asked from here: there, not there, without the paths, open to anybody. Misspelled settings. Advice that fits.
//  8. Nothing to look at, or not a key0: exit code 1 and one sentence.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { NETWORKS, startChain } from '../tools/lib/chain.mjs';
import { belowGas, gasCost, pricesOf } from '../tools/lib/doctor/offer.mjs';
import { whetherItSells } from '../tools/lib/sells.mjs';
import { testAccount } from '../tools/lib/world.mjs';
import { changeOffer, runDoctor, startMeddler } from './support/doctor.mjs';
import { settledBy, startFacilitator } from './support/facilitator.mjs';
import { income } from './support/facts.mjs';
import { startRpcProxy } from './support/rpc-proxy.mjs';
import { delegated } from './support/smart-wallets.mjs';
import { newSender, transfer } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';

const DEAD = 'http://127.0.0.1:9';
const plans = (...prices) => JSON.stringify(prices.map((unitAmount, at) => ({ planId: `plan-${at}`, unitAmount, description: 'Some access.' })));
/** Settings that sell this many routes, with paths of this length. */
const routes = (count, length = 20) => ({
  PROXY_TO_BASE_URL: DEAD,
  KEY0_PROXY_SECRET: 'p'.repeat(40),
  ROUTES: JSON.stringify(Array.from({ length: count }, (_, at) => ({ routeId: `r${at}`, method: 'GET', path: `/${at}/:city/`.padEnd(length, 'p'), unitAmount: '$0.01', description: 'A call.' }))),
});
const world = useWorld({ backend: false, vars: { PLANS: plans('$0.015', '$0.10') } });
/** A chain that looks like Base, a facilitator, and a proxy in front of the worker. */
let base, facilitator, meddler;
before(async () => {
  base = await startChain({ network: 'mainnet' });
  facilitator = await startFacilitator();
  meddler = await startMeddler(() => world.url);
});
after(async () => {
  await meddler?.close();
  await facilitator?.stop();
  await base?.stop();
});

/** The doctor's findings that are not good, as `check: result`, each once. */
async function examine(url = world.url, ...more) {
  const run = await runDoctor(url, '--json', ...more);
  assert.ok(run.report, run.stderr);
  const bad = run.report.findings.filter(({ result }) => result !== 'ok');
  for (const { todo, message } of bad) assert.ok(todo && message, 'what is not good says what to do');
  assert.equal(run.report.faults, bad.filter(({ result }) => result === 'fault').length);
  return { ...run, bad, names: [...new Set(bad.map(({ check, result }) => `${check}: ${result}`))] };
}

async function assertNames(found, names, words) {
  assert.deepEqual(found.names, names, JSON.stringify(found.bad, null, 2));
  assert.equal(found.code, names.some((name) => name.endsWith('fault')) ? 2 : 0);
  if (words) assert.match(found.bad.map(({ message }) => message).join('\n'), words);
}

describe('a world in order', () => {
  test('has no fault and no warning, and nothing was bought', async () => {
    await world.restartWorker();
    await assertNames(await examine(world.url, '--rpc', world.chain.url), []);
    const { code, stdout, stderr } = await runDoctor(world.url, '--rpc', world.chain.url);
    assert.equal(code, 0, stdout + stderr);
    for (const words of ['✓ All settings are valid.', 'signs as "USDC"', 'The gas wallet', 'no faults, no warnings', 'The agent card is good']) assert.ok(stdout.includes(words), `${words}\n${stdout}`);
    assert.doesNotMatch(stdout, /✗|undefined|NaN|\[object/);
    assert.deepEqual(await income(world), []);
  });

  test('on Base as well', async () => {
    await base.fund(world.gasWallet.address, '1');
    await world.restartWorker({ KEY0_NETWORK: 'mainnet', KEY0_RPC_URL: `${base.url},${base.url}` });
    const found = await examine(world.url, '--rpc', base.url);
    await assertNames(found, []);
    const reminder = found.report.findings.find(({ check }) => check === 'real-money');
    assert.match(reminder.message, /test money.*must be a new one/);
  });

  test('with its settings file, of which no secret is shown', async () => {
    await world.restartWorker();
    const file = join(world.state, 'settings.env');
    writeFileSync(file, Object.entries(world.settings).map(([name, value]) => `${name}='${value}'\n`).join(''));
    const found = await examine(world.url, '--env', file);
    await assertNames(found, []);
    const text = await runDoctor(world.url, '--env', file);
    for (const [name, value] of Object.entries(world.settings)) {
      if (/SECRET|PRIVATE/.test(name)) for (const told of [found.stdout, text.stdout, text.stderr]) assert.ok(!told.includes(value.replace(/^0x/, '')), name);
    }
    assert.ok(text.stdout.includes('The file fits the deployment.'));
    assert.match(text.stdout, /is in this\s+deployment's\s+ledger/);
  });

  test('but for money that came to its wallet for something else', async () => {
    const customer = await newSender(world);
    const hash = await transfer(world, customer, 77n);
    await world.restartWorker();
    const file = join(world.state, 'settings.env');
    const found = await examine(world.url, '--env', file);
    await assertNames(found, ['wallet-income: warning'], new RegExp(hash));
  });
});

test('plans and routes that cost less than the gas of their payment are known', () => {
  const routes = [{ routeId: 'weather', unitAmount: '$0.02' }, { routeId: 'ping', free: true }];
  const prices = pricesOf({ plans: JSON.parse(plans('$0.015', '$0.10')), routes });
  const named = (gwei) => belowGas(prices, BigInt(gwei * 1e9)).map(({ id }) => id);
  assert.equal(gasCost(10_000_000n), 4_500n);
  assert.deepEqual([named(0.01), named(0.1), named(1)], [[], ['plan-0', 'weather'], ['plan-0', 'plan-1', 'weather']]);
});

describe('a deployment broken by its settings', () => {
  const rows = {
    'wrong settings': [{ KEY0_WALLET_ADDRESS: '0x12', KEY0_TOKEN_TTL_SECONDS: 'long' }, ['settings: fault'], /KEY0_WALLET_ADDRESS .*\n?[^]*KEY0_TOKEN_TTL_SECONDS/],
    'no RPC endpoint that answers': [() => ({ KEY0_RPC_URL: DEAD }), ['rpc: fault', 'gas-wallet: warning'], /127\.0\.0\.1 does not answer/],
    'an RPC endpoint of another chain': [() => ({ KEY0_RPC_URL: base.url }), ['rpc: fault', 'gas-wallet: warning'], /does not serve chain 84532/],
    'a first endpoint of another chain': [() => ({ KEY0_RPC_URL: `${base.url},${world.chain.url}` }), ['rpc: fault'], /Endpoint 1, 127\.0\.0\.1, does not serve chain 84532/],
    'a spare endpoint that is dead': [() => ({ KEY0_RPC_URL: `${world.chain.url},${DEAD}` }), ['rpc: warning'], /Endpoint 2, .* does not answer/],
    'an empty gas wallet': [() => ({ GAS_WALLET_PRIVATE_KEY: testAccount().privateKey }), ['gas-wallet: fault'], /holds 0 ETH: not enough/],
    'a facilitator that is down': [{ FACILITATOR_URL: `${DEAD}/facilitator`, USE_GAS_WALLET: 'false', KEY0_WALLET_PRIVATE_KEY: '' }, ['facilitator: fault', 'refunds: warning'], /127\.0\.0\.1 does not answer/],
    'a first facilitator that is down': [() => ({ FACILITATOR_URL: `${DEAD}/facilitator` }), ['facilitator: warning']],
    'a refund wallet without ether': [() => settledBy(facilitator), ['refund-wallet: fault'], /sends the refunds, .* holds 0 ETH/],
    'a wrong public address': [{ KEY0_PUBLIC_URL: 'https://api.example.com' }, ['public-url: fault'], /is for https:\/\/api\.example\.com\/x402\/access/],
    'refunds that are off': [{ KEY0_WALLET_PRIVATE_KEY: '' }, ['refunds: warning']],
    'hashes that anybody may present': [{ PROOF_BINDING: 'txhash' }, ['proof-binding: warning']],
    'a backend that issues to anybody': [{ TOKEN_MODE: 'remote', BACKEND_API_URL: DEAD }, ['unsafe-setting: warning'], /BACKEND_AUTH_STRATEGY is none/],
    'plans above $1': [{ PLANS: plans('$0.05', '$1.00', '$1.01', '$15') }, ['price-cap: warning'], /plan-2 \(\$1\.01\), plan-3 \(\$15/],
    'a few routes': [routes(3), []],
    'more routes than registries like': [routes(41), ['registry: warning'], /High route count \(42\)/],
    'more routes than a registry reads': [routes(200, 120), ['registry-size: warning', 'registry: warning'], /This document has \d+ of 200 routes/],
    'plans above $0.10 only': [{ PLANS: plans('$0.11', '$1') }, ['price-cap-legacy: warning']],
  };
  for (const [name, [vars, names, words]] of Object.entries(rows)) {
    test(`${name}: ${names.join(', ') || 'nothing to say'}`, async () => {
      await facilitator.connect(world.chain);
      facilitator.clear();
      await world.restartWorker(typeof vars === 'function' ? vars() : vars);
      await assertNames(await examine(), names, words);
    });
  }

  for (const [strict, names] of [[true, ['refunds: fault']], [false, []]]) {
    test(`a seller’s wallet with code that ${strict ? 'refuses' : 'accepts'} its key: ${names.join() || 'nothing to say'}`, async () => {
      const { address, owner } = await delegated(world, strict);
      await world.restartWorker({ KEY0_WALLET_ADDRESS: address, KEY0_WALLET_PRIVATE_KEY: owner.privateKey });
      const { status, refunds } = await (await fetch(`${world.url}/health`)).json();
      assert.deepEqual([status, refunds], strict ? ['degraded', 'blocked'] : ['ok', 'on']);
      await assertNames(await examine(), names);
    });
  }
  test('a facilitator that refuses our key: facilitator: fault, in its own words with the settings file', async () => {
    facilitator.on('supported', { kind: 'answer', status: 401, body: { message: 'unknown API key' } });
    await world.restartWorker({ ...settledBy(facilitator), KEY0_WALLET_PRIVATE_KEY: '' });
    await assertNames(await examine(), ['facilitator: fault', 'refunds: warning'], /127\.0\.0\.1 refuses our key\.$/m);
    const file = join(world.state, 'refused.env');
    const settings = { ...world.settings, KEY0_WALLET_PRIVATE_KEY: '' };
    writeFileSync(file, Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`).join(''));
    const found = await examine(world.url, '--env', file);
    assert.match(found.bad.map(({ message }) => message).join('\n'), /refuses our key: status 401: unknown API key\./);
    facilitator.clear();
  });

  test('a facilitator without our network: facilitator: fault', async () => {
    facilitator.on('supported', { kind: 'answer', body: { kinds: [{ x402Version: 2, scheme: 'exact', network: 'eip155:8453' }], extensions: [], signers: {} } });
    await world.restartWorker({ ...settledBy(facilitator), KEY0_WALLET_PRIVATE_KEY: '' });
    await assertNames(await examine(), ['facilitator: fault', 'refunds: warning'], /does not settle x402 "exact" on testnet \(chain 84532\)/);
  });

  test('little ether: gas-wallet: warning', async () => {
    await world.chain.fund(world.gasWallet.address, '0.0001');
    await world.restartWorker();
    await assertNames(await examine(), ['gas-wallet: warning'], /holds 0\.0001 ETH, which is low/);
    await world.chain.fund(world.gasWallet.address, '10');
  });
});

describe('a proxy that changes answers', () => {
  before(() => world.restartWorker({ KEY0_PUBLIC_URL: meddler.url, PLANS: plans('$0.015') }));
  const offer = (change) => (answer) => changeOffer(answer, change);
  const each = (change) => offer(({ accepts }) => accepts.forEach(change));
  const onOffer = (change) => (answer) => void (answer.headers['payment-required'] && change(answer));
  const rows = {
    'nothing at all': [() => {}, []],
    'the name of the token, to that on mainnet': [each(({ extra }) => (extra.name = 'USD Coin')), ['domain-name: fault'], /calls the token "USD Coin"\. On testnet USDC signs as "USDC"/],
    'the recipient': [each((entry) => (entry.payTo = testAccount().address)), ['offer-wallet: fault']],
    'the case of the recipient': [each((entry) => (entry.payTo = entry.payTo.toLowerCase())), ['offer-wallet: fault']],
    'the price': [each((entry) => (entry.amount = '150000')), ['offer-price: fault'], /costs 150000 .* \/discover says \$0\.015/],
    'the network': [each((entry) => (entry.network = NETWORKS.mainnet.caip2)), ['offer-network: fault']],
    'the time to pay, to a fraction': [each((entry) => (entry.maxTimeoutSeconds = 299.5)), ['offer-timeout: fault']],
    'an absent member, to null': [offer((value) => (value.extensions = null)), ['offer-nulls: fault']],
    'the padding': [onOffer(({ headers }) => (headers['payment-required'] = `${headers['payment-required'].replace(/=+$/, '')}!`)), ['offer-header: fault']],
    'the alphabet': [onOffer(({ headers }) => (headers['payment-required'] = `-_${headers['payment-required']}`)), ['offer-header: fault']],
    'the offer, away': [onOffer(({ headers }) => delete headers['payment-required']), ['offer-header: fault']],
    'the size of the offer': [offer((value) => (value.resource.mimeType = 'x'.repeat(7000))), ['offer-size: fault']],
    'the size of all headers, to what Node refuses': [onOffer(({ headers }) => (headers['x-trace'] = 'x'.repeat(17_000))), ['offer-headers: fault']],
    'who may read it': [({ headers }) => Object.keys(headers).filter((name) => name.startsWith('access-control')).forEach((name) => delete headers[name]), ['cors: fault']],
    'how long it may be kept': [onOffer(({ headers }) => (headers['cache-control'] = 'public, max-age=60')), ['offer-cache: fault']],
    'the door, to a redirect': [onOffer((answer) => Object.assign(answer, { status: 301, headers: { location: 'https://www.example.com/x402/access' } })), ['offer-redirect: fault']],
    'the agent card': [(answer, path) => void (path.endsWith('agent.json') && (answer.body = '<html>')), ['agent-card: fault']],
    'the answer to an empty body': [(answer, _, sent) => void (sent === '{}' && Object.assign(answer, { status: 400, body: '{}' })), ['offer-unnamed: fault']],
    'the keys': [(answer, path) => void (path.endsWith('jwks.json') && Object.assign(answer, { status: 404, body: '{}' })), ['jwks: fault']],
    'the issuer': [(answer, path) => void (path.endsWith('token-info') && (answer.body = answer.body.replace(meddler.url, 'https://old.example'))), ['public-url: fault']],
  };
  for (const [name, [change, names, words]] of Object.entries(rows)) {
    test(`${name}: ${names.join(', ') || 'nothing to say'}`, async () => {
      meddler.meddle(change);
      await assertNames(await examine(meddler.url), names, words);
    });
  }
});

describe('from inside', () => {
  before(() => world.restartWorker());

  test('endpoints given with --rpc: another chain, a liar, a dead one, a good one', async () => {
    const liar = await startRpcProxy(base.url);
    try {
      liar.on('eth_chainId', { kind: 'answer', result: '0x14a34' });
      const found = await examine(world.url, '--rpc', base.url, '--rpc', liar.url, '--rpc', `${DEAD}/secret-key`, '--rpc', world.chain.url);
      await assertNames(found, ['chain: fault', 'domain-separator: fault'], /is chain 8453; [^]*calls itself chain 84532, [^]*gives no answer/);
      assert.ok(!found.stdout.includes('secret-key'));
    } finally {
      await liar.close();
    }
  });

  test('a chain whose clock is ahead', async () => {
    const ahead = await startRpcProxy(world.chain.url);
    try {
      ahead.on('eth_getBlockByNumber', { kind: 'alter', change: (block) => ({ ...block, timestamp: `0x${(Math.floor(Date.now() / 1000) + 600).toString(16)}` }) });
      await assertNames(await examine(world.url, '--rpc', ahead.url), ['chain-clock: fault'], /in the future/);
    } finally {
      await ahead.close();
    }
  });

  test('a settings file of another deployment', async () => {
    const file = join(world.state, 'other.env');
    writeFileSync(file, `KEY0_WALLET_ADDRESS=${testAccount().address}\nGAS_WALLET_PRIVATE_KEY=${testAccount().privateKey}\nKEY0_RPC_URL=${world.chain.url}\n`);
    await assertNames(await examine(world.url, '--env', file), ['settings-wallet: fault', 'settings-differ: warning', 'settings-gas-wallet: warning'], /^USE_GAS_WALLET in the file means false; the deployment has true\.$/m);
  });

  test('a settings file that was changed and not deployed: each difference that can be seen is named', async () => {
    const file = join(world.state, 'changed.env');
    const changed = {
      AGENT_NAME: 'Another shop',
      KEY0_PUBLIC_URL: 'https://api.example.com/',
      KEY0_TOKEN_ALGORITHM: 'RS256',
      KEY0_TOKEN_TTL_SECONDS: '60',
      TOKEN_MODE: 'remote',
      PROOF_BINDING: 'txhash',
      KEY0_RPC_URL: 'https://rpc.example/secret-path',
      FACILITATOR_URL: 'https://one.example/x,https://two.example',
      PLANS: JSON.stringify([{ planId: 'plan-0', unitAmount: '$0.015', quota: { calls: 5 }, rate: { calls: 2, per: 'hour' }, concurrency: 1 }]),
      BACKEND_NOTIFICATIONS: 'false',
    };
    writeFileSync(file, Object.entries({ ...world.settings, ...changed }).map(([name, value]) => `${name}='${value}'\n`).join(''));
    const { bad, stdout } = await examine(world.url, '--env', file, '--rpc', world.chain.url);
    const told = bad.filter(({ check }) => check === 'settings-differ').map(({ message }) => message);
    assert.deepEqual(told.map((message) => message.split(' ')[0]).sort(), Object.keys(changed).filter((name) => name !== 'BACKEND_NOTIFICATIONS').sort());
    assert.ok(told.includes('PLANS in the file means plan-0 $0.015 (5 calls, 2 per hour, 1 at a time); the deployment has plan-0 $0.015, plan-1 $0.10.'), told.join('\n'));
    assert.ok(told.includes('FACILITATOR_URL in the file means one.example, two.example; the deployment has none.'), told.join('\n'));
    assert.ok(!stdout.includes('secret-path'));
    const text = await runDoctor(world.url, '--env', file, '--rpc', world.chain.url);
    assert.equal(text.stdout.match(/^Settings file$/gm)?.length, 1, text.stdout);
  });
});

describe('the backend, asked from here', () => {
  let backend;
  before(async () => {
    backend = createServer((request, response) => response.writeHead(Number(request.url.split('/')[1])).end()).listen(0, '127.0.0.1');
    await once(backend, 'listening');
    await world.restartWorker({ TOKEN_MODE: 'remote', BACKEND_API_URL: DEAD, BACKEND_AUTH_STRATEGY: 'jwt' });
  });
  after(() => backend.close());
  const at = (status) => `http://127.0.0.1:${backend.address().port}/${status}`;
  const rows = {
    'one that refuses a call without a secret': [() => at(401), []],
    'one that is not there': [() => DEAD, ['backend: fault'], /gives no answer/],
    'one without these paths': [() => at(404), ['backend: fault', 'backend: warning'], /POST \/internal\/issue-token with 404[^]*POST \/internal\/payment-received with 404/],
    'one that issues to anybody': [() => at(200), ['backend: warning'], /although the call had no body and no secret/],
    'one that is broken': [() => at(500), ['backend: fault', 'backend: warning'], /with 500/],
  };
  for (const [name, [url, names, words]] of Object.entries(rows)) {
    test(`${name}: ${names.join(', ') || 'nothing to say'}`, async () => {
      const found = await examine(world.url, '--backend', url());
      await assertNames(found, names, words);
      assert.ok(found.report.findings.some(({ message }) => message.startsWith('Your backend issues the credentials')));
    });
  }
});

describe('misspelled settings', () => {
  const file = () => join(world.state, 'misspelled.env');
  const write = (change) => writeFileSync(file(), Object.entries({ ...world.settings, ...change }).map(([name, value]) => `${name}='${value}'\n`).join(''));

  test('are named, with what they were meant for', async () => {
    write({ CHALENGE_TTL_SECONDS: '60' });
    await world.restartWorker();
    await assertNames(await examine(world.url, '--env', file()), ['wallet-income: warning', 'unknown-setting: warning'], /CHALENGE_TTL_SECONDS is no setting and is ignored\. Did you mean CHALLENGE_TTL_SECONDS\?/);
  });

  test('are named as well when the worker lacks what they were meant for', async () => {
    write({ KEY0_WALLET_ADRESS: '0x12' });
    await world.restartWorker({ KEY0_WALLET_ADDRESS: '' });
    await assertNames(await examine(world.url, '--env', file()), ['settings: fault', 'unknown-setting: warning'], /Did you mean KEY0_WALLET_ADDRESS\?/);
  });
});

test('one fault leaves a way to sell, another does not: npm start and npm run deploy ask the same', async () => {
  for (const [vars, sells, words] of [
    [{}, true],
    [{ KEY0_RPC_URL: `${base.url},${world.chain.url}` }, true, /does not serve chain 84532/],
    [{ KEY0_RPC_URL: DEAD }, false, /does not answer, and no other one does/],
    [{ GAS_WALLET_PRIVATE_KEY: testAccount().privateKey }, false, /holds 0 ETH: not enough/],
    [{ KEY0_NETWORK: 'base' }, false, /^KEY0_NETWORK must be testnet/],
  ]) {
    await world.restartWorker(vars);
    const found = await whetherItSells(world.url);
    assert.equal(found.sells, sells, JSON.stringify(found));
    assert.equal(found.faults.length, words ? 1 : 0, JSON.stringify(found));
    if (words) assert.match(found.faults[0], words);
  }
});

test('advice fits where the worker runs, and is given once for several faults', async () => {
  await world.restartWorker({ KEY0_WALLET_ADDRESS: '0x12', KEY0_TOKEN_TTL_SECONDS: 'long' });
  const { stdout } = await runDoctor(world.url);
  assert.equal(stdout.match(/→ Correct it where this worker gets its settings/g)?.length, 1, stdout);
  await world.restartWorker();
});

test('the local world is found in an absolute folder', async () => {
  writeFileSync(join(world.state, 'world.json'), JSON.stringify({ url: world.url, rpcUrl: world.chain.url }));
  const { code, stdout, stderr } = await runDoctor('--dir', world.state);
  assert.equal(code, 0, stdout + stderr);
});

test('a worker here that can look nothing up is on a machine that is offline', async () => {
  await world.restartWorker({ KEY0_RPC_URL: 'https://rpc.invalid' });
  const { bad } = await examine();
  assert.match(bad.find(({ check }) => check === 'rpc').todo, /seems to be offline/);
  await world.restartWorker();
});

test('the text fits 80 columns', async () => {
  const { stdout } = await runDoctor(world.url, '--rpc', world.chain.url);
  assert.deepEqual(stdout.split('\n').filter((line) => line.length > 80), []);
});

describe('what cannot be looked at', () => {
  for (const [name, args, words] of [
    ['nobody there', () => [DEAD.replace(':9', ':59999')], /gives no answer/],
    ['something else there', () => [world.chain.url], /There is no key0 at/],
    ['no address', () => ['key0.example'], /begins with https/],
    ['two addresses', () => ['https://a.example', 'https://b.example'], /Only one/],
    ['an unknown flag', () => ['--fix'], /--help tells/],
    ['a settings file that is not there', () => [world.url, '--env', '/nowhere.env'], /cannot be read/],
  ]) {
    test(`${name}: exit code 1 and one sentence`, async () => {
      const { code, stderr } = await runDoctor(...args());
      assert.equal(code, 1);
      assert.match(stderr, words);
      assert.ok(!stderr.includes('    at '), stderr);
    });
  }

  test('--help tells the options', async () => {
    const { code, stdout } = await runDoctor('--help');
    assert.equal(code, 0);
    assert.match(stdout, /--env[^]*--rpc[^]*--backend[^]*--json[^]*Exit code/);
  });
});
