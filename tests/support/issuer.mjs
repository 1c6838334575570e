// Promises: a seller's backend that issues credentials (TOKEN_MODE=remote) and hears of purchases, with a switch for how it
// behaves, also for single purchases. It remembers every call, and answers the same Idempotency-Key with the same
// credential, as docs/backend.md asks of backends.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const NOTICE_PATH = '/internal/payment-received';

/**
 * `hangs`: never issues, never answers · `waits`: issues and answers when it is told to behave otherwise · `mutes`: issues,
 * never answers · `cuts`: cuts the connection, issues nothing · `loses`: issues, then cuts the connection · `empty`: no
 * token · `redirects`: sends elsewhere · `floods`, `drips`: an answer without end, fast or slow · `stalls`, `tears`: issues,
 * announces the answer's length and sends half of it; then nothing more, or cuts the connection
 * @typedef {'works' | 'fails' | 'hangs' | 'waits' | 'mutes' | 'cuts' | 'loses' | 'empty' | 'redirects' | 'floods' | 'drips' | 'stalls' | 'tears'} Behaviour
 * @typedef {{key: string, body: any, text: string, path: string, headers: import('node:http').IncomingHttpHeaders, at: number}} BackendCall
 * @typedef {Awaited<ReturnType<typeof startIssuer>>} Issuer
 */

/** @param {Behaviour | ((requestId: string) => Behaviour)} [behaviour] a function is asked at each call */
export async function startIssuer(behaviour = 'works') {
  /** @type {BackendCall[]} */
  const calls = [];
  /** @type {BackendCall[]} */
  const notices = [];
  /** @type {Map<string, Behaviour>} */
  const exceptions = new Map();
  const issued = new Map();
  const waiting = [];
  const cutOff = { count: 0 };
  /** @type {((headers: import('node:http').IncomingHttpHeaders) => boolean) | undefined} */
  let letsIn;
  /** @type {(notice: BackendCall) => number} */
  let noticeStatus = () => 204;
  let elsewhere = 'http://127.0.0.1:9/';

  const issue = (key) => {
    if (!issued.has(key)) issued.set(key, { token: `opaque-${randomUUID()}`, tokenType: 'Key', region: 'eu' });
    return JSON.stringify(issued.get(key));
  };
  const json = { 'content-type': 'application/json' };
  const countEnd = (response) => response.on('close', () => (cutOff.count += 1));
  /** An answer without end, until the other side has had enough. */
  const pour = (response, piece, pauseMs) => {
    countEnd(response.writeHead(200, json));
    const timer = setInterval(() => response.write(piece), pauseMs);
    response.on('close', () => clearInterval(timer));
  };
  /** Half of an answer that has announced its length. */
  const begin = (response, text, then = () => {}) => {
    countEnd(response.writeHead(200, { ...json, 'content-length': text.length }));
    response.write(text.slice(0, text.length / 2), then);
  };
  const answer = ({ key, body }, response) => {
    const usual = typeof behaviour === 'function' ? behaviour(body.requestId) : behaviour;
    switch (exceptions.get(body.requestId) ?? usual) {
      case 'hangs':
        return;
      case 'waits':
        return waiting.push(() => answer({ key, body }, response));
      case 'mutes':
        return issue(key);
      case 'cuts':
        return response.destroy();
      case 'loses':
        issue(key);
        return response.destroy();
      case 'fails':
        return response.writeHead(500).end('{"error":"out of order"}');
      case 'empty':
        return response.writeHead(200, json).end('{}');
      case 'redirects':
        return response.writeHead(307, { location: elsewhere }).end();
      case 'floods':
        return pour(response, ' '.repeat(64 * 1024), 1);
      case 'drips':
        return pour(response, ' ', 50);
      case 'stalls':
        return begin(response, issue(key));
      case 'tears':
        return begin(response, issue(key), () => response.destroy());
      default:
        return response.writeHead(200, json).end(issue(key));
    }
  };
  const lookAgain = () => waiting.splice(0).forEach((again) => again());

  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const call = { key: request.headers['idempotency-key'], body: JSON.parse(text || '{}'), text, path: request.url, headers: request.headers, at: Date.now() };
    (call.path === NOTICE_PATH ? notices : calls).push(call);
    if (letsIn && !letsIn(request.headers)) return response.writeHead(401).end();
    if (call.path !== NOTICE_PATH) return answer(call, response);
    const status = noticeStatus(call);
    return status ? response.writeHead(status).end() : response.destroy();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** The calls for credentials. */
    calls,
    /** What it was told of purchases. */
    notices,
    /** How often an answer that was begun came to no end: somebody had enough of it, or it was cut. */
    cutOff,
    /** What it has issued, by key. */
    issued,
    /** @param {typeof behaviour} how from now on, for all purchases without an exception */
    behave(how) {
      behaviour = how;
      lookAgain();
    },
    /** @param {string} requestId @param {Behaviour} how for this purchase alone */
    except(requestId, how) {
      exceptions.set(requestId, how);
      lookAgain();
    },
    /** @param {string} url where it sends callers */
    redirectTo(url) {
      elsewhere = url;
    },
    /** @param {typeof letsIn} [check] says who gets more than 401 */
    admit(check) {
      letsIn = check;
    },
    /** @param {typeof noticeStatus} [status] how it answers notices; 0 cuts the connection */
    answerNotices(status = () => 204) {
      noticeStatus = status;
    },
    /** @param {string} requestId */
    callsFor: (requestId) => calls.filter(({ body }) => body.requestId === requestId),
    /** @param {string} requestId */
    noticesFor: (requestId) => notices.filter(({ body }) => body.requestId === requestId),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
