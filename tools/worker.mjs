// Promises: `npm run worker` runs the built worker alone in the foreground, prints one JSON line with its address
// and the runtime's pid when it answers, and takes it down with itself.

import { resolve } from 'node:path';
import { portFlag, readFlags, varFlags } from './lib/args.mjs';
import { buildWorker } from './lib/build.mjs';
import { readCatalog } from './lib/catalog.mjs';
import { readDotenv } from './lib/dotenv.mjs';
import { newReader } from './lib/readable.mjs';
import { readWorkerShape } from './lib/runtime-config.mjs';
import { Stop, fail, say } from './lib/say.mjs';
import { sayUnknown, sayWhether, whetherItSells } from './lib/sells.mjs';
import { onShutdown } from './lib/shutdown.mjs';
import { startWorker } from './lib/worker.mjs';

const HELP = `
npm run worker -- --state <folder> [options]

Runs the worker in the real runtime, for a chain and a backend that run
elsewhere. Prints one JSON line {"url":…,"pid":…} on stdout when it answers;
pid is the runtime process. What keeps it from selling and what it logs goes to
stderr. Ends on SIGTERM.

  --state <folder>    where its storage lives, kept across restarts (required)
  --env <file>        settings and secrets, one NAME=VALUE a line; values of
                      several lines in quotes
  --var NAME=VALUE    one setting, wins over the file; may be repeated (a secret
                      is safer in the file)
  --port <number>     default 3901; 0 takes any free one
  --host <address>    default 127.0.0.1
  --no-build          run what is in build/ as it is
  --verbose           every line that the runtime writes, as it is
  --yes               install what is missing without asking

Settings not given keep the value of [vars] in wrangler.toml; KEY0_PUBLIC_URL
defaults to the printed url. Plans come from PLANS, or else from catalog.json.

  npm run worker -- --state .local/alone --env .dev.vars
`;

async function main() {
  const flags = readFlags(HELP, {
    state: { type: 'string' },
    env: { type: 'string' },
    var: { type: 'string', multiple: true },
    port: { type: 'string' },
    host: { type: 'string' },
    'no-build': { type: 'boolean' },
    verbose: { type: 'boolean' },
  });
  if (!flags.state) throw new Stop('--state <folder> is needed: where should the storage live?');
  const env = { ...(flags.env ? readDotenv(flags.env) : {}), ...varFlags(flags.var) };

  sayUnknown({ ...readWorkerShape().vars, ...env });
  /** @type {import('./lib/worker.mjs').WorkerProcess | undefined} */
  let worker;
  let stopping = false;
  const end = onShutdown(async () => {
    stopping = true;
    await worker?.stop();
  });
  if (!flags['no-build']) await buildWorker();
  // A program that reads the log wants each line; a person wants sentences.
  const toPeople = process.stderr.isTTY && !flags.verbose ? newReader() : (line) => line;
  worker = await startWorker({
    port: portFlag(flags.port, '--port') ?? 3901,
    host: flags.host,
    state: resolve(flags.state),
    env,
    catalog: readCatalog(),
    onLine: (line) => {
      const said = toPeople(line);
      if (said) process.stderr.write(`${said}\n`);
    },
  });
  void worker.ended.then((how) => {
    if (stopping) return undefined;
    process.stderr.write(`The worker runtime ended (${how}).\n`);
    return end('runtime ended', 1);
  });
  process.stdout.write(`${JSON.stringify({ url: worker.url, pid: worker.pid })}\n`);
  // A runtime that gives no answer has ended, and that is told above.
  const found = await whetherItSells(worker.url).catch(() => undefined);
  if (found?.faults.length) sayWhether(found, 'key0');
  if (process.stderr.isTTY) say(`key0 answers at ${worker.url} (Ctrl-C stops it)`);
}

main().catch(fail);
