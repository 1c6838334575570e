// Promises: a seller's backend that issues credentials (TOKEN_MODE=remote), with a switch for how it behaves. It remembers
// every call, and answers the same Idempotency-Key with the same credential, as the README asks of backends.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

/** @typedef {'works' | 'fails' | 'hangs' | 'cuts' | 'empty'} Behaviour */

/** @returns {Promise<{url: string, calls: {key: string, body: any}[], behave: (how: Behaviour) => void, stop: () => Promise<void>}>} */
export async function startIssuer() {
  /** @type {Behaviour} */
  let behaviour = 'works';
  const calls = [];
  const issued = new Map();
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const key = request.headers['idempotency-key'];
    calls.push({ key, body: JSON.parse(Buffer.concat(chunks).toString() || '{}'), path: request.url });
    if (behaviour === 'hangs') return;
    if (behaviour === 'cuts') return response.destroy();
    if (behaviour === 'fails') return response.writeHead(500).end('{"error":"out of order"}');
    if (behaviour === 'empty') return response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    if (!issued.has(key)) issued.set(key, { token: `opaque-${randomUUID()}`, tokenType: 'Key', region: 'eu' });
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(issued.get(key)));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    calls,
    behave: (how) => (behaviour = how),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
