// Promises: a whole seller on one machine: chain, funded wallets, worker and backend, wired to each other. Either
// everything runs or nothing is left. `npm start`, the black-box tests and the bench all stand on this.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { startBackend } from './backend.mjs';
import { startChain } from './chain.mjs';
import { root } from './paths.mjs';
import { startWorker } from './worker.mjs';

const BUYER_USDC = 1_000_000_000n; // $1,000

/** @typedef {{address: `0x${string}`, privateKey: `0x${string}`}} TestAccount */
/** @typedef {Awaited<ReturnType<typeof startWorld>>} World */

/** @returns {TestAccount} */
export function testAccount() {
  const privateKey = generatePrivateKey();
  return { address: privateKeyToAccount(privateKey).address, privateKey };
}

/** What the example backend sells per call. */
const SAMPLE_ROUTES = JSON.stringify([
  { routeId: 'weather', method: 'GET', path: '/weather/:city', unitAmount: '$0.01', description: "A city's weather, one call.", plans: ['basic'] },
]);

/** What is sold where nothing is set. With routes the plans must be set, too. */
const samplePlans = () => readFileSync(join(root, 'worker', 'core', 'src', 'catalog', 'default_plans.json'), 'utf8');

/**
 * @param {object} options
 * @param {string} options.state                    folder for the worker's storage
 * @param {Record<string, string>} [options.vars]   settings and secrets that win over the usual ones below
 * @param {{worker?: number, chain?: number, backend?: number}} [options.ports]  0 or absent: any free one
 * @param {number} [options.buyers]                 how many funded wallets
 * @param {'testnet' | 'mainnet'} [options.network] which of the two chains the local one looks like; absent: testnet
 * @param {number} [options.blockTime]              seconds; absent: a block per transaction
 * @param {boolean} [options.backend]               false: no backend
 * @param {(part: 'chain' | 'worker' | 'backend', line: string) => void} [options.onLine]
 * @param {string} [options.catalog]                the text of a catalog.json
 * @param {boolean} [options.sampleRoutes]          sells the backend's weather per call
 * @param {(chainUrl: string) => Promise<string>} [options.rpcUrl]  puts something between worker and chain
 */
export async function startWorld({ state, vars = {}, ports = {}, buyers: count = 5, network = 'testnet', blockTime, backend: wantBackend = true, onLine, rpcUrl, catalog, sampleRoutes }) {
  const tokenSecret = vars.KEY0_ACCESS_TOKEN_SECRET ?? randomBytes(32).toString('hex');
  const adminSecret = vars.KEY0_ADMIN_SECRET ?? randomBytes(32).toString('hex');
  const listen = (part) => onLine && ((line) => onLine(part, line));
  const parts = [];
  const stop = async () => {
    for (const part of parts.toReversed()) await part.stop();
  };
  try {
    const chain = await startChain({ port: ports.chain, network, onLine: listen('chain') });
    parts.push(chain);
    const seller = testAccount();
    const gasWallet = testAccount();
    const buyers = Array.from({ length: count }, testAccount);
    await Promise.all([
      chain.fund(gasWallet.address, '10'),
      ...buyers.flatMap(({ address }) => [chain.fund(address, '1'), chain.mint(address, BUYER_USDC)]),
    ]);
    if (blockTime) await chain.setBlockTime(blockTime);

    const backend = wantBackend ? await startBackend({ port: ports.backend, secret: tokenSecret, env: { KEY0_NETWORK: network }, onLine: listen('backend') }) : undefined;
    if (backend) parts.push(backend);
    const settings = {
      KEY0_NETWORK: network,
      KEY0_ACCESS_TOKEN_SECRET: tokenSecret,
      KEY0_ADMIN_SECRET: adminSecret,
      KEY0_WALLET_ADDRESS: seller.address,
      KEY0_RPC_URL: rpcUrl ? await rpcUrl(chain.url) : chain.url,
      USE_GAS_WALLET: 'true',
      GAS_WALLET_PRIVATE_KEY: gasWallet.privateKey,
      KEY0_WALLET_PRIVATE_KEY: seller.privateKey,
      GAS_MAX_SHARE_PERCENT: '100000', // gas on a local chain has whatever price
      ...(backend && { BACKEND_API_URL: backend.url, KEY0_RESOURCE_ENDPOINT: `${backend.url}/api/{resourceId}` }),
      ...(backend && sampleRoutes && { PROXY_TO_BASE_URL: backend.url, PLANS: samplePlans(), ROUTES: SAMPLE_ROUTES }),
      ...vars,
    };
    const worker = await startWorker({ port: ports.worker, state, env: settings, catalog, onLine: listen('worker') });
    parts.push(worker);
    return { chain, worker, backend, seller, gasWallet, buyers, tokenSecret, adminSecret, settings, parts, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
