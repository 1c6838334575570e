// Promises: what the chain itself says, through endpoints that the person at the keyboard names: is it the right chain, does
// USDC there sign as the offers say, is its clock ours, what do the wallets hold. Addresses may contain keys: only hosts are
// shown.

import { createPublicClient, http, parseAbi } from 'viem';
import { NETWORKS } from '../chain.mjs';
import { isLoopback } from './health.mjs';

const USDC = parseAbi(['function DOMAIN_SEPARATOR() view returns (bytes32)', 'function balanceOf(address) view returns (uint256)']);
const TIMEOUT_MS = 10_000;
const MAX_AHEAD_SECONDS = 60;
const MAX_BEHIND_SECONDS = 60;

/**
 * @param {import('./report.mjs').Report} report
 * @param {{url: string, from: string}[]} endpoints  `from`: where they were named
 * @param {any} health
 * @returns {Promise<{url: string, isLocal: boolean, gasPrice: () => Promise<bigint | undefined>, usdcOf: (address: string) => Promise<bigint | undefined>} | undefined>}
 *          for further questions, to the first endpoint that is good
 */
export async function checkChain(report, endpoints, health) {
  report.about('The chain, asked from here');
  const network = NETWORKS[health.network];
  let good;
  for (const { url, from } of endpoints) {
    const host = new URL(url).host;
    const name = `${host} (${from})`;
    const client = createPublicClient({ transport: http(url, { retryCount: 1, timeout: TIMEOUT_MS }) });
    const chainId = await client.getChainId().catch(() => undefined);
    if (chainId === undefined) {
      report.fault('chain', `${name} gives no answer.`, 'Look whether it is up, and whether its key is right.');
      continue;
    }
    if (chainId !== network.chainId) {
      report.fault('chain', `${name} is chain ${chainId}; the worker sells on ${health.network}, chain ${network.chainId}.`, `Name an endpoint of ${health.network === 'mainnet' ? 'Base' : 'Base Sepolia'}.`);
      continue;
    }
    const read = (functionName, args) => client.readContract({ address: network.usdc, abi: USDC, functionName, args });
    const separator = await read('DOMAIN_SEPARATOR').catch(() => 'none');
    if (separator !== network.domainSeparator) {
      report.fault('domain-separator', `${name} calls itself chain ${chainId}, but USDC's domain separator there is ${separator}: it serves another chain.`, 'Use another endpoint. The worker refuses this one.');
      continue;
    }
    report.ok('domain-separator', `${name} is chain ${chainId}, and USDC there signs as "${network.usdcName}", version 2.`);
    await checkClock(report, client, host);
    const isLocal = isLoopback(new URL(url).hostname);
    good ??= { url, isLocal, gasPrice: () => client.getGasPrice().catch(() => undefined), usdcOf: (address) => read('balanceOf', [address]).catch(() => undefined) };
  }
  return good;
}

async function checkClock(report, client, host) {
  const block = await client.getBlock().catch(() => undefined);
  if (!block) return report.warning('chain-clock', `${host} does not show its newest block.`, 'Use another endpoint.');
  const age = Math.round(Date.now() / 1000) - Number(block.timestamp);
  const isLocal = isLoopback(host.replace(/:\d+$/, ''));
  if (age < -MAX_AHEAD_SECONDS) {
    return report.fault('chain-clock', `The newest block at ${host} is ${-age} s in the future: the chain's clock and this machine's disagree.`, 'Set this machine\'s clock. If it is right, authorizations expire too early on this chain.');
  }
  if (age > MAX_BEHIND_SECONDS && !isLocal) {
    return report.warning('chain-clock', `The newest block at ${host} is ${age} s old: the node is stuck, or this machine's clock is ahead.`, 'Use another endpoint, or set the clock.');
  }
  return report.ok('chain-clock', isLocal && age > MAX_BEHIND_SECONDS ? `Block ${block.number}; a local chain makes one when something happens.` : `Block ${block.number}, ${Math.max(age, 0)} s old.`);
}
