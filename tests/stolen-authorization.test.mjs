// What everybody can read on chain is no proof of controlling the wallet.
//
//  1. A wallet buys the same plan twice. Its client echoes no offer and names no request id, so both request ids follow from
//     the payments, and the payments are on chain for everybody to read.
//  2. A stranger who knows nothing but the chain derives the request id of the first purchase, by presenting its payment and
//     reading the refusal, and presents the payment of the second purchase for it: it is not the first one's, but it is
//     not fresh either. Never a grant.
//  3. The same with a payment that the wallet made outside the gateway.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeFunctionData } from 'viem';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { assertNoGrant, seenOnChain } from './support/stranger.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const world = useWorld({ backend: false });

const BODY = { planId: 'basic' };
const bareOffer = () => ({ scheme: 'exact', network: NETWORK, amount: '15000', asset: USDC_ADDRESS, payTo: world.seller.address });
const present = (payload) => ({ x402Version: 2, accepted: bareOffer(), payload });

async function bought(privateKey) {
  const answer = await buy(world.url, privateKey, BODY, { accepted: { extra: undefined } });
  assert.equal(answer.status, 200, answer.text);
  return seenOnChain(world, answer.body.txHash);
}
const derivedId = async (payload) => (await assertNoGrant(world, BODY, present(payload), [409])).body.details.requestId;

test('the payment of one bare purchase does not open another bare purchase of the same wallet', async () => {
  const { privateKey } = await world.newBuyer();
  const [first, second] = [await bought(privateKey), await bought(privateKey)];
  await assertNoGrant(world, { ...BODY, requestId: await derivedId(first) }, present(second), [402, 409]);
});

test('a payment made outside the gateway does not open a bare purchase of the same wallet', async () => {
  const { privateKey } = await world.newBuyer();
  const requestId = await derivedId(await bought(privateKey));
  const { required } = await access(world.url, BODY);
  const { payload } = await signPayment(privateKey, required);
  const { from, to, value, validAfter, validBefore, nonce } = payload.authorization;
  const args = [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, payload.signature];
  await world.chain.transact({ to: USDC_ADDRESS, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transferWithAuthorization', args }) });
  await assertNoGrant(world, { ...BODY, requestId }, present(payload), [402, 409]);
});
