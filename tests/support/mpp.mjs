// Promises: paying by the Machine Payments Protocol: by hand, step by step, so that a test can change any field on the
// way; and with the published clients, unchanged.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Mppx, evm } from 'mppx/client';
import { encodePacked, keccak256, toBytes } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { CHAIN_ID, USDC_ADDRESS } from '../../tools/lib/chain.mjs';
import { ensurePython } from '../../tools/lib/python.mjs';

const AUTHORIZATION = [
  ['from', 'address'],
  ['to', 'address'],
  ['value', 'uint256'],
  ['validAfter', 'uint256'],
  ['validBefore', 'uint256'],
  ['nonce', 'bytes32'],
].map(([name, type]) => ({ name, type }));

/** The two derivations of the nonce that are in use. */
export const FORMS = {
  draft: (id, realm) => keccak256(encodePacked(['string', 'string'], [id, realm])),
  list: (id, realm) => keccak256(toBytes(JSON.stringify([id, realm]))),
};

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (text) => JSON.parse(Buffer.from(text, 'base64url').toString());

/** The parameters of the challenge in an answer, `request` decoded. @param {Headers} headers */
export function challengeOf(headers) {
  const text = headers.get('www-authenticate');
  if (text === null) return undefined;
  const parameters = Object.fromEntries([...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value.replace(/\\(.)/g, '$1')]));
  return { ...parameters, decoded: decode(parameters.request) };
}

/** The receipt in an answer. @param {Headers} headers */
export const receiptOf = (headers) => (headers.has('payment-receipt') ? decode(headers.get('payment-receipt')) : undefined);

/**
 * Signs the authorization for a challenge.
 * @param {`0x${string}`} privateKey @param {any} challenge as `challengeOf` read it
 * @param {{form?: keyof typeof FORMS, authorization?: any, chainId?: number, challenge?: any, source?: string}} [change]
 *        `authorization`: fields that replace those that are signed · `challenge`: fields that replace those repeated
 */
export async function credentialFor(privateKey, challenge, { form = 'draft', authorization, chainId = CHAIN_ID, challenge: repeated, source } = {}) {
  const account = privateKeyToAccount(privateKey);
  const { decoded, ...echo } = challenge;
  const signed = {
    from: account.address,
    to: decoded.recipient,
    value: decoded.amount,
    validAfter: '0',
    validBefore: String(Math.floor(Date.parse(challenge.expires) / 1000)),
    nonce: FORMS[form](challenge.id, challenge.realm),
    ...authorization,
  };
  const signature = await account.signTypedData({
    domain: { name: 'USDC', version: '2', chainId, verifyingContract: USDC_ADDRESS },
    types: { TransferWithAuthorization: AUTHORIZATION },
    primaryType: 'TransferWithAuthorization',
    message: { ...signed, value: BigInt(signed.value), validAfter: BigInt(signed.validAfter), validBefore: BigInt(signed.validBefore) },
  });
  return {
    challenge: { ...echo, ...repeated },
    payload: { type: 'authorization', ...signed, signature },
    source: source ?? `did:pkh:eip155:${CHAIN_ID}:${account.address}`,
  };
}

/** The header with a credential. @param {any} credential @param {string} [name] */
export const paying = (credential, name = credential.challenge.header ?? 'Authorization') => ({ [name]: `Payment ${encode(credential)}` });

/** The same payment in x402 of version 1. @param {any} credential */
export function asX402({ payload: { type, signature, ...authorization } }) {
  return { x402Version: 1, scheme: 'exact', network: 'base-sepolia', payload: { signature, authorization } };
}

/** The published client for JavaScript. @param {`0x${string}`} privateKey @param {typeof fetch} [send] */
export function mppxFetch(privateKey, send = fetch) {
  const method = evm({ account: privateKeyToAccount(privateKey), currencies: [evm.assets.baseSepolia.USDC] });
  return Mppx.create({ methods: [method], polyfill: false, fetch: send }).fetch;
}

/** The published client for Python, which answers one request after the other. */
export async function startPympp() {
  const python = spawn(await ensurePython(), ['tests/support/mpp_client.py'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
  return {
    /** @param {{key: string, url: string, method?: string, body?: unknown, headers?: Record<string, string>}} job */
    async request(job) {
      python.stdin.write(`${JSON.stringify(job)}\n`);
      const { value } = await lines.next();
      return JSON.parse(value);
    },
    stop: () => python.stdin.end(),
  };
}
