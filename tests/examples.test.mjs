// The examples buy and check tokens, each alone.
//
//  1. Each example names all packages that it imports, at the versions that the tests use, and nothing of this repository.
//  2. Each buyer (JavaScript over x402, by a transfer and through A2A, Python, curl) buys "basic" with a fresh wallet and prints
//     the token; the chain shows one transfer of the price. It also buys a plan for $15, which clients refuse unless their
//     limit is raised. Without money it says so, and fails.
//     One more pays for a call.
//  3. At a worker that signs with HS256, and at one that signs with RS256, each checker accepts the token, and refuses it for
//     another resource, another chain, another issuer and with a changed signature.
//  4. The checkers and the validator agree about each token of tokens.json.
//  5. A worker with TOKEN_MODE=remote sells the credential of the example that issues; a stranger gets none there.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { root } from '../tools/lib/paths.mjs';
import { inspect } from '../tools/lib/inspector.mjs';
import { ensurePython } from '../tools/lib/python.mjs';
import { runExample } from './support/example.mjs';
import { income } from './support/facts.mjs';
import { newSender } from './support/transfer.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const PRICE = 15_000n;
const read = (path) => readFileSync(join(root, path), 'utf8');
const files = (folder, ending) => readdirSync(join(root, 'examples', folder)).filter((name) => name.endsWith(ending));
const pins = (path) => read(path).split('\n').filter((line) => line && !line.startsWith('#'));

before(() => ensurePython());

describe('an example stands alone', () => {
  for (const folder of ['buy-js', 'check-js', 'issue-js']) {
    test(folder, () => {
      const { dependencies } = JSON.parse(read(`examples/${folder}/package.json`));
      const used = files(folder, '.mjs').flatMap((file) => {
        const imports = [...read(`examples/${folder}/${file}`).matchAll(/^import .* from '([^']+)';$/gm)].map(([, name]) => name);
        assert.ok(imports.every((name) => !name.startsWith('.')), `${file} imports a file`);
        return imports.filter((name) => !isBuiltin(name)).map((name) => /^(@[^/]+\/)?[^/]+/.exec(name)[0]);
      });
      assert.deepEqual([...new Set(used)].sort(), Object.keys(dependencies).sort());
      const { devDependencies } = JSON.parse(read('package.json'));
      for (const [name, version] of Object.entries(dependencies)) assert.equal(version, devDependencies[name], name);
    });
  }
  for (const folder of ['buy-python', 'check-python']) {
    test(folder, () => {
      const tested = pins('tests/support/requirements.txt').map((pin) => pin.replace(/\[.*\]/, ''));
      for (const pin of pins(`examples/${folder}/requirements.txt`)) assert.ok(tested.includes(pin.replace(/\[.*\]/, '')), pin);
    });
  }
});

describe('a buyer', () => {
  const world = useWorld();
  for (const path of ['buy-js/buy.mjs', 'buy-js/transfer.mjs', 'buy-js/buy-a2a.mjs', 'buy-python/buy.py', 'buy-curl/buy.sh']) {
    const env = (wallet) => ({ SELLER_URL: world.url, RPC_URL: world.chain.url, AGENT_PRIVATE_KEY: wallet.privateKey });
    test(`${path} buys, and prints a token that opens the backend`, async () => {
      const sender = await newSender(world);
      const { stdout } = await runExample(path, env(sender));
      const paid = (await income(world)).filter(({ from }) => from === sender.address);
      assert.deepEqual(paid.map(({ value }) => value), [PRICE]);
      const headers = { authorization: `Bearer ${stdout.trim()}` };
      assert.equal((await fetch(`${world.backend.url}/api/default`, { headers })).status, 200, stdout);
    });
    test(`${path} buys what costs more than $1`, async () => {
      const sender = await newSender(world);
      await runExample(path, { ...env(sender), PLAN: 'starter-monthly' });
      const paid = (await income(world)).filter(({ from }) => from === sender.address);
      assert.deepEqual(paid.map(({ value }) => value), [15_000_000n]);
    });
    test(`${path} says what the seller says when there is no such plan, sends nothing, and fails`, async () => {
      const sender = await newSender(world);
      await assert.rejects(runExample(path, { ...env(sender), PLAN: 'no-such-plan' }), ({ stdout, stderr }) => {
        assert.equal(stdout.trim(), '');
        assert.match(stderr, /no-such-plan/);
        return true;
      });
      assert.deepEqual((await income(world)).filter(({ from }) => from === sender.address), []);
    });
    test(`${path} says that it has no money, and fails`, async () => {
      const poor = await world.newBuyer(0n);
      await assert.rejects(runExample(path, env(poor)), ({ stdout, stderr }) => {
        assert.equal(stdout.trim(), '');
        assert.match(stderr, /insufficient|exceeds|below the price|funds/i);
        return true;
      });
    });
  }
});

