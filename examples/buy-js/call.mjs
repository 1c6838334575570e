// Pays for one call of a seller's API with the published x402 client, and prints the answer.
//
//   SELLER_URL=http://127.0.0.1:8787 AGENT_PRIVATE_KEY=0x… node call.mjs /weather/oslo
//
// BODY='{"text":"…"}' makes it a POST of that JSON.

import { randomUUID } from 'node:crypto';
import { ExactEvmScheme } from '@x402/evm';
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';

const { SELLER_URL, AGENT_PRIVATE_KEY, BODY } = process.env;
const [path] = process.argv.slice(2);
if (!SELLER_URL || !AGENT_PRIVATE_KEY || !path) throw new Error('Set SELLER_URL and AGENT_PRIVATE_KEY, and name a path.');

const pay = wrapFetchWithPaymentFromConfig(fetch, {
  schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(privateKeyToAccount(AGENT_PRIVATE_KEY)) }],
  spendControls: { maxAmountPerPayment: '$1' }, // never pays more than this for the call
});

const name = { 'idempotency-key': randomUUID() }; // names the purchase: keep it, and keep it secret
const call = () =>
  BODY
    ? pay(SELLER_URL + path, { method: 'POST', headers: { ...name, 'content-type': 'application/json' }, body: BODY })
    : pay(SELLER_URL + path, { headers: name });

let answer = await call();
for (let tries = 1; [409, 429, 503].includes(answer.status) && answer.headers.has('retry-after') && tries < 20; tries += 1) {
  // Not answered yet. The same name is charged once, however often it is asked.
  await new Promise((resolve) => setTimeout(resolve, 1000 * answer.headers.get('retry-after')));
  answer = await call();
}
const receipt = answer.headers.get('payment-response');
const paid = receipt && decodePaymentResponseHeader(receipt);

console.log(await answer.text());
console.error(paid?.success ? `${answer.status}, paid in ${paid.transaction}` : `${answer.status}, not charged`);
if (!answer.ok) process.exitCode = 1;
