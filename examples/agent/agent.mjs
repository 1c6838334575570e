#!/usr/bin/env node
// Promises: an agent that buys. It asks the seller for the price list, shows the price, pays with the published x402
// client, prints the receipt and uses the token at the seller's backend. Everything it knows about the seller comes
// from /discover, with `--via a2a` from the agent card and the conversation, with `--via mcp` from the MCP server's tools.

import { randomUUID } from 'node:crypto';
import { decimal, dollars } from './money.mjs';
import { readOptions } from './options.mjs';
import { rememberCall } from './refusal.mjs';
import { Stop, fail, plain, stop, tell, wordsToStderr, wrap } from './say.mjs';
import { useToken } from './token.mjs';
import { openWallet } from './wallet.mjs';

const TEST_CHAIN = 84532;
/** Only the client of the chosen way is loaded. */
const WAYS = {
  http: () => import('./via-http.mjs'),
  a2a: () => import('./via-a2a.mjs'),
  mcp: () => import('./via-mcp.mjs'),
};

async function main() {
  const { url, via, privateKey, most, output, ...wanted } = readOptions();
  if (output !== 'words') wordsToStderr();
  const wallet = openWallet(privateKey, most);
  const { meet } = await WAYS[via]();
  const seller = await meet(url);

  const { catalog } = seller;
  tell(plain(`${catalog.agent} at ${url} sells on ${catalog.network} (chain ${catalog.chainId}):`));
  const longest = Math.max(...catalog.plans.map(({ planId }) => planId.length));
  for (const { planId, unitAmount, description } of catalog.plans) {
    const row = `  ${planId.padEnd(longest)}  ${unitAmount.padStart(9)}  `;
    tell(plain(row) + wrap(plain(description), ' '.repeat(row.length), undefined, true));
  }

  const plan = choose(catalog.plans, wanted.plan);
  const price = dollars(plan.unitAmount);
  if (price > most) stop(`"${plan.planId}" costs ${plan.unitAmount}, more than the limit of $${decimal(most)}. Raise it with --max ${decimal(price)}`);
  const order = { planId: plan.planId, requestId: wanted.request ?? randomUUID(), resourceId: wanted.resource };
  rememberCall({ plan: plan.planId, resource: wanted.resource, via });
  tell(plain(`\nBuying "${plan.planId}" for ${plan.unitAmount} USDC`));
  tell(`  wallet ${wallet.address}`);
  tell(`  request ${order.requestId}`);

  const { grant, receipt } = await seller.buy(order, wallet).catch((error) => addWallet(error, wallet, catalog));
  tell(plain(`  paid in ${receipt.transaction}`));
  if (wanted.request) tell('  (a request is paid once: if you have seen this transaction before, nothing new was paid)');
  tell(plain(`  token for resource "${grant.resourceId}"${grant.expiresAt ? `, good until ${grant.expiresAt}` : ''}`));
  if (output === 'json') process.stdout.write(`${JSON.stringify(grant, null, 2)}\n`);
  else if (output === 'token') process.stdout.write(`${grant.accessToken}\n`);
  else await useToken(grant);
}

/** Whoever has too little has to know which wallet that is, and on the test network where USDC comes from. */
function addWallet(error, { address }, { chainId }) {
  if (!(error instanceof Stop) || !/balance is below|insufficient_funds/.test(error.message)) throw error;
  const faucet = chainId === TEST_CHAIN ? '\nTest USDC for it: https://faucet.circle.com (Base Sepolia).' : '';
  return stop(`${error.message}\nThe wallet is ${address}.${faucet}`, error.answer);
}

function choose(plans, wanted) {
  if (!wanted) return plans.reduce((best, plan) => (dollars(plan.unitAmount) < dollars(best.unitAmount) ? plan : best));
  return plans.find((plan) => plan.planId === wanted) ?? stop(`There is no plan "${wanted}". Plans: ${plans.map((plan) => plan.planId).join(', ')}`);
}

main().catch((error) => {
  if (process.argv.includes('--json') && error instanceof Stop && error.answer) process.stdout.write(`${JSON.stringify(error.answer, null, 2)}\n`);
  return fail(error);
});
