// Promises: the built worker in the real runtime, alone: storage in the folder given, kept across restarts and
// SIGKILL; settings as given on top of wrangler.toml; secrets only in the runtime's environment, never on disk.

import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildFolder } from './paths.mjs';
import { choosePort } from './ports.mjs';
import { startProcess } from './process.mjs';
import { CLOCK_SOCKET, HTTP_SOCKET, STATE_DISK, readWorkerShape, runtimeConfig } from './runtime-config.mjs';
import { Stop } from './say.mjs';

const READY_WITHIN_MS = 20_000;
/** The crons of wrangler.toml are hourly; here the hour begins with the worker. */
const HOUR_MS = 3_600_000;

/**
 * @typedef {import('./process.mjs').Running & {url: string, port: number, state: string, strike: () => Promise<void>}} WorkerProcess
 *          `strike`: every cron of wrangler.toml happens now, and has been handled when this resolves
 */

/**
 * Starts the runtime and waits until it answers.
 * @param {{port?: number, host?: string, state: string, env?: Record<string, string>,
 *          onLine?: (line: string) => void, outbound?: string,
 *          rateLimits?: import('./runtime-config.mjs').RateLimit[], shape?: import('./runtime-config.mjs').WorkerShape,
 *          catalog?: string, entry?: string, untouched?: boolean}} options
 *        `port` 0 or absent: any free one · `env`: settings and secrets by their names in README.md · `outbound`: host and
 *        port of a server that gets all of the worker's calls, whatever their host · `rateLimits`: other ones than deployed
 *        · `shape`: absent, that of wrangler.toml · `catalog`: the text of a catalog.json
 *        · `entry`: the text of a module that runs in place of the worker's own, and may import that from `index.js`
 *        · `untouched`: it counts as started when it listens, before any request
 * @returns {Promise<WorkerProcess>}
 */
export async function startWorker(options) {
  const { port: asked = 0, host = '127.0.0.1', state, env = {}, onLine, outbound, rateLimits, shape: given, catalog, entry, untouched } = options;
  if (!existsSync(join(buildFolder, 'index_bg.wasm'))) throw new Stop('The worker is not built: run "npm run build" first.');
  const port = await choosePort({ asked, what: 'worker', flag: '--port', host });
  const printedHost = host.includes(':') ? `[${host}]` : host;
  const url = `http://${host === '0.0.0.0' || host === '::' ? '127.0.0.1' : printedHost}:${port}`;

  const disk = join(state, 'objects');
  mkdirSync(disk, { recursive: true });
  chmodSync(state, 0o700);
  const configFile = join(state, 'workerd.capnp');
  const shape = { ...(given ?? readWorkerShape()), ...(rateLimits && { rateLimits }) };
  const { config, env: bound } = runtimeConfig(shape, { KEY0_PUBLIC_URL: url, ...env }, outbound, catalog, entry);
  writeFileSync(configFile, config);

  const args = ['serve', configFile, '--experimental', '--import-path', buildFolder, '--directory-path', `${STATE_DISK}=${disk}`];
  args.push('--socket-addr', `${HTTP_SOCKET}=${printedHost}:${port}`, '--control-fd', '3');
  const runtime = await startProcess(workerdBinary(), args, {
    name: 'worker',
    env: { ...certificates(), ...bound },
    controlFd: true,
    onLine,
  });
  const clock = await readiness(runtime, url, untouched);
  const strike = async () => {
    for (const cron of shape.crons) {
      const answer = await fetch(`http://127.0.0.1:${clock}/?cron=${encodeURIComponent(cron)}`);
      const outcome = await answer.text();
      if (outcome !== 'ok') throw new Stop(`The worker does not handle the cron "${cron}": ${outcome}`);
    }
  };
  const hourly = setInterval(() => strike().catch(() => {}), HOUR_MS);
  hourly.unref();
  runtime.ended.then(() => clearInterval(hourly));
  return { ...runtime, url, port, state, strike };
}

/** The runtime's program inside the packages. */
export function workerdBinary() {
  return createRequire(import.meta.url)('workerd').default;
}

function certificates() {
  const names = ['SSL_CERT_FILE', 'SSL_CERT_DIR', 'TZ', 'TMPDIR'];
  return Object.fromEntries(names.filter((name) => process.env[name]).map((name) => [name, process.env[name]]));
}

/** Resolves when the runtime has its sockets and, unless it is to stay untouched, the worker answers anything at all. @returns {Promise<number>} the clock's port */
async function readiness(runtime, url, untouched) {
  const listening = new Promise((resolve) => {
    let told = '';
    runtime.child.stdio[3].on('data', (chunk) => {
      told += chunk;
      const lines = told.split('\n').slice(0, -1);
      const ports = new Map(lines.map((line) => JSON.parse(line)).map(({ socket, port }) => [socket, port]));
      if (ports.has(HTTP_SOCKET) && ports.has(CLOCK_SOCKET)) resolve(ports.get(CLOCK_SOCKET));
    });
  });
  const died = runtime.ended.then((how) => {
    const why = runtime.logs.find((line) => /error|denied|in use/i.test(line)) ?? runtime.logs.at(-1) ?? 'it said nothing';
    throw new Stop(`The worker runtime ended at start (${how}): ${why}`);
  });
  const deadline = AbortSignal.timeout(READY_WITHIN_MS);
  const late = new Promise((_, reject) =>
    deadline.addEventListener('abort', () => reject(new Stop(`The worker did not answer within ${READY_WITHIN_MS / 1000} s.`))),
  );
  const answering = async () => {
    const clock = await listening;
    if (untouched) return clock;
    const answer = await fetch(`${url}/health`, { signal: deadline });
    await answer.arrayBuffer();
    return clock;
  };
  try {
    return await Promise.race([answering(), died, late]);
  } catch (error) {
    await runtime.kill();
    throw error;
  }
  died.catch(() => {});
  late.catch(() => {});
}
