// Promises: `npm start` takes a fresh clone to a running local world and says what to type next. It runs in the
// foreground, and whatever it started ends with it.

import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { portFlag, readFlags, varFlags } from './lib/args.mjs';
import { buildBackend } from './lib/backend.mjs';
import { buildWorker } from './lib/build.mjs';
import { readCatalog } from './lib/catalog.mjs';
import { readDotenv } from './lib/dotenv.mjs';
import { root } from './lib/paths.mjs';
import { choosePort } from './lib/ports.mjs';
import { newReader } from './lib/readable.mjs';
import { readWorkerShape } from './lib/runtime-config.mjs';
import { Stop, bold, dim, fail, red, say } from './lib/say.mjs';
import { sayUnknown, sayWhether, whetherItSells } from './lib/sells.mjs';
import { onShutdown } from './lib/shutdown.mjs';
import { startWorld } from './lib/world.mjs';

const HELP = `
npm start -- [options]

Builds and runs everything on this machine: a local EVM chain with test USDC,
funded wallets, the worker in the real runtime and the example backend. Ctrl-C
stops all of it. Each start begins with a fresh chain and fresh storage.

  --port <number>          the worker's port          (usually 8787)
  --rpc-port <number>      the chain's port           (usually 8545)
  --backend-port <number>  the backend's port         (usually 8788)
                           A usual port that is taken is replaced by a free
                           one; 0 takes any free one.
  --var NAME=VALUE         a setting of the worker; may be repeated
  --env <file>             settings and secrets, one NAME=VALUE a line
  --block-time <seconds>   between blocks; default 2, as on Base; 0 makes a
                           block per transaction
  --buyers <number>        funded buyer wallets, default 5
  --dir <folder>           where this world lives, default .local; with
                           different folders several run side by side
  --verbose                each step of each purchase, as the worker logs it
  --yes                    install what is missing without asking

It sells the plans and routes of catalog.json, or of PLANS and ROUTES, or else
four sample plans and calls of the example backend's weather. It writes
<folder>/world.json with every URL, address, test key and pid, and one log file
per part beside it.

  npm start -- --var CHALLENGE_TTL_SECONDS=60 --env .dev.vars
`;

function readOptions() {
  const flags = readFlags(HELP, {
    port: { type: 'string' },
    'rpc-port': { type: 'string' },
    'backend-port': { type: 'string' },
    var: { type: 'string', multiple: true },
    env: { type: 'string' },
    'block-time': { type: 'string', default: '2' },
    buyers: { type: 'string', default: '5' },
    dir: { type: 'string', default: '.local' },
    verbose: { type: 'boolean' },
  });
  for (const name of ['block-time', 'buyers']) {
    if (!/^\d{1,3}$/.test(flags[name])) throw new Stop(`--${name} wants a whole number, not "${flags[name]}".`);
  }
  return {
    asked: {
      worker: portFlag(flags.port, '--port'),
      chain: portFlag(flags['rpc-port'], '--rpc-port'),
      backend: portFlag(flags['backend-port'], '--backend-port'),
    },
    vars: withEndpoint({ ...(flags.env ? readDotenv(flags.env) : {}), ...varFlags(flags.var) }),
    verbose: Boolean(flags.verbose),
    blockTime: Number(flags['block-time']),
    buyers: Number(flags.buyers),
    dir: resolve(root, flags.dir),
  };
}

/** Buyers use the credentials of a backend that issues them there, and not at the example backend, which knows only tokens. */
function withEndpoint(vars) {
  const issuesItself = vars.TOKEN_MODE === 'remote' && vars.BACKEND_API_URL;
  return issuesItself && !vars.KEY0_RESOURCE_ENDPOINT ? { ...vars, KEY0_RESOURCE_ENDPOINT: '' } : vars;
}

/** Two worlds in one folder would overwrite each other's storage. */
function checkFolder(dir) {
  const file = join(dir, 'world.json');
  if (!existsSync(file)) return;
  let pid;
  try {
    pid = JSON.parse(readFileSync(file, 'utf8')).pids?.start;
  } catch {
    return; // Nobody finished writing it, so nobody runs from it.
  }
  if (isAlive(pid)) throw new Stop(`A world already runs from ${placeOf(dir)} (pid ${pid}): stop it, or choose another folder with --dir.`);
}

/** Empties the folder. @returns {string} where world.json goes */
function claimFolder(dir) {
  checkFolder(dir);
  for (const old of ['state', 'world.json', 'worker.log', 'chain.log', 'backend.log']) {
    rmSync(join(dir, old), { recursive: true, force: true });
  }
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return join(dir, 'world.json');
}