describe('a buyer of calls', () => {
  const world = useWorld({ sampleRoutes: true });
  const call = (wallet, path) => runExample('buy-js/call.mjs', { SELLER_URL: world.url, AGENT_PRIVATE_KEY: wallet.privateKey }, [path]);

  test('buy-js/call.mjs pays for one call, and prints the answer of the API', async () => {
    const sender = await newSender(world);
    const { stdout, stderr } = await call(sender, '/weather/oslo');
    assert.equal(JSON.parse(stdout).city, 'oslo');
    const paid = (await income(world)).filter(({ from }) => from === sender.address);
    assert.deepEqual(paid.map(({ value }) => value), [10_000n]);
    assert.match(stderr, /^200, paid in 0x[0-9a-f]{64}$/m);
  });
  test('buy-js/call.mjs says that nothing was charged, and fails, where nothing is sold or there is no money', async () => {
    await assert.rejects(call(await newSender(world), '/nowhere'), ({ stdout, stderr }) => /NOT_FOUND/.test(stdout) && /^404, not charged$/m.test(stderr));
    const poor = await world.newBuyer(0n);
    await assert.rejects(call(poor, '/weather/oslo'), ({ stdout, stderr }) => /below the price/.test(stdout) && /^402, not charged$/m.test(stderr));
    assert.deepEqual((await income(world)).filter(({ from }) => from === poor.address), []);
  });
});

/** A token with the same header and claims that says it needs no signature. @param {string} token */
function unsigned(token) {
  const [header, claims] = token.split('.');
  const changed = { ...JSON.parse(Buffer.from(header, 'base64url').toString()), alg: 'none' };
  return `${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${claims}.`;
}

/**
 * @param {import('./support/world.mjs').TestWorld} world
 * @param {() => Record<string, string>} keyOf where a checker finds the key
 */
function checkersCheck(world, keyOf) {
  let token;
  before(async () => {
    const { privateKey } = await world.newBuyer();
    const sold = await buy(world.url, privateKey, { planId: 'basic' });
    assert.equal(sold.status, 200, sold.text);
    token = sold.body.accessToken;
  });
  for (const path of ['check-js/check.mjs', 'check-python/check.py']) {
    const check = async (change = {}, args = [token, 'default']) => {
      const { stdout } = await runExample(path, { ...keyOf(), ISSUER: world.url, CHAIN_ID: '84532', ...change }, args);
      return JSON.parse(stdout);
    };
    test(`${path} checks nothing without an issuer`, async () => {
      const { ISSUER, ...others } = { ...keyOf(), ISSUER: undefined, CHAIN_ID: '84532' };
      await assert.rejects(runExample(path, others, [token, 'default']), ({ stderr }) => /ISSUER/.test(stderr));
    });
    test(`${path} accepts the token`, async () => {
      const claims = await check();
      assert.deepEqual([claims.planId, claims.resourceId, claims.chainId, claims.iss], ['basic', 'default', 84532, world.url]);
    });
    for (const [what, change, args, said] of [
      ['for another resource', {}, () => [token, 'other'], /another resource/],
      ['where real money is expected', { CHAIN_ID: '8453' }, () => [token, 'default'], /another chain/],
      ['of another issuer', { ISSUER: 'https://other.example' }, () => [token, 'default'], /iss/i],
      ['that was changed', {}, () => [`${token.slice(0, -9)}${token.at(-9) === 'A' ? 'B' : 'A'}${token.slice(-8)}`, 'default'], /signature/i],
      ['that says "none"', {}, () => [unsigned(token), 'default'], /alg/i],
    ]) {
      test(`${path} refuses a token ${what}`, async () => {
        await assert.rejects(check(change, args()), ({ stderr }) => {
          assert.match(stderr, said);
          return true;
        });
      });
    }
  }
}

