// Promises: what wrangler itself makes of wrangler.toml works: it reads the same shape as our own launcher, it
// would upload, and the worker answers under `wrangler dev`.

import { execFileSync } from 'node:child_process';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, wranglerFile } from './paths.mjs';
import { freePort } from './ports.mjs';
import { startProcess } from './process.mjs';
import { readWorkerShape } from './runtime-config.mjs';
import { Stop, say } from './say.mjs';
import { wranglerCommand, wranglerEnv } from './wrangler.mjs';

const READY_WITHIN_MS = 60_000;
// wrangler asks for free ports first and opens them later (one of them we cannot name): another program may be quicker.
const STARTS = 4;
const PORT_TAKEN = /Address already in use|EADDRINUSE/;
// No look-ups on the network: they would only be waited for.
const OFFLINE = { CLOUDFLARE_CF_FETCH_ENABLED: 'false', WRANGLER_HIDE_BANNER: 'true', CI: 'true' };

/** The launcher's reading of wrangler.toml against wrangler's own. */
export async function sameShape() {
  const { unstable_readConfig: readConfig } = await import('wrangler');
  const theirs = readConfig({ config: wranglerFile }, { hideWarnings: true });
  const ours = readWorkerShape();
  assert.deepEqual(
    ours,
    {
      compatibilityDate: theirs.compatibility_date,
      compatibilityFlags: theirs.compatibility_flags,
      objects: theirs.durable_objects.bindings.map(({ name, class_name }) => ({ binding: name, className: class_name })),
      rateLimits: theirs.ratelimits.map(({ name, simple: { limit, period } }) => ({ binding: name, limit, period })),
      crons: theirs.triggers.crons,
      vars: theirs.vars,
    },
    'wrangler and the launcher read wrangler.toml differently',
  );
}

/** `wrangler deploy --dry-run` finds nothing wrong. @returns {string} what it says about the size */
export function dryRun() {
  const [program, ...first] = wranglerCommand();
  const folder = mkdtempSync(join(tmpdir(), 'key0-dry-run-'));
  try {
    const args = [...first, 'deploy', '--dry-run', '--outdir', folder];
    const output = execFileSync(program, args, { cwd: root, env: wranglerEnv(OFFLINE), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    const size = /Total Upload:.*/.exec(output)?.[0];
    if (!size) throw new Stop(`"wrangler deploy --dry-run" names no upload:\n${output}`);
    return size;
  } catch (error) {
    if (error instanceof Stop) throw error;
    throw new Stop(`"wrangler deploy --dry-run" failed:\n${error.stdout ?? ''}${error.stderr ?? error.message}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Starts `wrangler dev` and reads /health. @param {Record<string, string>} settings @returns {Promise<any>} */
export async function devAnswers(settings) {
  for (let start = 1; ; start += 1) {
    const health = await devAnswersOnce(settings, { mayFindPortTaken: start < STARTS });
    if (health) return health;
    say('  a port was taken meanwhile: starting wrangler dev again');
  }
}

/** @returns {Promise<any>} what /health says; `undefined` when a port was taken and that may be so */
async function devAnswersOnce(settings, { mayFindPortTaken }) {
  const folder = mkdtempSync(join(tmpdir(), 'key0-wrangler-'));
  const envFile = join(folder, 'settings.env');
  writeFileSync(envFile, Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`).join(''), { mode: 0o600 });
  const port = await freePort();
  const [program, ...first] = wranglerCommand();
  const args = [...first, 'dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', String(await freePort())];
  args.push('--persist-to', join(folder, 'state'), '--env-file', envFile, '--show-interactive-dev-session=false');
  const wrangler = await startProcess(program, args, { name: 'wrangler dev', cwd: root, env: wranglerEnv(OFFLINE) });
  const portTaken = () => mayFindPortTaken && wrangler.logs.some((line) => PORT_TAKEN.test(line));
  try {
    const deadline = Date.now() + READY_WITHIN_MS;
    for (;;) {
      if (portTaken()) return undefined;
      const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
      if (answer) {
        const text = await answer.text();
        if (!answer.ok) throw new Stop(`GET /health under wrangler dev: ${answer.status} ${text}`);
        return JSON.parse(text);
      }
      const ended = !wrangler.alive();
      if (ended || Date.now() > deadline) {
        // Its last lines are read only once it is gone.
        await wrangler.stop();
        if (portTaken()) return undefined;
        throw new Stop(`wrangler dev ${ended ? 'ended' : 'does not answer'}:\n${wrangler.logs.slice(-40).join('\n')}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    await wrangler.stop();
    // Its runtime is a process of the same group and may outlive it.
    try {
      process.kill(-wrangler.pid, 'SIGKILL');
    } catch {
      // Nothing was left.
    }
    rmSync(folder, { recursive: true, force: true });
  }
}
