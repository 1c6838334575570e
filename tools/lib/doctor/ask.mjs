// Promises: one question to a deployment, as a client asks it: with a deadline, without following redirects, everything of
// the answer measured. Never throws: what went wrong is part of the answer.

const DEADLINE_MS = 20_000;
/** Node's own client gives up beyond this, and most buyers run on Node. */
export const MAX_HEADERS_BYTES = 16 * 1024;

/**
 * @typedef {{status: number, headers: Headers, text: string, body: any, headerBytes: number, at: number, failure?: string,
 *            headersTooLarge: boolean}} Answer  `body` is undefined unless it is JSON · `at`: when it came
 */

/** @param {string | URL} url @param {RequestInit & {json?: unknown}} [options] @returns {Promise<Answer>} */
export async function ask(url, { json, ...options } = {}) {
  const init = { redirect: 'manual', signal: AbortSignal.timeout(DEADLINE_MS), ...options };
  if (json !== undefined) Object.assign(init, { method: 'POST', body: JSON.stringify(json), headers: { 'content-type': 'application/json', ...options.headers } });
  try {
    const response = await fetch(url, /** @type {RequestInit} */ (init));
    const at = Date.now();
    const text = await response.text();
    const lines = [...response.headers].map(([name, value]) => name.length + value.length + 4);
    return { status: response.status, headers: response.headers, text, body: parsed(text), headerBytes: lines.reduce((sum, line) => sum + line, 0), at, headersTooLarge: false };
  } catch (error) {
    const cause = error.cause ?? error;
    const headersTooLarge = cause.code === 'UND_ERR_HEADERS_OVERFLOW' || cause.code === 'HPE_HEADER_OVERFLOW';
    const failure = error.name === 'TimeoutError' ? `no answer within ${DEADLINE_MS / 1000} s` : (cause.code ?? cause.message ?? String(error));
    return { status: 0, headers: new Headers(), text: '', body: undefined, headerBytes: 0, at: Date.now(), failure, headersTooLarge };
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
