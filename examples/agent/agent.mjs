// Promises: an agent that buys. It reads the price list, shows the price, pays with the published x402 client, prints
// the receipt and uses the token at the seller's backend. Everything it knows about the seller comes from /discover.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ExactEvmScheme } from '@x402/evm';
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';
import { readFlags } from '../../tools/lib/args.mjs';
import { root } from '../../tools/lib/paths.mjs';
import { Stop, fail } from '../../tools/lib/say.mjs';

const HELP = `
An agent that buys access.

  npm run agent                          buys the cheapest plan of the local world (npm start)
  npm run agent -- --plan starter-monthly --max 15

  --url URL       the seller; otherwise the local world's
  --plan ID       the plan; otherwise the cheapest
  --request ID    the purchase's id (a UUID); repeat it to ask for the same purchase again
  --resource ID   what to open; otherwise the plan's default
  --max USD       the most to pay, in dollars (default 1)
  --dir FOLDER    where the local world lives, as for npm start (default .local)

The wallet's key is read from AGENT_PRIVATE_KEY; otherwise it is the local world's first buyer.
`;

async function main() {
  const options = readFlags(HELP, {
    url: { type: 'string' },
    plan: { type: 'string' },
    request: { type: 'string' },
    resource: { type: 'string' },
    max: { type: 'string', default: '1' },
    dir: { type: 'string', default: '.local' },
  });
  const most = dollars(options.max) ?? stop(`--max must be an amount in dollars, like 0.50, not "${options.max}".`);
  if (options.url !== undefined && !isHttp(options.url)) stop('--url must begin with http:// or https://');
  const world = localWorld(options.dir);
  const url = (options.url ?? world?.url)?.replace(/\/$/, '');
  const privateKey = process.env.AGENT_PRIVATE_KEY || world?.buyers[0]?.privateKey;
  if (!world && !(url && privateKey)) {
    const start = options.dir === '.local' ? 'npm start' : `npm start -- --dir ${options.dir}`;
    stop(`No local world runs from ${options.dir}: start one with "${start}", or give --url and AGENT_PRIVATE_KEY.`);
  }
  if (!privateKey) stop('This local world has no buyers: set AGENT_PRIVATE_KEY.');
  const wallet = walletOf(privateKey);

  const catalog = await discover(url);
  console.log(`${catalog.agent} at ${url} sells on ${catalog.network} (chain ${catalog.chainId}):`);
  for (const plan of catalog.plans) console.log(`  ${plan.planId.padEnd(18)} ${plan.unitAmount.padStart(9)}   ${plan.description}`);

  const plan = choose(catalog.plans, options.plan);
  const price = dollars(plan.unitAmount);
  if (price > most) stop(`"${plan.planId}" costs ${plan.unitAmount}, more than the limit of $${decimal(most)}. Raise it with --max ${decimal(price)}`);
  const body = { planId: plan.planId, requestId: options.request ?? randomUUID(), resourceId: options.resource };
  console.log(`\nBuying "${plan.planId}" for ${plan.unitAmount} USDC from wallet ${wallet.address}`);
  console.log(`  request ${body.requestId}`);

  const signed = recorder();
  const pay = wrapFetchWithPaymentFromConfig(signed.fetch, {
    schemes: [{ network: `eip155:${catalog.chainId}`, client: new ExactEvmScheme(wallet) }],
    // The client's own limit is one dollar for each payment; ours is what --max says.
    spendControls: { maxAmountPerPayment: `$${decimal(most)}` },
  });
  const { grant, receipt } = await buy(pay, signed, catalog.nextStep.url, body).catch((error) => {
    if (!(error instanceof TypeError)) throw error;
    return stop(`The connection broke (${error.cause?.code ?? error.message}). Ask again with --request ${body.requestId}, it is charged once.`);
  });
  console.log(`  paid in transaction ${receipt.transaction} on ${receipt.network}`);
  if (options.request) console.log('  (a request is paid once: if you have seen this transaction before, nothing new was paid)');
  console.log(`  token for resource "${grant.resourceId}", good until ${grant.expiresAt}`);

  if (!grant.resourceEndpoint) return console.log('\nThe seller names no endpoint; the token is a Bearer token for its API.');
  console.log(`\nGET ${grant.resourceEndpoint}`);
  const answer = await fetch(grant.resourceEndpoint, { headers: { authorization: `${grant.tokenType} ${grant.accessToken}` } });
  console.log(`  ${answer.status} ${answer.statusText}`);
  console.log(indent(await answer.text()));
  if (!answer.ok) process.exitCode = 1;
}

async function discover(url) {
  const answer = await fetch(`${url}/discover`).catch(() => stop(`Nothing answers at ${url}. Is the worker running?`));
  const catalog = await answer.json().catch(() => stop(`${url}/discover is no price list (status ${answer.status}).`));
  if (!answer.ok) stop(`${url} cannot sell: ${JSON.stringify(catalog, null, 2)}`);
  return catalog;
}

/** Pays; a settlement whose outcome is not known yet is asked for again with the same payment. */
async function buy(pay, signed, url, body) {
  let answer = await pay(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  for (let tries = 0; answer.status === 503 && signed.request() && tries < 30; tries += 1) {
    const seconds = Number(answer.headers.get('retry-after') ?? 2);
    console.log(`  still being settled, asking again in ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    answer = await fetch(signed.request());
  }
  const text = await answer.text();
  if (!answer.ok) stop(`The seller answered ${answer.status}: ${text}`);
  return { grant: JSON.parse(text), receipt: decodePaymentResponseHeader(answer.headers.get('payment-response')) };
}

/** A fetch that keeps the signed request: a retry must repeat the same payment and never sign a new one. */
function recorder() {
  let signed;
  return {
    fetch: (input, init) => {
      const request = new Request(input, init);
      if (request.headers.has('payment-signature')) signed = request.clone();
      return fetch(request);
    },
    request: () => signed?.clone(),
  };
}

function choose(plans, wanted) {
  if (!wanted) return plans.reduce((best, plan) => (dollars(plan.unitAmount) < dollars(best.unitAmount) ? plan : best));
  return plans.find((plan) => plan.planId === wanted) ?? stop(`There is no plan "${wanted}". Plans: ${plans.map((plan) => plan.planId).join(', ')}`);
}

/** A dollar text in micro-units, exactly. */
function dollars(text) {
  const [, whole, fraction = ''] = /^\$?(\d+)(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  return whole === undefined ? undefined : BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

/** Micro-units as a dollar text, as short as it goes. */
function decimal(micro) {
  const fraction = String(micro % 1_000_000n).padStart(6, '0').replace(/0+$/, '');
  return `${micro / 1_000_000n}${fraction && `.${fraction}`}`;
}

const isHttp = (text) => /^https?:\/\//i.test(text) && URL.canParse(text);

function walletOf(privateKey) {
  try {
    return privateKeyToAccount(privateKey);
  } catch {
    // What viem says would show the key.
    return stop('AGENT_PRIVATE_KEY must be 0x and 64 hex digits.');
  }
}

/** The folder is meant as `npm start` means it. */
function localWorld(folder) {
  try {
    return JSON.parse(readFileSync(join(resolve(root, folder), 'world.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

const indent = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).replace(/^/gm, '  ');
  } catch {
    return text.replace(/^/gm, '  ');
  }
};

/** Ends the agent with one sentence. @returns {never} */
function stop(message) {
  throw new Stop(message);
}

main().catch(fail);
