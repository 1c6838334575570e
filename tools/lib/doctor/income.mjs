// Promises: whether the seller's wallet receives anything but what this deployment sells. A payment that came for something
// else can be shown here for a grant, so one wallet is for one deployment.

import { setTimeout as pause } from 'node:timers/promises';
import { readLedger } from '../ledger.mjs';
import { Stop } from '../say.mjs';
import { openChain } from '../transfers.mjs';

/** About a day of Base. */
const BLOCKS = 43_200n;
/** The ledger is a moment behind the chain. */
const SECOND_LOOK_MS = 5_000;

/**
 * @param {import('./report.mjs').Report} report
 * @param {string} url     the worker's
 * @param {any} list       /discover
 * @param {string} rpcUrl  an endpoint that is known to be good
 * @param {string} [secret] KEY0_ADMIN_SECRET; without it nobody but the operator can tell
 */
export async function checkIncome(report, url, list, rpcUrl, secret) {
  report.about('The receiving wallet');
  if (!secret) return report.ok('wallet-income', `${list.walletAddress} must be this deployment's alone. With KEY0_ADMIN_SECRET in the environment it is checked what came in.`);
  try {
    let unknown = await unknownIncome(url, list, rpcUrl, secret);
    if (unknown.length) {
      await pause(SECOND_LOOK_MS);
      unknown = await unknownIncome(url, list, rpcUrl, secret);
    }
    if (!unknown.length) return report.ok('wallet-income', 'All USDC that came to the wallet in the last day is in this deployment\'s ledger.');
    const [{ hash, from }] = unknown;
    return report.warning(
      'wallet-income',
      `In the last day ${unknown.length} USDC transfer${unknown.length === 1 ? '' : 's'} came to ${list.walletAddress} that this deployment's ledger does not know; one is ${hash} from ${from}.`,
      'Use this wallet for this deployment and nothing else: what was paid to another one, or for an invoice, can be shown here for a grant. If a buyer has not shown it yet, wait; "npm run reconcile" lists them all.',
    );
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return report.warning('wallet-income', `What came to the wallet could not be compared with the ledger: ${error.message}`, 'Look whether KEY0_ADMIN_SECRET is the one that is set there, or use an endpoint that shows its logs.');
  }
}

async function unknownIncome(url, { assetAddress, walletAddress, chainId }, rpcUrl, secret) {
  const chain = openChain(rpcUrl, assetAddress, [walletAddress]);
  const height = await chain.height();
  const incoming = await chain.incoming(height > BLOCKS ? height - BLOCKS : 0n, height);
  const entries = await readLedger(url, secret);
  const known = new Set(entries.filter(({ network }) => network === `eip155:${chainId}`).map(({ transaction, payer }) => transaction + payer));
  return incoming.filter(({ hash, from }) => !known.has(hash + from));
}
