// Promises: the wallet signs payments with the published x402 client, on the seller's chain only, and never for more
// than its owner allows.

import { x402Client } from '@x402/core/client';
import { ExactEvmScheme } from '@x402/evm';
import { privateKeyToAccount } from 'viem/accounts';
import { decimal } from './money.mjs';
import { stop } from './say.mjs';

/** @param {string} privateKey @param {bigint} most in micro-units */
export function openWallet(privateKey, most) {
  const account = accountOf(privateKey);
  const limit = `$${decimal(most)}`;
  return {
    address: account.address,
    /** The x402 client for one chain. Its own limit is one dollar for each payment; ours is what --max says. */
    client: (chainId) =>
      x402Client.fromConfig({
        schemes: [{ network: `eip155:${chainId}`, client: new ExactEvmScheme(account) }],
        spendControls: { maxAmountPerPayment: limit },
      }),
    /** Why the client did not sign. @returns {never} */
    explain: (error) =>
      stop(
        /rejected by spendControls\.maxAmountPerPayment/.test(error.message)
          ? `The seller asks for more than the limit of ${limit}; nothing was signed. Raise it with --max.`
          : `The wallet does not sign this offer: ${error.message}`,
      ),
  };
}

function accountOf(privateKey) {
  try {
    return privateKeyToAccount(privateKey);
  } catch {
    // What viem says would show the key.
    return stop('AGENT_PRIVATE_KEY must be 0x and 64 hex digits.');
  }
}
