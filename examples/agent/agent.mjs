// Promises: a buyer as anybody would write one. It finds the price list, lets the published x402 client pay, and
// uses the token. Nothing in here knows how key0 works inside.
//
//   npm run agent                    buys the first plan from the world that `npm start` runs
//   npm run agent -- --help          other plans, wallets and sellers

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ExactEvmScheme } from '@x402/evm';
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { createPublicClient, erc20Abi, formatUnits, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const HELP = `
npm run agent -- [options]

  --plan <id>          which plan to buy, default the first on the list
  --request-id <uuid>  an earlier purchase to ask for again; without it a new one
  --resource <id>      which resource, default "default"
  --buyer <n>          which funded wallet of the local world pays, from 0
  --dir <folder>       the local world's folder, default .local
  --url <address>      another seller; then BUYER_PRIVATE_KEY is the paying key and RPC_URL the chain
`;

const { values: options } = parseArgs({
  options: {
    plan: { type: 'string' },
    'request-id': { type: 'string' },
    resource: { type: 'string' },
    buyer: { type: 'string', default: '0' },
    dir: { type: 'string', default: '.local' },
    url: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

/** Whom to buy from, and with which key. */
function situation() {
  if (options.url) return { url: options.url, privateKey: process.env.BUYER_PRIVATE_KEY, rpcUrl: process.env.RPC_URL };
  try {
    const world = JSON.parse(readFileSync(join(resolve(options.dir), 'world.json'), 'utf8'));
    return { url: world.url, rpcUrl: world.rpcUrl, privateKey: world.buyers[Number(options.buyer)]?.privateKey };
  } catch {
    throw new Error(`No world runs from ${options.dir}: type "npm start" in another terminal first.`);
  }
}

/** A JSON answer, or an error that quotes it. */
async function json(response, what) {
  const text = await response.text();
  if (!response.ok) throw new Error(`${what}: ${response.status} ${text}`);
  return JSON.parse(text);
}

async function main() {
  if (options.help) return console.log(HELP.trim());
  const { url, privateKey, rpcUrl } = situation();
  if (!privateKey) throw new Error('There is no key to pay with: give --buyer a number of the list, or set BUYER_PRIVATE_KEY.');
  const account = privateKeyToAccount(privateKey);

  console.log(`1. What does ${url} sell?`);
  const offer = await json(await fetch(`${url}/discover`), 'The price list');
  for (const plan of offer.plans) console.log(`     ${plan.planId.padEnd(18)} ${plan.unitAmount.padStart(9)}   ${plan.description}`);
  const plan = offer.plans.find(({ planId }) => planId === (options.plan ?? offer.plans[0].planId));
  if (!plan) throw new Error(`No plan is called "${options.plan}".`);

  const requestId = options['request-id'] ?? randomUUID();
  console.log(`\n2. Buying "${plan.planId}" for ${plan.unitAmount} as ${account.address}`);
  console.log(`     request id ${requestId}: sending it again is always safe`);
  const balance = balanceReader(offer, rpcUrl, account.address);
  const before = await balance();
  const payingFetch = wrapFetchWithPaymentFromConfig(fetch, {
    schemes: [{ network: `eip155:${offer.chainId}`, client: new ExactEvmScheme(account) }],
  });
  const answer = await payingFetch(offer.nextStep.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ planId: plan.planId, requestId, ...(options.resource && { resourceId: options.resource }) }),
  });
  const receipt = answer.headers.get('payment-response');
  const grant = await json(answer, 'The purchase');
  const after = await balance();

  console.log('\n3. Receipt');
  if (receipt) console.log(`     settled      ${decodePaymentResponseHeader(receipt).success}`);
  console.log(`     transaction  ${grant.txHash}`);
  if (before !== undefined) console.log(`     USDC         ${formatUnits(before, 6)} → ${formatUnits(after, 6)}`);
  console.log(`     token        ${grant.tokenType} ${grant.accessToken.slice(0, 24)}…, valid until ${grant.expiresAt}`);

  if (!grant.resourceEndpoint) return;
  console.log(`\n4. Using it: GET ${grant.resourceEndpoint}`);
  const use = await fetch(grant.resourceEndpoint, { headers: { authorization: `${grant.tokenType} ${grant.accessToken}` } });
  console.log(`     ${use.status} ${await use.text()}`);
  if (!use.ok) process.exitCode = 1;
}

/** Reads the buyer's USDC, or nothing when no chain is known. */
function balanceReader(offer, rpcUrl, address) {
  if (!rpcUrl) return async () => undefined;
  const client = createPublicClient({ transport: http(rpcUrl) });
  return () => client.readContract({ address: offer.assetAddress, abi: erc20Abi, functionName: 'balanceOf', args: [address] });
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
