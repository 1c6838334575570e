// Promises: buys over HTTP. The price list is GET /discover; a POST is answered 402, and the published client pays it.

import { decodePaymentResponseHeader, wrapFetchWithPayment } from '@x402/fetch';
import { comeAgain, refused, tellWait, whyBroken } from './refusal.mjs';
import { seconds, stop } from './say.mjs';

const MOST_TRIES = 30;

export async function meet(url) {
  const catalog = await discover(url);
  return {
    catalog,
    buy: (order, wallet) =>
      buy(catalog, order, wallet).catch((error) => {
        const broken = whyBroken(error);
        if (broken) stop(`${broken} ${comeAgain(order.requestId)}`);
        const unsigned = /^Failed to create payment payload: (.*)/s.exec(error.message);
        if (unsigned) wallet.explain(new Error(unsigned[1]));
        throw error;
      }),
  };
}

export async function discover(url) {
  const answer = await fetch(`${url}/discover`).catch(() => stop(`Nothing answers at ${url}. Is the worker running?`));
  const catalog = await answer.json().catch(() => stop(`${url}/discover is no price list (status ${answer.status}).`));
  if (!answer.ok) stop(`${url} cannot sell: ${JSON.stringify(catalog, null, 2)}`);
  return catalog;
}

/** Pays. While the outcome is open, or nothing can begin, the same payment is sent again. */
async function buy(catalog, order, wallet) {
  const signed = recorder();
  const pay = wrapFetchWithPayment(signed.fetch, wallet.client(catalog, order));
  let answer = await pay(catalog.nextStep.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
  });
  for (let tries = 0; answer.status === 503 && signed.request() && tries < MOST_TRIES; tries += 1) {
    const pause = Number(answer.headers.get('retry-after')) || 2;
    tellWait(errorOf(await answer.text()), pause);
    await seconds(pause);
    answer = await fetch(signed.request());
  }
  const text = await answer.text();
  if (answer.ok) return granted(answer, text) ?? stop(`The seller's answer is not understood, so what became of the payment is not known. ${comeAgain(order.requestId)}`);
  return refused(errorOf(text) ?? stop(`The seller answered ${answer.status}: ${text}\n${comeAgain(order.requestId)}`), order.requestId);
}

/** The grant and the receipt. A proxy may have cut the body, or taken the receipt's header away. */
function granted(answer, text) {
  try {
    const grant = JSON.parse(text);
    const receipt = answer.headers.get('payment-response');
    return { grant, receipt: receipt ? decodePaymentResponseHeader(receipt) : { transaction: grant.txHash } };
  } catch {
    return undefined;
  }
}

/** The error in a body, if it is one of ours: a proxy before the worker says something else. */
export function errorOf(text) {
  try {
    const error = JSON.parse(text);
    return typeof error?.code === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}

/** A fetch that keeps the signed request: a retry must repeat the same payment and never sign a new one. */
function recorder() {
  let signed;
  return {
    fetch: (input, init) => {
      const request = new Request(input, init);
      if (request.headers.has('payment-signature')) signed = request.clone();
      return fetch(request);
    },
    request: () => signed?.clone(),
  };
}
