// Promises: buys over HTTP by the Machine Payments Protocol. The same POST is answered 402; the published client of that protocol
// pays its challenge. It is not installed with this agent: some versions of it and of viem exclude each other.

import { comeAgain, refused, tellWait, whyBroken } from './refusal.mjs';
import { seconds, stop } from './say.mjs';
import { discover, errorOf } from './via-http.mjs';

const MOST_TRIES = 30;

export async function meet(url) {
  const mppx = await import('mppx/client').catch(() => stop('--via mpp needs the package mppx beside the agent: npm install mppx'));
  const catalog = await discover(url);
  return {
    catalog,
    buy: (order, wallet) =>
      buy(mppx, catalog, order, wallet).catch((error) => {
        const broken = whyBroken(error);
        if (broken) stop(`${broken} ${comeAgain(order.requestId)}`);
        throw error;
      }),
  };
}

/** Pays. The client signs anew for each new challenge; while the outcome is open there is none, and what was sent is sent again. */
async function buy({ Mppx, evm }, catalog, order, wallet) {
  const { account, check } = wallet.forChallenges(catalog, order);
  let signed;
  const send = async (input, init) => {
    const request = new Request(input, init);
    if (request.headers.has('authorization')) signed = request.clone();
    const answer = await fetch(request);
    if (answer.status === 402) check(asked(answer));
    return answer;
  };
  const currencies = [evm.assets.base.USDC, evm.assets.baseSepolia.USDC];
  const client = Mppx.create({ methods: [evm({ account, currencies, networks: [catalog.chainId] })], polyfill: false, fetch: send });
  let answer = await client.fetch(catalog.nextStep.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  });
  for (let tries = 0; answer.status === 503 && signed && tries < MOST_TRIES; tries += 1) {
    const pause = Number(answer.headers.get('retry-after')) || 2;
    tellWait(errorOf(await answer.text()), pause);
    await seconds(pause);
    answer = await fetch(signed.clone());
  }
  const text = await answer.text();
  if (answer.ok) return granted(answer, text) ?? stop(`The seller's answer is not understood, so what became of the payment is not known. ${comeAgain(order.requestId)}`);
  return refused(errorOf(text) ?? stop(`The seller answered ${answer.status}: ${text}\n${comeAgain(order.requestId)}`), order.requestId);
}

/** What the challenge in an answer asks for. */
function asked(answer) {
  const [, request] = /\brequest="([^"]+)"/.exec(answer.headers.get('www-authenticate') ?? '') ?? stop('The seller does not speak the Machine Payments Protocol. Without --via mpp the agent pays with x402.');
  return JSON.parse(Buffer.from(request, 'base64url').toString());
}

function granted(answer, text) {
  try {
    const grant = JSON.parse(text);
    const receipt = answer.headers.get('payment-receipt');
    const transaction = receipt ? JSON.parse(Buffer.from(receipt, 'base64url').toString()).reference : grant.txHash;
    // The answer to a call that is not charged for has neither.
    return { grant, receipt: transaction && { transaction } };
  } catch {
    return undefined;
  }
}
