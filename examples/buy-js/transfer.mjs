// Buys a plan without an x402 client: sends an ordinary USDC transfer, signs the offer's id, and shows both.
//
//   SELLER_URL=http://127.0.0.1:8787 RPC_URL=http://127.0.0.1:8545 AGENT_PRIVATE_KEY=0x… node transfer.mjs
//
// PLAN=starter-monthly buys another plan than "basic".

import { createWalletClient, http, parseAbi, publicActions } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { baseSepolia } from 'viem/chains';

const { SELLER_URL, RPC_URL, AGENT_PRIVATE_KEY, PLAN = 'basic' } = process.env;
if (!SELLER_URL || !RPC_URL || !AGENT_PRIVATE_KEY) throw new Error('Set SELLER_URL, RPC_URL and AGENT_PRIVATE_KEY.');

const account = privateKeyToAccount(AGENT_PRIVATE_KEY);
const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(RPC_URL) }).extend(publicActions);
const post = (body) =>
  fetch(`${SELLER_URL}/x402/access`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

const asked = await post({ planId: PLAN });
const offer = await asked.json();
if (asked.status !== 402) throw new Error(`${asked.status} ${offer.code}: ${offer.message}`);
const { destination, assetAddress, amount, sign } = offer.transferInstead;
const txHash = await wallet.writeContract({
  address: assetAddress,
  abi: parseAbi(['function transfer(address to, uint256 value) returns (bool)']),
  functionName: 'transfer',
  args: [destination, BigInt(amount)],
});
await wallet.waitForTransactionReceipt({ hash: txHash });
const signature = await wallet.signMessage({ message: sign });

let answer;
do {
  answer = await post({ proof: { challengeId: offer.challengeId, txHash, signature } });
  if (answer.status === 202 || answer.status === 503) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * (answer.headers.get('retry-after') ?? 2)));
  }
} while (answer.status === 202 || answer.status === 503);
const grant = await answer.json();
if (!answer.ok) throw new Error(`${answer.status} ${grant.code}: ${grant.message}`);

console.log(grant.accessToken);
console.error(`paid in ${txHash}`);