describe('a checker of HS256 tokens', () => {
  const world = useWorld({ backend: false });
  checkersCheck(world, () => ({ KEY0_ACCESS_TOKEN_SECRET: world.tokenSecret }));
});

describe('a checker of RS256 tokens', () => {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const world = useWorld({ backend: false, vars: { KEY0_TOKEN_ALGORITHM: 'RS256', KEY0_ACCESS_TOKEN_PRIVATE_KEY: privateKey } });
  checkersCheck(world, () => ({ JWKS_URL: `${world.url}/.well-known/jwks.json` }));
});

describe('each token of tokens.json', () => {
  const { secret, issuer, chainId, resource, tokens } = JSON.parse(read('examples/tokens.json'));
  test('has the same verdict from the validator', () => {
    const expected = ['--secret-env', 'TOKEN_SECRET', '--issuer', issuer, '--resource', resource];
    const answers = inspect(expected, tokens.map(({ token }) => token), { TOKEN_SECRET: secret });
    assert.deepEqual(answers.map(({ verdict }) => verdict === 'valid'), tokens.map(({ accept }) => accept));
  });
  for (const path of ['check-js/check.mjs', 'check-python/check.py']) {
    test(`has the same verdict from ${path}`, async () => {
      const env = { KEY0_ACCESS_TOKEN_SECRET: secret, ISSUER: issuer, CHAIN_ID: String(chainId) };
      for (const { what, accept, token } of tokens) {
        const accepted = await runExample(path, env, [token, resource]).then(() => true, () => false);
        assert.equal(accepted, accept, what);
      }
    });
  }
});

describe('a backend that issues', async () => {
  const secret = randomBytes(32).toString('hex');
  const env = { PATH: process.env.PATH, INTERNAL_AUTH_SECRET: secret, PORT: '0' };
  const backend = spawn(process.execPath, [join(root, 'examples/issue-js/issue.mjs')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  after(() => backend.kill());
  const url = String((await once(backend.stdout, 'data'))[0]).trim();
  const vars = { TOKEN_MODE: 'remote', BACKEND_API_URL: url, BACKEND_AUTH_STRATEGY: 'shared-secret', INTERNAL_AUTH_SECRET: secret };
  const world = useWorld({ backend: false, vars });

  test('issue-js/issue.mjs gives the worker a credential, and the same one again', async () => {
    const { privateKey } = await world.newBuyer();
    const order = { planId: 'basic', requestId: randomUUID() };
    const sold = await buy(world.url, privateKey, order);
    assert.equal(sold.status, 200, sold.text);
    assert.match(sold.body.token ?? sold.body.accessToken, /^key-/);
    assert.deepEqual((await buy(world.url, privateKey, order)).body, sold.body);
  });
  test('issue-js/issue.mjs gives a stranger none', async () => {
    const init = { method: 'POST', headers: { 'idempotency-key': 'x', 'x-internal-auth': 'guess' }, body: '{}' };
    assert.equal((await fetch(`${url}/internal/issue-token`, init)).status, 401);
  });
});
