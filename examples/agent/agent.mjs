#!/usr/bin/env node
// Promises: an agent that buys. It asks the seller for the price list, shows the price, pays with the published x402
// client, prints the receipt and uses the token at the seller's backend. Everything it knows about the seller comes
// from /discover, with `--via a2a` from the agent card and the conversation, with `--via mcp` from the MCP server's tools.

import { randomUUID } from 'node:crypto';
import { decimal, dollars } from './money.mjs';
import { readOptions } from './options.mjs';
import { fail, plain, stop } from './say.mjs';
import { useToken } from './token.mjs';
import { openWallet } from './wallet.mjs';

/** Only the client of the chosen way is loaded. */
const WAYS = {
  http: () => import('./via-http.mjs'),
  a2a: () => import('./via-a2a.mjs'),
  mcp: () => import('./via-mcp.mjs'),
};

async function main() {
  const { url, via, privateKey, most, ...wanted } = readOptions();
  const wallet = openWallet(privateKey, most);
  const { meet } = await WAYS[via]();
  const seller = await meet(url);

  const { catalog } = seller;
  console.log(plain(`${catalog.agent} at ${url} sells on ${catalog.network} (chain ${catalog.chainId}):`));
  for (const plan of catalog.plans) console.log(plain(`  ${plan.planId.padEnd(18)} ${plan.unitAmount.padStart(9)}   ${plan.description}`));

  const plan = choose(catalog.plans, wanted.plan);
  const price = dollars(plan.unitAmount);
  if (price > most) stop(`"${plan.planId}" costs ${plan.unitAmount}, more than the limit of $${decimal(most)}. Raise it with --max ${decimal(price)}`);
  const order = { planId: plan.planId, requestId: wanted.request ?? randomUUID(), resourceId: wanted.resource };
  console.log(plain(`\nBuying "${plan.planId}" for ${plan.unitAmount} USDC from wallet ${wallet.address}`));
  console.log(`  request ${order.requestId}`);

  const { grant, receipt } = await seller.buy(order, wallet);
  console.log(plain(`  paid in transaction ${receipt.transaction} on ${receipt.network}`));
  if (wanted.request) console.log('  (a request is paid once: if you have seen this transaction before, nothing new was paid)');
  console.log(plain(`  token for resource "${grant.resourceId}"${grant.expiresAt ? `, good until ${grant.expiresAt}` : ''}`));
  await useToken(grant);
}

function choose(plans, wanted) {
  if (!wanted) return plans.reduce((best, plan) => (dollars(plan.unitAmount) < dollars(best.unitAmount) ? plan : best));
  return plans.find((plan) => plan.planId === wanted) ?? stop(`There is no plan "${wanted}". Plans: ${plans.map((plan) => plan.planId).join(', ')}`);
}

main().catch(fail);
