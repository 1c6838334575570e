// Promises: paying as docs/buying.md tells agents without an x402 client: an ordinary USDC transfer, a signed challenge id, and the
// proof of both.

import { encodeFunctionData } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { poll } from './poll.mjs';
import { access } from './x402.mjs';

export const PRICE = 15_000n;

/** A wallet with money for transfers and ether for gas. @param {import('./world.mjs').TestWorld} world */
export async function newSender(world, microUsdc = 1_000_000_000n) {
  const sender = await world.newBuyer(microUsdc);
  await world.chain.fund(sender.address, '1');
  return sender;
}

/**
 * A transaction of a buyer's own.
 * @param {import('./world.mjs').TestWorld} world @param {{privateKey: `0x${string}`}} sender @param {object} request
 * @returns {Promise<`0x${string}`>} its hash, once it is included, whether it succeeded or not
 */
export async function send(world, { privateKey }, request) {
  const hash = await world.chain.client.sendTransaction({ account: privateKeyToAccount(privateKey), gas: 500_000n, ...request });
  await world.chain.client.waitForTransactionReceipt({ hash, timeout: 30_000 });
  return hash;
}

/** A call of USDC. */
export const call = (world, sender, functionName, args, more = {}) =>
  send(world, sender, { to: world.chain.usdc.address, data: encodeFunctionData({ abi: world.chain.usdc.abi, functionName, args }), ...more });

/** @returns {Promise<`0x${string}`>} the transaction's hash */
export const transfer = (world, sender, value = PRICE, to = world.seller.address, more = {}) => call(world, sender, 'transfer', [to, value], more);

/** EIP-191, `personal_sign`. @param {{privateKey: `0x${string}`}} signer @param {string} challengeId */
export const sign = ({ privateKey }, challengeId) => privateKeyToAccount(privateKey).signMessage({ message: challengeId });

/** Each block is a second later than the one before, so a chain in a hurry is ahead of the worker. Waits until it is not. */
export async function clocksAgree(world) {
  const { timestamp } = await world.chain.client.getBlock();
  await poll(() => Date.now() / 1000 >= Number(timestamp) + 1, 'the chain’s time', 60_000);
}

/** The offer. */
export async function offer(world, request) {
  const answer = await access(world.url, request);
  if (answer.status !== 402) throw new Error(answer.text);
  return answer.body;
}

/** The whole proof, with any member replaced. @param {{challengeId: string}} offered */
export async function proofOf(offered, signer, txHash, change = {}) {
  return { challengeId: offered.challengeId, txHash, signature: await sign(signer, offered.challengeId), ...change };
}

/** Presents a proof. */
export const present = (world, proof, more = {}) => access(world.url, { proof, ...more });
