// `npm run deploy`: nothing is uploaded that cannot sell. wrangler is the real one; Cloudflare's API is a stand-in.
//
//  1. Wrong settings, in variables or in the file of secrets: each is told, and nothing is uploaded.
//  2. A missing secret is no fault: it may be set already. It is uploaded, and the command that sets it is shown.
//  3. Misspelled settings and secrets in plain text are warned of.
//  4. An environment without Durable Objects is refused, with the way that works.
//  5. The live worker: it sells, or what is missing there.
//  6. What wrangler writes down of a deployment: its address is found among crons and patterns.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { root, wranglerFile } from '../tools/lib/paths.mjs';
import { checkAfter, deployedUrl, readDeployArgs } from '../tools/lib/preflight.mjs';
import { startWorker } from '../tools/lib/worker.mjs';
import { testAccount } from '../tools/lib/world.mjs';
import { startCloudflare } from './support/cloudflare.mjs';
import { poll } from './support/poll.mjs';

const folder = mkdtempSync(join(tmpdir(), 'key0-deploy-'));
const SECRET = 'a secret of more than thirty-two characters';
const WALLET = `KEY0_WALLET_ADDRESS:${testAccount().address}`;
const secretsFile = (content) => {
  const file = join(folder, 'secrets');
  writeFileSync(file, content);
  return ['--secrets-file', file];
};
let cloudflare;
before(async () => (cloudflare = await startCloudflare()));
after(async () => {
  await cloudflare.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the tool until it ends, or until `until` has been said. */
async function deploy(args, until) {
  const { npm_lifecycle_event: _, ...env } = process.env;
  Object.assign(env, cloudflare.env, { NO_COLOR: '1', WRANGLER_SEND_METRICS: 'false' });
  const child = spawn(process.execPath, [join(root, 'tools/deploy.mjs'), ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const said = { text: '' };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said.text += text));
  const ended = new Promise((resolve) => child.on('close', resolve));
  if (until) {
    await poll(() => child.exitCode !== null || until.test(said.text), `${until}`, 60_000);
    if (child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
  }
  return { code: await ended, said: said.text };
}

describe('before the upload', () => {
  const rows = {
    'a required variable is missing': [[], ['KEY0_WALLET_ADDRESS is required']],
    'plans are wrong': [['--var', WALLET, 'PLANS:[{"planId":"hour","price":1}]'], ['PLANS has 2 faults:', 'plan "hour": "price" is unknown; did you mean "unitAmount"?', 'plan "hour": "unitAmount" is missing']],
    'a secret is wrong': [() => ['--var', WALLET, ...secretsFile('{"KEY0_ACCESS_TOKEN_SECRET": "short"}')], ['KEY0_ACCESS_TOKEN_SECRET must have at least 32 characters']],
    'two settings do not fit': [() => ['--var', WALLET, 'KEY0_TOKEN_ALGORITHM:HS512', 'TOKEN_MODE:remote', ...secretsFile(`KEY0_ACCESS_TOKEN_SECRET="${SECRET}"\n`)], ['KEY0_TOKEN_ALGORITHM must be HS256 or RS256', 'BACKEND_API_URL is required when TOKEN_MODE is remote']],
  };
  for (const [name, [args, sentences]] of Object.entries(rows)) {
    test(`${name}: told, and nothing is uploaded`, async () => {
      const { code, said } = await deploy(typeof args === 'function' ? args() : args);
      assert.equal(code, 1);
      for (const sentence of sentences) assert.ok(said.includes(sentence), `${sentence}\n${said}`);
      assert.match(said, /Nothing was uploaded\./);
      assert.equal(cloudflare.uploads.length, 0);
      assert.ok(!said.includes(SECRET));
    });
  }

  for (const [args, sentence] of [
    [['-c', 'nofile.toml'], 'There is no file nofile.toml, which -c names.\n'],
    [['--dryrun'], 'wrangler deploy has no option --dryrun. Did you mean --dry-run? Nothing was uploaded.\n'],
    [['--everything=1'], 'wrangler deploy has no option --everything. Nothing was uploaded.\n'],
  ]) {
    test(`${args.join(' ')}: one sentence, before anything is built`, async () => {
      assert.deepEqual(await deploy(args), { code: 1, said: sentence });
    });
  }

  test('an environment without Durable Objects is refused', async () => {
    const file = join(root, `.wrangler-test-${process.pid}.toml`);
    writeFileSync(file, `${readFileSync(wranglerFile, 'utf8')}\n[env.live]\nname = "live"\n`);
    try {
      const { code, said } = await deploy(['-c', file, '-e', 'live']);
      assert.equal(code, 1);
      assert.match(said, /has no Durable Objects: .* npm run deploy -- -c wrangler\.live\.toml/s);
      assert.equal(cloudflare.uploads.length, 0);
    } finally {
      rmSync(file);
    }
  });

  test('a dry run says what is not among the settings, and warns of names and secrets', async () => {
    const { code, said } = await deploy(['--dry-run', '--var', WALLET, 'CHALENGE_TTL_SECONDS:60', `KEY0_ADMIN_SECRET:${SECRET}`]);
    assert.equal(code, 0, said);
    assert.match(said, /! CHALENGE_TTL_SECONDS is no setting and is ignored\. Did you mean\s+CHALLENGE_TTL_SECONDS\?/);
    assert.match(said, /! KEY0_ADMIN_SECRET is a secret and stands in plain text/);
    assert.match(said, /✓ settings checked/);
    assert.match(said, /^ {4}npx wrangler secret put KEY0_ACCESS_TOKEN_SECRET$/m);
    assert.ok(!said.includes(SECRET), said);
    assert.equal(cloudflare.uploads.length, 0);
  });
});

test('good settings are uploaded', async () => {
  const { said } = await deploy(['--var', WALLET, ...secretsFile(`KEY0_ACCESS_TOKEN_SECRET="${SECRET}"\n`)], /✓ uploaded/);
  assert.match(said, /✓ settings checked \(4 plans, test network\)/);
  assert.match(said, /✓ uploaded, \d+ kB/);
  assert.equal(cloudflare.uploads.length, 1);
  const [upload] = cloudflare.uploads;
  for (const part of [WALLET.split(':')[1], SECRET, 'KEY0_CATALOG']) assert.ok(upload.includes(part), part);
});

test('the live worker says whether it sells, or what it lacks', async () => {
  const good = { KEY0_WALLET_ADDRESS: testAccount().address, KEY0_ACCESS_TOKEN_SECRET: SECRET, USE_GAS_WALLET: 'true', GAS_WALLET_PRIVATE_KEY: testAccount().privateKey, KEY0_RPC_URL: 'http://127.0.0.1:9' };
  for (const [change, missing, faults] of [
    [{ KEY0_ACCESS_TOKEN_SECRET: '', KEY0_NETWORK: 'base' }, ['KEY0_ACCESS_TOKEN_SECRET'], /^KEY0_NETWORK must be testnet \(Base Sepolia\) or mainnet \(Base\)$/],
    [{}, [], /does not answer/],
  ]) {
    const worker = await startWorker({ state: mkdtempSync(join(folder, 'state-')), env: { ...good, ...change } });
    try {
      const found = await checkAfter(worker.url);
      assert.deepEqual([found.reached, found.missing], [true, missing]);
      assert.match(found.faults[0], faults);
    } finally {
      await worker.stop();
    }
  }
  assert.equal((await checkAfter('http://127.0.0.1:9', 0)).reached, false);
});

test('wrangler’s options are read as far as they change the settings', () => {
  assert.deepEqual(readDeployArgs(['-c', 'a.toml', '--env=live', '--var', 'A:1', 'B:x:y', '--dryRun', '--secrets-file', 's', '--var=C:3', 'entry.js']), {
    config: 'a.toml',
    env: 'live',
    secretsFile: 's',
    vars: { A: '1', B: 'x:y', C: '3' },
    isDryRun: true,
  });
});

test('the address of a deployment is found among its targets', () => {
  const file = join(folder, 'output');
  for (const [targets, url] of [
    [['https://key0.me.workers.dev', 'schedule: 17 * * * *'], 'https://key0.me.workers.dev'],
    [['schedule: 17 * * * *', 'shop.example/*', 'shop.example (custom domain)'], 'https://shop.example'],
    [['schedule: 17 * * * *'], undefined],
  ]) {
    writeFileSync(file, `${JSON.stringify({ type: 'wrangler-session' })}\n${JSON.stringify({ type: 'deploy', targets })}\n`);
    assert.equal(deployedUrl(file), url);
  }
});
