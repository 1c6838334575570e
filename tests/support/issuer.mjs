// Promises: a seller's backend that issues credentials (TOKEN_MODE=remote), with a switch for how it behaves, also for
// single purchases. It remembers every call, and answers the same Idempotency-Key with the same credential, as the README
// asks of backends.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

/**
 * `hangs`: never issues, never answers · `waits`: issues and answers when it is told to behave otherwise · `mutes`: issues,
 * never answers · `cuts`: cuts the connection, issues nothing · `loses`: issues, then cuts the connection
 * @typedef {'works' | 'fails' | 'hangs' | 'waits' | 'mutes' | 'cuts' | 'loses' | 'empty'} Behaviour
 * @typedef {Awaited<ReturnType<typeof startIssuer>>} Issuer
 */

/** @param {Behaviour | ((requestId: string) => Behaviour)} [behaviour] a function is asked at each call */
export async function startIssuer(behaviour = 'works') {
  /** @type {{key: string, body: any, path: string}[]} */
  const calls = [];
  /** @type {Map<string, Behaviour>} */
  const exceptions = new Map();
  const issued = new Map();
  const waiting = [];

  const issue = (key) => {
    if (!issued.has(key)) issued.set(key, { token: `opaque-${randomUUID()}`, tokenType: 'Key', region: 'eu' });
    return JSON.stringify(issued.get(key));
  };
  const answer = ({ key, body }, response) => {
    const json = { 'content-type': 'application/json' };
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
      default:
        return response.writeHead(200, json).end(issue(key));
    }
  };
  const lookAgain = () => waiting.splice(0).forEach((again) => again());

  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const call = { key: request.headers['idempotency-key'], body: JSON.parse(Buffer.concat(chunks).toString() || '{}'), path: request.url };
    calls.push(call);
    answer(call, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    calls,
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
    /** @param {string} requestId */
    callsFor: (requestId) => calls.filter(({ body }) => body.requestId === requestId),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
