// Promises: `npm test` runs every check there is, in the order in which they are cheapest to fail, and stops at the
// first failure with a non-zero exit code.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { buildBackend } from './lib/backend.mjs';
import { buildInspector } from './lib/inspector.mjs';
import { SIZE_BUDGET, buildWorker, compressedSize } from './lib/build.mjs';
import { checkLicences } from './lib/licences.mjs';
import { ensureLinters } from './lib/linters.mjs';
import { checkMinimumRust } from './lib/minimum-rust.mjs';
import { root } from './lib/paths.mjs';
import { ensurePython } from './lib/python.mjs';
import { checkRooms } from './lib/rooms.mjs';
import { buildRustClient } from './lib/rust-client.mjs';
import { Stop, bold, duration, fail, green, red, say } from './lib/say.mjs';
import { onShutdown } from './lib/shutdown.mjs';
import { simulate } from './lib/simulation.mjs';
import { checkPrerequisites } from './lib/toolchain.mjs';
import { testAccount } from './lib/world.mjs';
import { devAnswers, dryRun, sameShape } from './lib/wrangler-smoke.mjs';

const VALIDATOR = 'key0-validator';
/** Combinations that the workspace's own build, which has nearly all features, says nothing about. */
const VALIDATOR_FEATURES = ['hs256', 'rs256', 'hs256,tower', 'hs256,meter', 'rs256,axum', 'hs256,actix-web,serde', 'http,serde', 'rs256,revoked'];
/** Every one but aws-lc-rs, whose C code takes minutes. */
const DOCUMENTED_FEATURES = 'actix-web,axum,jwks-http,meter,revoked,ring,serde,testing,tower,tracing';
/** The native tests take one, besides what is built of the examples in the documentation. More is a test that waits for ever. */
const NATIVE_MINUTES = 20;
/** The same every time: whether a change passes must not depend on luck. `npm run simulate -- --new` tries other seeds. */
const SEEDS = 150;
const HELP = `
npm test -- [options]

Runs every check, the cheapest first, and stops at the first that fails.

  --only <part>    lint | native | simulation | build | e2e | wrangler; may be
                   repeated
  --file <file>    for e2e: only this test file; may be repeated
  --name <text>    for e2e: only tests whose name matches this expression
  --yes            install what is missing without asking, as CI=true does

  npm test -- --only e2e --file tests/refund.test.mjs
`;

/**
 * Runs a program with its output shown as it is.
 * @param {string} command @param {string[]} args @param {{ env?: NodeJS.ProcessEnv, minutes?: number }} options
 * `minutes`: after so long it is ended, with all that it started, and counts as failed
 * @returns {Promise<void>}
 */
function show(command, args, { env = process.env, minutes } = {}) {
  say(`$ ${[command, ...args].join(' ')}`);
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    // What it started has its output and would keep whoever reads that waiting.
    const stopIt = () => {
      if (child.pid && child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGTERM');
    };
    process.on('exit', stopIt);
    let isLate = false;
    const late = () => {
      isLate = true;
      stopIt();
    };
    const timer = minutes && setTimeout(late, minutes * 60_000);
    child.on('error', (error) => reject(new Stop(`${command} cannot be started (${error.code}).`)));
    child.on('exit', (code, signal) => {
      process.off('exit', stopIt);
      clearTimeout(timer);
      if (code === 0) return resolve();
      const why = isLate ? `was still running after ${minutes} minutes` : `failed (${signal ?? `exit code ${code}`})`;
      reject(new Stop(`${command} ${args[0]} ${why}.`));
    });
  });
}

async function lint() {
  await ensureLinters();
  await show('cargo', ['fmt', '--all', '--check']);
  for (const apart of ['validator/bench', 'validator/fuzz']) {
    await show('cargo', ['fmt', '--manifest-path', `${apart}/Cargo.toml`, '--check']);
  }
  checkRooms();
  await checkLicences();
  await checkMinimumRust();
  await show(process.execPath, ['validator/tests/hostile/generate.mjs', '--check']);
  // Not --workspace: the Rust client of the black-box tests is built by those alone.
  await show('cargo', ['clippy', '--all-targets', '--locked', '--', '-D', 'warnings']);
  for (const features of VALIDATOR_FEATURES) {
    await show('cargo', ['clippy', '-q', '-p', VALIDATOR, '--locked', '--no-default-features', '-F', features, '--', '-D', 'warnings']);
  }
}

