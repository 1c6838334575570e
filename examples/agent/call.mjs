// Promises: one call of the seller's API. Asked without payment it is answered 402 with its price; the published client pays that,
// and the answer is the API's own. Where only JSON is spoken, the call is described, and bought like a plan.

import { decodePaymentRequiredHeader } from '@x402/core/http';
import { decodePaymentResponseHeader, wrapFetchWithPayment } from '@x402/fetch';
import { refused, tellWait, whyBroken } from './refusal.mjs';
import { plain, seconds, stop, tell } from './say.mjs';

const MOST_TRIES = 30;
/** With these the outcome is open, or nothing can begin yet: the same payment sent again goes on where it stands. */
const WAIT = new Set([409, 429, 503]);

/**
 * @param {string} url  the seller @param {any} catalog @param {string} path @param {string} requestId
 * @param {{address: string, client: (catalog: any, priced: {unitAmount: string}) => any, explain: (error: Error) => never}} wallet
 * @returns {Promise<{text: string, receipt?: {transaction: string}}>}
 */
export async function callRoute(url, catalog, path, requestId, wallet) {
  const target = `${url}${path}`;
  const request = { headers: { 'idempotency-key': requestId } };
  const asked = await fetch(target, request);
  if (asked.status !== 402) return free(asked);
  const header = asked.headers.get('payment-required') ?? stop(`${target} wants a payment and makes no offer.`);
  const routeId = decodePaymentRequiredHeader(header).accepts[0]?.extra?.routeId;
  const route = catalog.routes?.find((listed) => listed.routeId === routeId) ?? stop(`The price list has no route "${routeId}", so nothing was signed.`);
  tell(plain(`\nCalling ${route.method} ${path} for ${route.unitAmount} USDC`));
  tell(`  wallet ${wallet.address}`);
  tell(`  request ${requestId}`);
  let signed;
  const remember = (input, init) => {
    const sent = new Request(input, init);
    if (sent.headers.has('payment-signature')) signed = sent.clone();
    return fetch(sent);
  };
  let answer;
  try {
    answer = await wrapFetchWithPayment(remember, wallet.client(catalog, route))(target, request);
    for (let tries = 0; WAIT.has(answer.status) && signed && tries < MOST_TRIES; tries += 1) {
      const pause = Number(answer.headers.get('retry-after'));
      if (!pause) break;
      tellWait(errorOf(await answer.text()), pause);
      await seconds(pause);
      answer = await fetch(signed.clone());
    }
  } catch (error) {
    const unsigned = /^Failed to create payment payload: (.*)/s.exec(error.message);
    if (unsigned) wallet.explain(new Error(unsigned[1]));
    const broken = whyBroken(error);
    if (broken) stop(`${broken} Ask again with --request ${requestId} --call ${path}: it is charged once.`);
    throw error;
  }
  const text = await answer.text().catch((error) =>
    stop(`${whyBroken(error) ?? error.message} The answer has no end. --request ${requestId} --call ${path} tells what becomes of the money, or gets the answer.`),
  );
  const receipt = answer.headers.get('payment-response');
  const settled = receipt ? decodePaymentResponseHeader(receipt) : undefined;
  if (settled?.success) return { text, receipt: settled };
  return refused(errorOf(text) ?? stop(unpaid(answer.status, answer.headers.has('key0-refund'), text)), requestId);
}

/**
 * The same call, described in a conversation or to a tool. @param {{catalog: any, buy: (order: object, wallet: any) => Promise<any>}} seller
 * @param {string} path @param {string} requestId @returns {Promise<{text: string, receipt?: {transaction: string}}>}
 */
export async function describeCall({ catalog, buy }, path, requestId, wallet) {
  const route = catalog.routes?.find((listed) => listed.method === 'GET' && leadsTo(listed.path, path.split('?')[0])) ?? stop(`The price list has no route for GET ${path}.`);
  tell(plain(`\nCalling ${route.method} ${path}${route.unitAmount ? ` for ${route.unitAmount} USDC` : ', which is free'}`));
  tell(`  wallet ${wallet.address}`);
  tell(`  request ${requestId}`);
  const { grant, receipt } = await buy({ routeId: route.routeId, requestId, resource: { method: 'GET', path } }, wallet);
  const { status, body } = grant.resource;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  if (receipt || (!route.unitAmount && status < 400)) return { text, receipt };
  return stop(unpaid(status, grant.refundOf !== undefined, text));
}

const unpaid = (status, goesBack, text) =>
  `The seller's API answered ${status}, ${goesBack ? 'and what was paid for the call goes back' : 'and nothing was charged'}: ${text}`;

/** Whether a path is one of this route. */
function leadsTo(template, path) {
  const parts = (text) => text.replace(/\/$/, '').split('/');
  const [wanted, given] = [parts(template), parts(path)];
  return wanted.length === given.length && wanted.every((part, at) => (part.startsWith(':') ? given[at] !== '' : part.toLowerCase() === given[at].toLowerCase()));
}

async function free(answer) {
  const text = await answer.text();
  if (answer.ok) return { text };
  return stop(`The seller answered ${answer.status}: ${errorOf(text)?.message ?? text}`);
}

/** The error in a body, if it is one of the gateway's. */
function errorOf(text) {
  try {
    const error = JSON.parse(text);
    return error?.type === 'Error' ? error : undefined;
  } catch {
    return undefined;
  }
}
