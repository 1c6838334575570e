// Promises: the settings that a deployment would have, judged by the worker itself before anything is uploaded: the built worker
// runs here for a moment, with them and without a network, and says what is wrong. And afterwards, by the worker that is live.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { readCatalog, soldIn } from './catalog.mjs';
import { readDotenv } from './dotenv.mjs';
import { Stop } from './say.mjs';
import { problemsOf, whetherItSells } from './sells.mjs';
import { isSecret, unknownSettings } from './settings.mjs';
import { startWorker } from './worker.mjs';
import { wranglerCommand, wranglerEnv } from './wrangler.mjs';

/** Nothing listens there: the settings are judged without asking anybody else. */
const NOWHERE = '127.0.0.1:9';
/** A new address takes some seconds until it can be reached from everywhere. */
const LIVE_WITHIN_MS = 60_000;
const LOOK_AGAIN_MS = 2_000;

/**
 * What of wrangler's options says which settings are uploaded. Everything else is wrangler's own business.
 * @param {string[]} args
 * @returns {{config?: string, env?: string, secretsFile?: string, vars: Record<string, string>, isDryRun: boolean}}
 */
export function readDeployArgs(args) {
  const found = { vars: /** @type {Record<string, string>} */ ({}), isDryRun: false };
  const takes = { '--config': 'config', '-c': 'config', '--env': 'env', '-e': 'env', '--secrets-file': 'secretsFile' };
  let isVar = false;
  for (let at = 0; at < args.length; at += 1) {
    const [, flag, inline] = /^(--[\w-]+)=([^]*)$/.exec(args[at]) ?? [args[at], args[at]];
    const name = kebab(flag);
    if (name === '--dry-run') found.isDryRun = inline !== 'false';
    if (name in takes) found[takes[name]] = inline ?? args[(at += 1)];
    // --var takes values until the next option.
    if (name.startsWith('-')) isVar = name === '--var';
    const pair = name === '--var' ? inline : isVar ? args[at] : undefined;
    const cut = pair?.indexOf(':') ?? -1;
    if (pair && cut > 0) found.vars[pair.slice(0, cut)] = pair.slice(cut + 1);
  }
  return found;
}

