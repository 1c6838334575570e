// Promises: what a stranger can do who reads the chain and asks: see a payment as everybody sees it, and never get a grant.

import assert from 'node:assert/strict';
import { decodeFunctionData, serializeSignature } from 'viem';
import { broadcasts, income } from './facts.mjs';
import { access } from './x402.mjs';

/** What anybody sees on chain: the authorization and its signature, from the transaction's calldata. */
export async function seenOnChain(world, hash) {
  const { input } = await world.chain.client.getTransaction({ hash });
  const { functionName, args } = decodeFunctionData({ abi: world.chain.usdc.abi, data: input });
  assert.equal(functionName, 'transferWithAuthorization');
  const [from, to, value, validAfter, validBefore, nonce, v, r, s] = args;
  const signature = serializeSignature({ v: BigInt(v), r, s });
  return { signature, authorization: { from, to, value: String(value), validAfter: String(validAfter), validBefore: String(validBefore), nonce } };
}

/** Asks, and holds that there is no token in the answer, no transfer and no transaction. */
export async function assertNoGrant(world, request, payment, statuses) {
  const before = { received: await income(world), sent: await broadcasts(world) };
  const answer = await access(world.url, request, { payment });
  assert.ok(statuses.includes(answer.status), `${answer.status} ${answer.text}`);
  assert.doesNotMatch(answer.text, /accessToken|eyJ/);
  assert.equal(answer.settled?.success ?? false, false);
  assert.deepEqual({ received: await income(world), sent: await broadcasts(world) }, before);
  return answer;
}
