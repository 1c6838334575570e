// Promises: the wallet signs payments with the published x402 client, on the seller's chain only, never for more than its
// owner allows, and only what the price list says that its owner was shown: this price, to this wallet.

import { x402Client } from '@x402/core/client';
import { ExactEvmScheme } from '@x402/evm';
import { privateKeyToAccount } from 'viem/accounts';
import { decimal, dollars } from './money.mjs';
import { stop } from './say.mjs';

/** @param {string} privateKey @param {bigint} most in micro-units */
export function openWallet(privateKey, most) {
  const account = accountOf(privateKey);
  const limit = `$${decimal(most)}`;
  return {
    address: account.address,
    /**
     * The x402 client for a plan or a route of this price list. Its own limit is one dollar for each payment; ours is what --max says.
     * @param {{chainId: number, walletAddress: string, plans: any[], routes?: any[]}} catalog
     * @param {{planId?: string, routeId?: string}} wanted
     */
    client: (catalog, wanted) => {
      const { chainId, walletAddress } = catalog;
      const price = dollars(listed(catalog, wanted).unitAmount);
      const isAsListed = ({ amount, payTo }) => BigInt(amount) === price && payTo.toLowerCase() === walletAddress.toLowerCase();
      return x402Client.fromConfig({
        schemes: [{ network: `eip155:${chainId}`, client: new ExactEvmScheme(account) }],
        spendControls: { maxAmountPerPayment: limit },
        policies: [(_version, offers) => offers.filter(isAsListed)],
      });
    },
    /**
     * What a client of the Machine Payments Protocol signs with, and what a challenge must ask for: the same as above.
     * @param {{walletAddress: string, plans: any[], routes?: any[]}} catalog @param {{planId?: string, routeId?: string}} wanted
     */
    forChallenges: (catalog, wanted) => {
      const price = dollars(listed(catalog, wanted).unitAmount);
      const { walletAddress } = catalog;
      const check = ({ amount, recipient }) => {
        if (BigInt(amount) === price && recipient.toLowerCase() === walletAddress.toLowerCase()) return;
        stop('The challenge is not what the price list says, but over another amount or for another wallet; nothing was signed.');
      };
      return { account, check };
    },
    /** Why the client did not sign. @returns {never} */
    explain: ({ message }) => {
      if (/rejected by spendControls\.maxAmountPerPayment/.test(message)) return stop(`The seller asks for more than the limit of ${limit}; nothing was signed. Raise it with --max.`);
      if (/filtered out by policies/.test(message)) return stop('The offer is not what the price list says, but another amount or for another wallet; nothing was signed.');
      return stop(`The wallet does not sign this offer: ${message}`);
    },
  };
}

/** What is bought, as the price list has it. */
const listed = ({ plans, routes = [] }, { planId, routeId }) =>
  routeId ? routes.find((route) => route.routeId === routeId) : plans.find((plan) => plan.planId === planId);

function accountOf(privateKey) {
  try {
    return privateKeyToAccount(privateKey);
  } catch {
    // What viem says would show the key.
    return stop('AGENT_PRIVATE_KEY must be 0x and 64 hex digits.');
  }
}
