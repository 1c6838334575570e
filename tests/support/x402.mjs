// Promises: buying by hand, step by step, so that a test can change any field on the way; and buying with the
// published client, unchanged.

import { randomBytes } from 'node:crypto';
import { ExactEvmScheme } from '@x402/evm';
import { wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { wrapFetchWithPayment } from 'x402-fetch';
import { createWalletClient, http } from 'viem';
import { baseSepolia } from 'viem/chains';
import { privateKeyToAccount } from 'viem/accounts';
import { CHAIN_ID, NETWORK, USDC_ADDRESS } from '../../tools/lib/chain.mjs';

const field = (name, type) => ({ name, type });
const TYPES = {
  TransferWithAuthorization: [
    field('from', 'address'),
    field('to', 'address'),
    field('value', 'uint256'),
    field('validAfter', 'uint256'),
    field('validBefore', 'uint256'),
    field('nonce', 'bytes32'),
  ],
  CancelAuthorization: [field('authorizer', 'address'), field('nonce', 'bytes32')],
};

/** @param {unknown} value */
export const encodeHeader = (value) => Buffer.from(JSON.stringify(value)).toString('base64');
/** @param {string | null} header */
export const decodeHeader = (header) => (header ? JSON.parse(Buffer.from(header, 'base64').toString()) : undefined);
export const freshNonce = () => /** @type {`0x${string}`} */ (`0x${randomBytes(32).toString('hex')}`);

/**
 * One POST to the x402 door, everything of the answer decoded.
 * @param {string} url the worker's address
 * @param {unknown} body
 * @param {{payment?: unknown, header?: string, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 *        `payment`: object for PAYMENT-SIGNATURE · `header`: its raw text instead
 */
export async function access(url, body, { payment, header, headers = {}, signal } = {}) {
  const signature = header ?? (payment === undefined ? undefined : encodeHeader(payment));
  const response = await fetch(`${url}/x402/access`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(signature !== undefined && { 'payment-signature': signature }), ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
  return decodeAnswer(response);
}

/** @param {Response} response */
export async function decodeAnswer(response) {
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  return {
    status: response.status,
    headers: response.headers,
    text,
    body,
    required: decodeHeader(response.headers.get('payment-required')),
    settled: decodeHeader(response.headers.get('payment-response')),
    settledV1: decodeHeader(response.headers.get('x-payment-response')),
  };
}

/**
 * Signs an EIP-3009 authorization for one offer and wraps it as a PaymentPayload.
 * @param {`0x${string}`} privateKey of who signs
 * @param {any} required   PaymentRequired, as `access` decoded it
 * @param {object} [change]
 * @param {any} [change.authorization]  fields that replace those of the authorization, before signing
 * @param {any} [change.domain]         fields that replace those of the EIP-712 domain
 * @param {any} [change.after]          fields that replace those of the authorization, after signing
 * @param {any} [change.accepted]       fields that replace those of the echoed offer
 * @param {any} [change.extra]          fields that replace those of its `extra`
 * @param {number} [change.offer]       which of the offers
 */
export async function signPayment(privateKey, required, { authorization, domain, after, accepted, extra, offer = 0 } = {}) {
  const account = privateKeyToAccount(privateKey);
  const chosen = required.accepts[offer];
  const now = Math.floor(Date.now() / 1000);
  const signed = {
    from: account.address,
    to: chosen.payTo,
    value: chosen.amount,
    validAfter: String(now - 600),
    validBefore: String(now + chosen.maxTimeoutSeconds),
    nonce: freshNonce(),
    ...authorization,
  };
  const signature = await account.signTypedData({
    domain: { name: chosen.extra.name, version: chosen.extra.version, chainId: Number(chosen.network.split(':')[1]), verifyingContract: chosen.asset, ...domain },
    types: { TransferWithAuthorization: TYPES.TransferWithAuthorization },
    primaryType: 'TransferWithAuthorization',
    message: { ...signed, value: BigInt(signed.value), validAfter: BigInt(signed.validAfter), validBefore: BigInt(signed.validBefore) },
  });
  return {
    x402Version: 2,
    accepted: { ...chosen, extra: { ...chosen.extra, ...extra }, ...accepted },
    payload: { signature, authorization: { ...signed, ...after } },
    resource: required.resource,
    ...(required.extensions && { extensions: required.extensions }),
  };
}

/** What a client of version 1 makes of the same: no offer, no extensions. @param {any} payment as `signPayment` made it */
export const asVersion1 = ({ payload }) => ({ x402Version: 1, scheme: 'exact', network: 'base-sepolia', payload });

/** Takes back an authorization that was not used yet. @param {`0x${string}`} privateKey @param {`0x${string}`} nonce */
export function signCancellation(privateKey, nonce) {
  const account = privateKeyToAccount(privateKey);
  return account.signTypedData({
    domain: { name: 'USDC', version: '2', chainId: CHAIN_ID, verifyingContract: USDC_ADDRESS },
    types: { CancelAuthorization: TYPES.CancelAuthorization },
    primaryType: 'CancelAuthorization',
    message: { authorizer: account.address, nonce },
  });
}

/**
 * The whole purchase by hand: ask, sign, pay.
 * @param {string} url @param {`0x${string}`} privateKey @param {any} body @param {Parameters<typeof signPayment>[2]} [change]
 */
export async function buy(url, privateKey, body, change) {
  const { required } = await access(url, body);
  const payment = await signPayment(privateKey, required, change);
  return { payment, required, ...(await access(url, body, { payment })) };
}

/**
 * The published client's fetch: pays whatever it is asked for.
 * @param {`0x${string}`} privateKey
 * @param {typeof fetch} [send]  what it sends with
 * @param {`eip155:${number}`} [network]
 */
export function payingFetch(privateKey, send = fetch, network = NETWORK) {
  const account = privateKeyToAccount(privateKey);
  return wrapFetchWithPaymentFromConfig(send, { schemes: [{ network, client: new ExactEvmScheme(account) }] });
}

/**
 * The published client of version 1.
 * @param {`0x${string}`} privateKey
 * @param {typeof fetch} [send]  what it sends with
 */
export function legacyFetch(privateKey, send = fetch) {
  // It signs without asking a node.
  const wallet = createWalletClient({ account: privateKeyToAccount(privateKey), chain: baseSepolia, transport: http('http://127.0.0.1:9') });
  return wrapFetchWithPayment(send, wallet);
}
