// Promises: `npm run doctor` looks at a deployment as buyers, backends and the seller see it, and says what is wrong and what
// to do about it. It only reads: it asks for prices and buys nothing.

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { checkBackend } from './lib/doctor/backend.mjs';
import { checkChain } from './lib/doctor/chain.mjs';
import { checkBrowsers, checkDocuments } from './lib/doctor/documents.mjs';
import { checkEndpoints, checkHealth, checkSettlement, isLoopback } from './lib/doctor/health.mjs';
import { checkIncome } from './lib/doctor/income.mjs';
import { checkOffers, checkPriceList } from './lib/doctor/offer.mjs';
import { checkRegistries } from './lib/doctor/registries.mjs';
import { newReport, print } from './lib/doctor/report.mjs';
import { checkNames, checkSettings, endpointsOf } from './lib/doctor/settings.mjs';
import { readDotenv } from './lib/dotenv.mjs';
import { isWorldAt, readLocalWorld } from './lib/local-world.mjs';
import { readWorkerShape } from './lib/runtime-config.mjs';
import { Stop, fail } from './lib/say.mjs';

const HELP = `
npm run doctor -- [url] [options]

Looks at a deployment from outside (settings, offers, documents, browsers) and,
as far as you let it, from inside (chain, wallets, backend), and says what is
wrong and what to do. It buys nothing and changes nothing. Without an address it
looks at the local world (npm start).

  --env <file>     its settings (dotenv, like .dev.vars; wrangler.toml has the
                   rest): compared with what is deployed, names checked
  --config <file>  instead of wrangler.toml, for another deployment
  --rpc <url>      an RPC endpoint of its chain, to be asked from here; may be
                   repeated. Otherwise those of the file or, for a worker on the
                   internet, Base's public one
  --backend <url>  your backend, asked from here; otherwise that of the file
  --dir <folder>   where the local world lives, as for npm start (.local)
  --json           one JSON document on stdout instead of text

With KEY0_ADMIN_SECRET in the environment, or in that file, it also compares
what came to your wallet in the last day with the ledger.

  npm run doctor -- https://key0.you.workers.dev --env .dev.vars

Exit code: 0 no fault (there may be warnings), 2 faults, 1 could not look.
`;
const PUBLIC_RPC = { mainnet: 'https://mainnet.base.org', testnet: 'https://sepolia.base.org' };

const isHttp = (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);

function readOptions() {
  const options = { config: { type: 'string' }, rpc: { type: 'string', multiple: true }, backend: { type: 'string' }, env: { type: 'string' }, dir: { type: 'string', default: '.local' }, json: { type: 'boolean' } };
  const flags = readFlags(HELP, options, process.argv.slice(2), 'url');
  for (const url of flags.rpc ?? []) if (!isHttp(url)) throw new Stop('--rpc wants an address that begins with https:// or http://.');
  if (flags.backend !== undefined && !isHttp(flags.backend)) throw new Stop('--backend wants an address that begins with https:// or http://.');
  const world = readLocalWorld(flags.dir);
  if (flags.url === undefined && !world) throw new Stop(`Which deployment? Give its address: npm run doctor -- https://YOUR-WORKER. (No local world runs from ${flags.dir}.)`);
  const url = flags.url ?? world.url;
  if (!isHttp(url)) throw new Stop(`"${url}" is not an address that begins with https:// or http://.`);
  return { ...flags, url: new URL(url).origin, settings: settingsOf(flags), local: isWorldAt(world, url) ? world : undefined };
}

/** The settings as they would be deployed, as far as files were named. */
function settingsOf({ env, config }) {
  if (env === undefined && config === undefined) return undefined;
  return { ...readWorkerShape(config && resolve(config)).vars, ...(env && readDotenv(env)) };
}

/** Which endpoints to ask from here. @returns {{url: string, from: string}[]} */
function endpoints({ url, rpc, settings, local }, network) {
  const named = [...(rpc ?? []).map((each) => ({ url: each, from: '--rpc' })), ...(settings ? endpointsOf(settings) : []).map((each) => ({ url: each, from: 'KEY0_RPC_URL' }))];
  if (named.length) return named;
  if (local) return [{ url: local.rpcUrl, from: 'the local world' }];
  return isLoopback(new URL(url).hostname) ? [] : [{ url: PUBLIC_RPC[network], from: 'public' }];
}

/** Whether a worker on this machine cannot know its endpoints because nothing can be looked up here. */
async function isOffline(url, { rpc = [] }) {
  const hosts = rpc.map(({ host }) => host.replace(/:\d+$/, '')).filter((host) => !isIP(host) && !isLoopback(host));
  if (!isLoopback(new URL(url).hostname) || !hosts.length) return false;
  const found = await Promise.all(hosts.map((host) => lookup(host).then(() => true, () => false)));
  return !found.includes(true);
}

async function lookAt(options) {
  const { url, settings, local } = options;
  const adminSecret = settings?.KEY0_ADMIN_SECRET || process.env.KEY0_ADMIN_SECRET || local?.adminSecret;
  const report = newReport();
  const health = await checkHealth(report, url, settings?.KEY0_ADMIN_SECRET ?? local?.adminSecret);
  if (health.status === 'misconfigured') {
    if (settings) checkNames(report, settings);
    return { report, health };
  }
  checkEndpoints(report, health, await isOffline(url, health));
  const asked = endpoints(options, health.network);
  const chain = asked.length ? await checkChain(report, asked, health) : undefined;
  checkSettlement(report, health, await chain?.gasPrice());
  const list = await checkPriceList(report, url, health, chain);
  if (list) await checkOffers(report, url, health, list);
  if (list && chain) await checkIncome(report, url, list, chain.url, adminSecret);
  const backend = options.backend ?? settings?.BACKEND_API_URL ?? local?.backendApiUrl;
  if (backend && isHttp(backend)) await checkBackend(report, backend, health, { notifies: settings?.BACKEND_NOTIFICATIONS !== 'false' });
  await checkDocuments(report, url, health);
  // A registry stumbles over what was found already.
  if (list && !report.count('fault')) await checkRegistries(report, url, list);
  await checkBrowsers(report, url);
  if (settings) await checkSettings(report, url, settings, health, list);
  return { report, health };
}

async function main() {
  const options = readOptions();
  if (!options.json) process.stdout.write(`Looking at ${options.url} …\n`);
  const { report, health } = await lookAt(options);
  const [faults, warnings] = [report.count('fault'), report.count('warning')];
  if (options.json) {
    const { version, network, chainId } = health;
    process.stdout.write(`${JSON.stringify({ url: options.url, version, network, chainId, faults, warnings, findings: report.findings }, null, 2)}\n`);
  } else {
    print(report, process.stdout);
  }
  process.exitCode = faults ? 2 : 0;
}

main().catch(fail);
