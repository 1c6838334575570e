// Promises: a real facilitator on loopback, made of the published packages, with a gas key of its own; and in front of it a
// proxy that forwards unchanged by default, records every call, and misbehaves exactly as told.

import { createServer } from 'node:http';
import { x402Facilitator } from '@x402/core/facilitator';
import { toFacilitatorEvmSigner } from '@x402/evm';
import { ExactEvmScheme } from '@x402/evm/exact/facilitator';
import { createWalletClient, http, publicActions } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { baseSepolia } from 'viem/chains';
import { NETWORK } from '../../tools/lib/chain.mjs';
import { testAccount } from '../../tools/lib/world.mjs';

/**
 * What to do with a call:
 * - `cut`: cut the connection, forward nothing
 * - `hang`: never forward, never answer
 * - `lose`: forward, then cut the connection instead of answering
 * - `mute`: forward, then never answer
 * - `answer`: answer `status` (200) and `body` (text, or JSON of anything else), forward nothing
 * - `move`: answer 308 with this `Location`, forward nothing
 * - `alter`: forward, then answer what `change(answer)` makes of the answer
 * @typedef {{kind: 'cut' | 'hang' | 'lose' | 'mute'} | {kind: 'answer', status?: number, body?: unknown}
 *   | {kind: 'move', to: string} | {kind: 'alter', change: (answer: any) => unknown}} Rule
 * @typedef {{action: string, path: string, body: any, headers: import('node:http').IncomingHttpHeaders, at: number, answer?: any}} Call
 * @typedef {Awaited<ReturnType<typeof startFacilitator>>} Facilitator
 */

/** Whose payment a call is about. @param {Call} call */
const payerOf = ({ body }) => body?.paymentPayload?.payload.authorization.from;

/** It serves as soon as it is connected with a chain. */
export async function startFacilitator() {
  const account = testAccount();
  /** @type {x402Facilitator | undefined} */
  let real;
  /** @type {Call[]} */
  const calls = [];
  /** @type {{action: string, rule: Rule, payer?: string, left: number}[]} */
  let rules = [];

  const serve = async (action, body) => {
    if (!real) throw new Error('not connected');
    if (action === 'supported') return real.getSupported();
    return real[action](body.paymentPayload, body.paymentRequirements);
  };
  const send = (response, body, status = 200) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(typeof body === 'string' ? body : JSON.stringify(body));
  };

  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      const call = { action: request.url.split('/').at(-1), path: request.url, body: text && JSON.parse(text), headers: request.headers, at: Date.now() };
      const entry = rules.find(({ action, payer, left }) => action === call.action && left > 0 && (!payer || payer === payerOf(call)));
      if (entry) entry.left -= 1;
      calls.push(call);
      const forward = async () => (call.answer = await serve(call.action, call.body));
      const rule = entry?.rule;
      switch (rule?.kind) {
        case 'cut':
          return request.socket.destroy();
        case 'hang':
          return;
        case 'lose':
          await forward();
          return request.socket.destroy();
        case 'mute':
          return await forward();
        case 'answer':
          return send(response, rule.body ?? '', rule.status);
        case 'move':
          return response.writeHead(308, { location: rule.to }).end();
        case 'alter':
          return send(response, rule.change(await forward()));
        default:
          return send(response, await forward());
      }
    } catch (error) {
      return send(response, { error: error.message }, 500);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${server.address().port}/facilitator`,
    /** Of the wallet that it pays gas with. */
    address: account.address,
    /** Every call so far, oldest first. */
    calls,
    /** @param {string | RegExp} action @param {string} [payer] only calls about a payment of this wallet @returns {Call[]} */
    callsOf: (action, payer) => calls.filter((call) => (action instanceof RegExp ? action.test(call.action) : call.action === action) && (!payer || payer === payerOf(call))),
    /** Gives it ether and a chain to work on. @param {import('../../tools/lib/chain.mjs').Chain} chain */
    async connect(chain) {
      await chain.fund(account.address, '10');
      const client = createWalletClient({
        account: privateKeyToAccount(account.privateKey),
        chain: baseSepolia,
        transport: http(chain.url),
        pollingInterval: 50,
      }).extend(publicActions);
      // One send at a time: two at once would get the same nonce.
      let sending = Promise.resolve();
      const writeContract = (request) => {
        const sent = sending.then(() => client.writeContract(request));
        sending = sent.catch(() => {});
        return sent;
      };
      const signer = toFacilitatorEvmSigner({ ...client, writeContract, address: account.address });
      real = new x402Facilitator().register(NETWORK, new ExactEvmScheme(signer));
    },
    /** How many transactions it has sent. @param {import('../../tools/lib/chain.mjs').Chain} chain */
    broadcasts: (chain) => chain.client.getTransactionCount({ address: account.address, blockTag: 'pending' }),
    /**
     * The newest rule that fits a call wins.
     * @param {'verify' | 'settle' | 'supported'} action @param {Rule} rule
     * @param {{payer?: string, times?: number}} [limits] only for payments of this wallet; how often it applies
     */
    on(action, rule, { payer, times = Infinity } = {}) {
      rules.unshift({ action, rule, payer, left: times });
    },
    /** Forwards everything again. */
    clear() {
      rules = [];
    },
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * Settings with which these facilitators settle, and no gas wallet.
 * @param {Facilitator[]} facilitators
 */
export const settledBy = (...facilitators) => ({
  FACILITATOR_URL: facilitators.map(({ url }) => url).join(','),
  USE_GAS_WALLET: 'false',
  GAS_WALLET_PRIVATE_KEY: '',
});
