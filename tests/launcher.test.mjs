// Promises: `npm run worker` keeps what it says: one line of JSON, the runtime's own pid, storage that stays,
// secrets nowhere but in the runtime, and nothing left behind however it ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseDotenv } from '../tools/lib/dotenv.mjs';
import { root } from '../tools/lib/paths.mjs';
import { poll } from './support/poll.mjs';

const SECRET = 'a secret of more than thirty-two characters';
const folder = mkdtempSync(join(tmpdir(), 'key0-launcher-'));
const envFile = join(folder, 'settings.env');
writeFileSync(envFile, `# settings\nKEY0_ACCESS_TOKEN_SECRET="${SECRET}"\nAGENT_NAME=launcher # said so\n`);
after(() => rmSync(folder, { recursive: true, force: true }));

/** Starts the tool and waits for its line, or for its end. */
async function launch(...more) {
  const args = ['tools/worker.mjs', '--no-build', '--port', '0', '--state', join(folder, 'state'), '--env', envFile, ...more];
  const { npm_lifecycle_event: _, ...env } = process.env;
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const out = { text: '' };
  const err = { text: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk) => (out.text += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk) => (err.text += chunk));
  const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  await poll(() => out.text.includes('\n') || child.exitCode !== null, 'the launcher says something');
  return { child, out, err, ended, ready: out.text ? JSON.parse(out.text) : undefined };
}

const isGone = (pid) => {
  try {
    // A zombie is gone, too; only its parent has not looked yet.
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].startsWith('Z');
  } catch {
    return true;
  }
};

test('it prints one line with the address and the pid of the runtime, and ends everything on SIGTERM', async () => {
  const { child, out, ended, ready } = await launch();
  assert.equal((await fetch(`${ready.url}/health`)).status > 0, true);
  assert.match(readlinkSync(`/proc/${ready.pid}/exe`), /workerd$/);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.equal(isGone(ready.pid), true);
  assert.equal(out.text.trim().split('\n').length, 1);
});

test('what keeps it from selling goes to stderr, and stdout stays one line', async () => {
  const { child, out, err, ended } = await launch('--var', 'KEY0_NETWROK=testnet', '--var', 'CHALLENGE_TTL_SECONDS=1h', '--var', 'PLANS=[{"planId":"a"}]');
  await poll(() => err.text.includes('PLANS'), 'the faults');
  assert.match(err.text, /! KEY0_NETWROK is no setting and is ignored\. Did you mean\s+KEY0_NETWORK\?/);
  assert.match(err.text, /key0 runs but cannot sell:/);
  assert.match(err.text, /✗ CHALLENGE_TTL_SECONDS must be a whole number from 1 to 86400$/m);
  assert.match(err.text, /✗ PLANS has a fault:\n +plan "a": "unitAmount" is missing$/m);
  assert.equal(out.text.trim().split('\n').length, 1);
  child.kill('SIGTERM');
  await ended;
});

test('a secret is neither on disk nor on a command line', async () => {
  const { child, ended, ready } = await launch('--var', 'AGENT_NAME=other');
  assert.doesNotMatch(readFileSync(`/proc/${ready.pid}/cmdline`, 'utf8'), /secret/);
  assert.match(readFileSync(`/proc/${ready.pid}/environ`, 'utf8'), new RegExp(SECRET));
  const state = join(folder, 'state');
  const files = readdirSync(state, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  for (const { parentPath, name } of files) assert.equal(readFileSync(join(parentPath, name)).includes(SECRET), false, name);
  assert.equal(statSync(state).mode & 0o077, 0);
  child.kill('SIGTERM');
  await ended;
});

test('the runtime does not outlive a launcher that is killed', async () => {
  const { child, ready } = await launch();
  child.kill('SIGKILL');
  await poll(() => isGone(ready.pid), 'the runtime is gone');
});

test('the launcher does not outlive its runtime and says so', async () => {
  const { err, ended, ready } = await launch();
  process.kill(ready.pid, 'SIGKILL');
  assert.equal(await ended, 1);
  assert.match(err.text, /The worker runtime ended \(signal SIGKILL\)/);
});

test('a port that is taken is one clear sentence', async () => {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const { out, err, ended } = await launch('--port', String(port));
  assert.equal(await ended, 1);
  const sentence = `Port ${port} for the worker is taken: choose another with --port, or 0 for any free one.`;
  assert.equal(err.text.trim(), sentence);
  assert.equal(out.text, '');
  await new Promise((resolve) => server.close(resolve));
});

test('settings files are read as dotenv files are', () => {
  const text = `\uFEFF# comment\r\nA=1\nexport B = two words # comment\nC='{"a": "x#y"}'\nD="line\\n\\"quoted\\" \\d"\nE=\nF="-----BEGIN\nabc\n-----END"\nG=a#b`;
  assert.deepEqual(parseDotenv(text), {
    A: '1',
    B: 'two words',
    C: '{"a": "x#y"}',
    D: 'line\n"quoted" \\d',
    E: '',
    F: '-----BEGIN\nabc\n-----END',
    G: 'a#b',
  });
  assert.throws(() => parseDotenv('A=1\nKEY="unfinished secret'), /line 2: KEY has an opening quote without a closing one\.$/);
  assert.throws(() => parseDotenv('just words'), /line 1: this is not NAME=VALUE\. A value of several lines, like a PEM key, stands in quotes\.$/);
});