/** wrangler takes `--dryRun`, too. @param {string} flag */
const kebab = (flag) => (/^--[a-z]/.test(flag) ? flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`) : flag);

/**
 * Refuses what wrangler would refuse in the end, before anything is built: a flag that it does not have, and a file that is not there.
 * @param {string[]} args
 */
export function checkArgs(args) {
  const { config } = readDeployArgs(args);
  if (config !== undefined && !existsSync(resolve(config))) throw new Stop(`There is no file ${config}, which -c names.`);
  const flags = args.filter((arg) => /^--[a-z]/i.test(arg)).map((arg) => kebab(arg.split('=')[0]));
  // Asking wrangler takes a second.
  if (flags.every((flag) => COMMON.includes(flag))) return;
  const [program, ...first] = wranglerCommand();
  const { status, stdout } = spawnSync(program, [...first, 'deploy', '--help'], { env: wranglerEnv(), encoding: 'utf8' });
  const known = [...(stdout ?? '').matchAll(/(?<=[\s,])--[a-z][a-z-]*/g)].map(([flag]) => flag);
  if (status !== 0 || !known.includes('--dry-run')) return;
  // --no-… turns a flag off; what is experimental is not in the help.
  const unknown = flags.find((flag) => !known.includes(flag) && !/^--(no|x|experimental)-/.test(flag));
  if (!unknown) return;
  const bare = (flag) => flag.replaceAll('-', '');
  const meant = known.find((flag) => bare(flag) === bare(unknown));
  throw new Stop(`wrangler deploy has no option ${unknown}.${meant ? ` Did you mean ${meant}?` : ''} Nothing was uploaded.`);
}

const COMMON = ['--dry-run', '--config', '--env', '--secrets-file', '--var'];

/** The secrets of a file as wrangler takes it: JSON or dotenv, and the environment wins. @returns {Record<string, string>} */
function readSecrets(file) {
  if (!file) return {};
  const secrets = isJson(file) ? JSON.parse(readFileSync(file, 'utf8')) : readDotenv(file);
  return Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name, process.env[name] ?? value]));
}

function isJson(file) {
  try {
    JSON.parse(readFileSync(file, 'utf8'));
    return true;
  } catch {
    return false;
  }
}

/**
 * @typedef {{name: string, reason: string}} Problem
 * @typedef {object} Findings
 * @property {string[]} faults     sentences; with one of them nobody can buy
 * @property {string[]} missing    secrets that are needed and not among these settings: they may be set already
 * @property {Problem[]} warnings
 * @property {{name: string, meant?: string}[]} unknown  settings that the worker ignores
 * @property {string[]} exposed    secrets that stand in plain variables
 * @property {string} [sold]  what is sold, in words
 * @property {string} [network]
 */

/**
 * @param {ReturnType<typeof readDeployArgs>} asked
 * @returns {Promise<Findings>}
 */
export async function checkBefore({ config, env, secretsFile, vars: more }) {
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const wrangler = readConfig({ config, env }, { hideWarnings: true });
  const vars = { ...wrangler.vars, ...more };
  const secrets = readSecrets(secretsFile && resolve(secretsFile));
  const shape = shapeOf(wrangler, vars);
  const state = mkdtempSync(join(tmpdir(), 'key0-settings-'));
  // The address is not known before the upload, so no default stands in for it.
  const worker = await startWorker({ state, env: { KEY0_PUBLIC_URL: '', ...texts(vars), ...secrets }, shape, catalog: readCatalog(), outbound: NOWHERE });
  try {
    const health = await (await fetch(`${worker.url}/health`)).json();
    const isGiven = (name) => ![undefined, ''].includes({ ...vars, ...secrets }[name]);
    const isMissing = ({ name }) => isSecret(name) && !isGiven(name);
    const problems = health.problems ?? [];
    const list = health.status === 'misconfigured' ? undefined : await (await fetch(`${worker.url}/discover`)).json();
    return {
      faults: problemsOf({ problems: problems.filter((problem) => !isMissing(problem)) }),
      missing: problems.filter(isMissing).map(({ name }) => name),
      warnings: health.warnings ?? [],
      unknown: unknownSettings(Object.keys({ ...vars, ...secrets })),
      exposed: Object.keys(vars).filter((name) => isSecret(name) && isGiven(name)),
      sold: list && soldIn(list),
      network: health.network,
    };
  } finally {
    await worker.stop();
    rmSync(state, { recursive: true, force: true });
  }
}

const texts = (vars) => Object.fromEntries(Object.entries(vars).filter(([, value]) => typeof value === 'string'));

/** @returns {import('./runtime-config.mjs').WorkerShape} */
function shapeOf(wrangler, vars) {
  const objects = wrangler.durable_objects.bindings.map(({ name, class_name }) => ({ binding: name, className: class_name }));
  if (!objects.length) {
    throw new Stop(
      'This configuration has no Durable Objects: an environment does not inherit [vars] and bindings. For a second deployment copy ' +
        'wrangler.toml, change its name and settings, and deploy it with -c: npm run deploy -- -c wrangler.live.toml',
    );
  }
  return {
    compatibilityDate: wrangler.compatibility_date,
    compatibilityFlags: wrangler.compatibility_flags,
    objects,
    rateLimits: wrangler.ratelimits.map(({ name, simple: { limit, period } }) => ({ binding: name, limit, period })),
    crons: [],
    vars,
  };
}

/**
 * What wrangler wrote down about a deployment: where the worker is reached.
 * @param {string} file  of WRANGLER_OUTPUT_FILE_PATH @returns {string | undefined}
 */
export function deployedUrl(file) {
  const entries = readFileSync(file, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const targets = entries.findLast(({ type }) => type === 'deploy')?.targets ?? [];
  // Crons and patterns are targets, too.
  const host = targets.map((target) => target.replace(/^https?:\/\//, '').replace(/ .*$/, '')).find((target) => /^[\w-]+(\.[\w-]+)+$/.test(target));
  return host && `https://${host}`;
}

/**
 * What the live worker lacks. @param {string} url
 * @returns {Promise<{reached: boolean, sells: boolean, missing: string[], faults: string[]}>}
 */
export async function checkAfter(url, withinMs = LIVE_WITHIN_MS) {
  const end = Date.now() + withinMs;
  for (;;) {
    const health = await fetch(`${url}/health`, { signal: AbortSignal.timeout(10_000) })
      .then((answer) => answer.json())
      .catch(() => undefined);
    if (health?.service === 'key0') {
      const problems = health.problems ?? [];
      const isUnset = ({ name, reason }) => isSecret(name) && /^is required/.test(reason);
      const wrong = problems.filter((problem) => !isUnset(problem));
      const found = problems.length ? { sells: false, faults: problemsOf({ problems: wrong }) } : await whetherItSells(url);
      return { reached: true, missing: problems.filter(isUnset).map(({ name }) => name), ...found };
    }
    if (Date.now() > end) return { reached: false, sells: false, missing: [], faults: [] };
    await pause(LOOK_AGAIN_MS);
  }
}