/** As a person would type it. */
function placeOf(dir) {
  const place = relative(root, dir);
  return place.startsWith('..') ? dir : place;
}

function isAlive(pid) {
  try {
    return Boolean(pid) && process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function describe(world, dir) {
  const { chain, worker, backend, seller, gasWallet, buyers, tokenSecret, adminSecret } = world;
  return {
    url: worker.url,
    rpcUrl: chain.url,
    chainId: chain.chainId,
    network: chain.network,
    usdc: chain.usdc.address,
    backendUrl: backend.url,
    /** What the worker calls: with --var it may be another one. */
    backendApiUrl: world.settings.BACKEND_API_URL,
    seller,
    gasWallet,
    buyers,
    tokenSecret,
    adminSecret,
    state: worker.state,
    logs: dir,
    pids: { start: process.pid, worker: worker.pid, chain: chain.pid, backend: backend.pid },
  };
}

function announce(world, dir, found, sampleRoutes) {
  const place = placeOf(dir);
  const own = place === '.local' ? '' : ` -- --dir ${place}`;
  const ownApi = !sampleRoutes && world.settings.PROXY_TO_BASE_URL;
  const row = (name, value, remark = '') => say(`  ${name.padEnd(11)} ${remark ? `${value.padEnd(42)}  ${dim(remark)}` : value}`);
  say();
  sayWhether(found, 'key0');
  say();
  row('worker', world.worker.url, 'prices: /discover');
  row('backend', world.backend.url, ownApi ? 'where tokens are used' : 'what is sold');
  if (ownApi) row('your API', ownApi, 'what routes call');
  row('chain', world.chain.url, `chain id ${world.chain.chainId}`);
  row('USDC', world.chain.usdc.address);
  row('seller', world.seller.address);
  row('gas wallet', world.gasWallet.address, '10 test ETH');
  row('buyers', `${world.buyers.length}, each with $1,000 of test USDC`);
  say();
  if (found.sells) {
    say('  In another terminal, let an agent buy:');
    say(`    ${bold(`npm run agent${own}`)}`);
    if (sampleRoutes) say(`    ${bold(`npm run agent -- --call /weather/oslo${own.replace(' --', '')}`)}   one call of the backend`);
    if (ownApi) say(`    ${bold(`npm run agent -- --call PATH${own.replace(' --', '')}`)}   one call of your API`);
  }
  say('  Every address, key and pid is in');
  say(`    ${join(place, 'world.json')}`);
  say();
  say(dim('  Ctrl-C stops everything. What the worker and the backend say follows.'));
}

async function main() {
  const { asked, vars, verbose, blockTime, buyers, dir } = readOptions();
  checkFolder(dir);
  sayUnknown({ ...readWorkerShape().vars, ...vars });
  let world;
  let worldFile;
  let stopping = false;
  const end = onShutdown(async (reason) => {
    stopping = true;
    say(dim(`\nstopping (${reason}) …`));
    await world?.stop();
    if (worldFile) rmSync(worldFile, { force: true });
    say(dim('stopped'));
  });
  // Before the long steps, so that a port that cannot be had is known at once.
  const ports = {
    worker: await choosePort({ asked: asked.worker, usual: 8787, what: 'worker', flag: '--port' }),
    chain: await choosePort({ asked: asked.chain, usual: 8545, what: 'chain', flag: '--rpc-port' }),
    backend: await choosePort({ asked: asked.backend, usual: 8788, what: 'backend', flag: '--backend-port' }),
  };
  await buildWorker();
  await buildBackend();
  worldFile = claimFolder(dir);
  let ready = false;
  const toPeople = verbose ? (line) => line : newReader();
  const onLine = (part, line) => {
    appendFileSync(join(dir, `${part}.log`), `${line}\n`, { mode: 0o600 });
    if (part === 'chain') return;
    const said = toPeople(line);
    if (ready && said) say(`${dim(`${part} │`)} ${said}`);
  };
  const catalog = readCatalog();
  const sampleRoutes = !catalog && !vars.PLANS && !vars.ROUTES;
  world = await startWorld({ state: join(dir, 'state'), vars, catalog, ports, buyers, blockTime, onLine, sampleRoutes });
  for (const part of world.parts) {
    void part.ended.then((how) => {
      if (stopping) return undefined;
      say(red(`The ${part.name} ended by itself (${how}); its last lines:\n${part.logs.slice(-5).join('\n')}`));
      return end(`without the ${part.name} nothing works`, 1);
    });
  }
  writeFileSync(worldFile, `${JSON.stringify(describe(world, dir), null, 2)}\n`, { mode: 0o600 });
  announce(world, dir, await whetherItSells(world.worker.url), sampleRoutes);
  ready = true;
}

main().catch(fail);