async function native() {
  await show('cargo', ['test', '--locked', '--no-run']);
  await show('cargo', ['test', '--locked'], { minutes: NATIVE_MINUTES });
  const documented = ['doc', '-q', '-p', VALIDATOR, '--no-deps', '--locked', '-F', DOCUMENTED_FEATURES];
  await show('cargo', documented, { env: { ...process.env, RUSTDOCFLAGS: '-D warnings' } });
  await show('cargo', ['package', '-q', '-p', VALIDATOR, '--no-verify', '--locked', '--allow-dirty']);
}

async function simulation() {
  const options = ['--seeds', String(SEEDS)];
  if ((await simulate(options)) !== 0) {
    throw new Stop(`The simulation found a broken money rule. Again: npm run simulate -- ${options.join(' ')}`);
  }
}

async function build() {
  await buildWorker();
  const size = compressedSize();
  say(`  ${(size / 1000).toFixed(1)} kB after gzip, budget ${SIZE_BUDGET / 1000} kB`);
  if (size > SIZE_BUDGET) throw new Stop('The worker is larger than its budget.');
}

async function e2e({ file, name }) {
  await buildWorker();
  await buildBackend();
  await buildInspector();
  const all = readdirSync(join(root, 'tests')).filter((entry) => entry.endsWith('.test.mjs'));
  const files = file ?? all.sort().map((entry) => join('tests', entry));
  const isThere = (...names) => files.some((file) => names.includes(basename(file)));
  if (isThere('clients.test.mjs')) await buildRustClient();
  // Here and not in the tests, whose time is limited.
  if (isThere('interop.test.mjs', 'a2a-clients.test.mjs', 'mcp-clients.test.mjs', 'mpp.test.mjs', 'examples.test.mjs')) await ensurePython();
  if (!files.length) return say('  no black-box tests yet');
  const options = ['--test', '--test-concurrency=2', '--test-timeout=300000', '--test-reporter=spec'];
  if (name) options.push(`--test-name-pattern=${name}`);
  return show(process.execPath, [...options, ...files]);
}

async function wrangler() {
  await buildWorker();
  await sameShape();
  say('  the launcher reads wrangler.toml as wrangler does');
  say(`  deploy --dry-run: ${dryRun()}`);
  const health = await devAnswers({
    KEY0_ACCESS_TOKEN_SECRET: randomBytes(32).toString('hex'),
    KEY0_WALLET_ADDRESS: testAccount().address,
    KEY0_RPC_URL: 'http://127.0.0.1:9',
    USE_GAS_WALLET: 'true',
    GAS_WALLET_PRIVATE_KEY: testAccount().privateKey,
  });
  say(`  wrangler dev: /health says ${JSON.stringify(health)}`);
}

const PARTS = {
  lint: ['Format and lints', lint],
  native: ['Native tests', native],
  simulation: ['Simulated purchases', simulation],
  build: ['Worker and its size', build],
  e2e: ['Black-box tests on the real runtime', e2e],
  wrangler: ['wrangler dev and deploy --dry-run', wrangler],
};

async function main() {
  const flags = readFlags(HELP, {
    only: { type: 'string', multiple: true },
    file: { type: 'string', multiple: true },
    name: { type: 'string' },
  });
  const wanted = flags.only ?? Object.keys(PARTS);
  const unknown = wanted.find((name) => !(name in PARTS));
  if (unknown) throw new Stop(`--only ${unknown}: choose from ${Object.keys(PARTS).join(', ')}.`);
  onShutdown(async () => {});
  checkPrerequisites();

  const started = Date.now();
  let passed = 0;
  for (const name of wanted) {
    const [title, run] = PARTS[name];
    say(bold(`\n== ${title} (${passed + 1} of ${wanted.length}, ${duration(Date.now() - started)} so far)`));
    try {
      await run(flags);
      passed += 1;
    } catch (error) {
      say(red(`\n== ${title}: failed after ${duration(Date.now() - started)}`));
      process.stdout.write(`parts: ${passed} passed, 1 failed\n`);
      throw error;
    }
  }
  say(green(`\n== All good in ${duration(Date.now() - started)}`));
  process.stdout.write(`parts: ${passed} passed, 0 failed\n`);
  process.exit(0);
}

main().catch(fail);
