// Promises: a seller's error, however it came, becomes one sentence that says whether money moved and what to do next.

import { plain, stop, tell, wrap } from './say.mjs';

/** With these the outcome is open, or nothing has begun: the same request goes on where it stands. */
const COME_AGAIN = new Set([
  'SETTLEMENT_PENDING',
  'TOKEN_ISSUE_TIMEOUT',
  'TX_UNCONFIRMED',
  'ADAPTER_ERROR',
  'TEMPORARILY_UNAVAILABLE',
  'RATE_LIMITED',
  'INTERNAL_ERROR',
]);

/** Whether the same payment, sent again, may still lead somewhere. @param {{code?: string}} error */
export const isOpen = ({ code }) => COME_AGAIN.has(code);

/** The purchase was delivered, and its payment is public by now: only a fresh signature opens it, under this id. */
const isDelivered = ({ code, details }) => code === 'TX_ALREADY_REDEEMED' && details?.requestId !== undefined;

/**
 * @param {{code?: string, message?: string, details?: Record<string, unknown>}} error  as the seller sends it
 * @param {string} requestId
 * @returns {never}
 */
export function refused(error, requestId) {
  const { code, message, details = {} } = error;
  const names = [code, details.reason].filter(Boolean).join(', ');
  const sentences = [`The seller answers: ${message ?? JSON.stringify(error)}${names && ` (${names})`}`, whereTheMoneyIs(details, requestId)];
  if (isOpen(error) || details.state === 'PAID') sentences.push(comeAgain(requestId));
  if (isDelivered(error)) sentences.push(`--request ${details.requestId} with the same plan, over HTTP, gets what was bought: the agent signs anew, and nothing is charged.`);
  return stop(sentences.filter(Boolean).join('\n'), error);
}

/**
 * Why the agent waits: a payment that is being settled, or what the seller says. Not every seller that is busy has begun.
 * @param {{code?: string, message?: string, details?: Record<string, unknown>} | undefined} error @param {number} pause seconds
 */
export function tellWait(error, pause) {
  if (error?.code === 'SETTLEMENT_PENDING') return tell(`  still being settled, asking again in ${pause} s`);
  const said = error?.message ? `The seller answers: ${error.message}` : 'The seller, or a proxy before it, is busy.';
  const names = [error?.code, error?.details?.reason].filter(Boolean).join(', ');
  return tell(`${wrap(plain(`${said}${names && ` (${names})`}`), '  ')}\n  asking again in ${pause} s`);
}

/** What broke the connection, when the network failed and not the seller or this program: `fetch` gives such an error a cause. */
export function whyBroken(error) {
  if (error?.name === 'TimeoutError') return 'The seller has not answered in time.';
  if (!(error instanceof TypeError && error.cause)) return undefined;
  return `The connection broke (${error.cause.code ?? error.cause.message}).`;
}

/** What else belongs to the purchase: without it, asking again would ask for the cheapest plan. */
let rest = '';
/** @param {{plan?: string, resource?: string, via?: string, call?: string}} order  what is bought now */
export function rememberCall({ plan, resource, via, call }) {
  const wanted = call ? ` --call ${call}` : ` --plan ${plan}${resource ? ` --resource ${resource}` : ''}`;
  rest = `${wanted}${via === 'http' ? '' : ` --via ${via}`}`;
}

/** The options that name a purchase of this call. */
export const named = (requestId) => `--request ${requestId}${rest}`;

export const comeAgain = (requestId) => `Ask again with ${named(requestId)}: it is charged once.`;

function whereTheMoneyIs({ state, refundTransaction }, requestId) {
  switch (state) {
    case 'PAID':
      return 'It is paid, and the seller still tries to deliver.';
    case 'REFUND_PENDING':
      return `It was paid, and the money is on its way back. ${named(requestId)} tells when it has arrived.`;
    case 'REFUNDED':
      return `It was paid, and the money went back in transaction ${refundTransaction}.`;
    case 'REFUND_FAILED':
      return `It was paid, and the money could not be sent back yet: ask the seller, with the request ${requestId}.`;
    default:
      return undefined;
  }
}
