#!/usr/bin/env node
// Promises: an agent that buys. It asks the seller for the price list, shows the price, pays with the published x402
// client, prints the receipt and uses the token at the seller's backend. Everything it knows about the seller comes
// from /discover, with `--via a2a` from the agent card and the conversation, with `--via mcp` from the MCP server's tools.

import { randomUUID } from 'node:crypto';
import { callRoute, describeCall } from './call.mjs';
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
  mpp: () => import('./via-mpp.mjs'),
};

async function main() {
  const { url, via, privateKey, most, output, worldFile, ...wanted } = readOptions();
  if (output !== 'words') wordsToStderr();
  const wallet = openWallet(privateKey, most);
  const { meet } = await WAYS[via]();
  const seller = await meet(url);

  const { catalog } = seller;
  if (wanted.call) return callOnce({ url, via, seller }, { ...wanted, worldFile }, wallet, output);
  tell(plain(`${catalog.agent} at ${url} sells on ${catalog.network} (chain ${catalog.chainId}):`));
  const longest = Math.max(...catalog.plans.map(({ planId }) => planId.length));
  for (const { planId, unitAmount, description } of catalog.plans) {
    const row = `  ${planId.padEnd(longest)}  ${unitAmount.padStart(9)}  `;
    tell(plain(row) + wrap(plain(description), ' '.repeat(row.length), undefined, true));
  }
  for (const { method, path, unitAmount } of catalog.routes ?? []) tell(plain(`  ${method} ${path}  ${unitAmount ? `${unitAmount} per call` : 'free'}`));
  if (!catalog.plans.length) stop('It sells no plan. --call PATH pays for one call.');

  const plan = choose(catalog.plans, wanted.plan);
  const price = dollars(plan.unitAmount);
  if (price > most) stop(`"${plan.planId}" costs ${plan.unitAmount}, more than the limit of $${decimal(most)}. Raise it with --max ${decimal(price)}`);
  const order = { planId: plan.planId, requestId: wanted.request ?? randomUUID(), resourceId: wanted.resource };
  rememberCall({ plan: plan.planId, resource: wanted.resource, via });
  tell(plain(`\nBuying "${plan.planId}" for ${plan.unitAmount} USDC`));
  tell(`  wallet ${wallet.address}`);
  tell(`  request ${order.requestId}`);

  const { grant, receipt } = await seller.buy(order, wallet).catch((error) => addWallet(error, wallet, catalog, worldFile));
  tell(plain(`  paid in ${receipt.transaction}`));
  if (wanted.request) tell('  (a request is paid once: if you have seen this transaction before, nothing new was paid)');
  tell(plain(`  token for resource "${grant.resourceId}"${grant.expiresAt ? `, good until ${grant.expiresAt}` : ''}`));
  if (output === 'json') process.stdout.write(`${JSON.stringify(grant, null, 2)}\n`);
  else if (output === 'token') process.stdout.write(`${grant.accessToken}\n`);
  else await useToken(grant);
}

/** Pays for one call. With --json the answer alone is on stdout. */
async function callOnce({ url, via, seller }, { call, request, worldFile }, wallet, output) {
  const { catalog } = seller;
  const requestId = request ?? randomUUID();
  rememberCall({ call, via });
  const answer = via === 'http' ? callRoute(url, catalog, call, requestId, wallet) : describeCall(seller, call, requestId, wallet);
  const { text, receipt } = await answer.catch((error) => addWallet(error, wallet, catalog, worldFile));
  if (receipt) tell(plain(`  paid in ${receipt.transaction}`));
  if (output === 'json') process.stdout.write(text);
  else tell(plain(`\n${text}`));
}

/** A buyer with too little must know which wallet that is, and where test money comes from. */
function addWallet(error, { address }, { chainId }, worldFile) {
  if (!(error instanceof Stop) || !/balance is below|insufficient_funds/.test(error.message)) throw error;
  const source = worldFile
    ? `\nThis chain runs on your machine only, and a faucet does not reach it: ${worldFile} has the keys of funded wallets ("buyers").`
    : '\nTest USDC for it: https://faucet.circle.com (Base Sepolia).';
  return stop(`${error.message}\nThe wallet is ${address}.${chainId === TEST_CHAIN ? source : ''}`, error.answer);
}

function choose(plans, wanted) {
  if (!wanted) return plans.reduce((best, plan) => (dollars(plan.unitAmount) < dollars(best.unitAmount) ? plan : best));
  return plans.find((plan) => plan.planId === wanted) ?? stop(`There is no plan "${wanted}". Plans: ${plans.map((plan) => plan.planId).join(', ')}`);
}

main().catch((error) => {
  if (process.argv.includes('--json') && error instanceof Stop && error.answer) process.stdout.write(`${JSON.stringify(error.answer, null, 2)}\n`);
  return fail(error);
});
