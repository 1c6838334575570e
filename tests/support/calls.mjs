// Promises: calls of a route by hand: unpaid, paid, and paid with something changed.

import { decodeAnswer, encodeHeader, signPayment } from './x402.mjs';

/**
 * One call, everything of the answer decoded.
 * @param {string} url
 * @param {{method?: string, body?: any, payment?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 *        `body`: an object is sent as JSON
 */
export async function call(url, { method = 'GET', body, payment, headers = {}, signal } = {}) {
  const isJson = body !== undefined && typeof body !== 'string';
  const response = await fetch(url, {
    method,
    redirect: 'manual',
    headers: {
      ...(isJson && { 'content-type': 'application/json' }),
      ...(payment !== undefined && { 'payment-signature': encodeHeader(payment) }),
      ...headers,
    },
    body: isJson ? JSON.stringify(body) : body,
    signal,
  });
  return decodeAnswer(response);
}

/**
 * Asks for the price, signs, and pays.
 * @param {string} url @param {`0x${string}`} privateKey @param {Parameters<typeof call>[1]} [options]
 * @param {Parameters<typeof signPayment>[2]} [change]
 */
export async function payFor(url, privateKey, options = {}, change = {}) {
  const { required } = await call(url, options);
  const payment = await signPayment(privateKey, required, change);
  return { required, payment, ...(await call(url, { ...options, payment })) };
}
