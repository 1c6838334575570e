// Buys a plan with the published x402 client, and prints the token.
//
//   SELLER_URL=http://127.0.0.1:8787 AGENT_PRIVATE_KEY=0x… node buy.mjs
//
// PLAN=starter-monthly buys another plan than "basic".

import { randomUUID } from 'node:crypto';
import { ExactEvmScheme } from '@x402/evm';
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';

const { SELLER_URL, AGENT_PRIVATE_KEY, PLAN = 'basic' } = process.env;
if (!SELLER_URL || !AGENT_PRIVATE_KEY) throw new Error('Set SELLER_URL and AGENT_PRIVATE_KEY.');

const wallet = privateKeyToAccount(AGENT_PRIVATE_KEY);
const pay = wrapFetchWithPaymentFromConfig(fetch, {
  schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(wallet) }], // Base Sepolia; Base is eip155:8453
  spendControls: { maxAmountPerPayment: '$20' }, // without this line the client pays at most $1
});

const requestId = randomUUID(); // names the purchase: keep it, and keep it secret
const order = () =>
  pay(`${SELLER_URL}/x402/access`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ planId: PLAN, requestId }),
  });

const said = (answer) => answer.json().catch(() => ({ message: 'This is no answer of the seller.' }));

let answer = await order();
for (let tries = 1; answer.status >= 500 && tries < 20; tries += 1) {
  // The outcome is not known yet. The same requestId is charged once, however often it is asked.
  console.error(`${answer.status}, asking again: ${(await said(answer)).message}`);
  await new Promise((resolve) => setTimeout(resolve, 1000 * (answer.headers.get('retry-after') ?? 2)));
  answer = await order();
}
const grant = await said(answer);
if (!answer.ok) throw new Error(`${answer.status} ${grant.code ?? ''}: ${grant.message}`);

console.log(grant.accessToken);
console.error(`paid in ${decodePaymentResponseHeader(answer.headers.get('payment-response')).transaction}`);
if (grant.resourceEndpoint) console.error(`use it at ${grant.resourceEndpoint}`);
