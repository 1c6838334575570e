// A backend that issues credentials itself (TOKEN_MODE=remote, BACKEND_AUTH_STRATEGY=shared-secret).
//
//   INTERNAL_AUTH_SECRET=… PORT=8080 node issue.mjs

import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

const { INTERNAL_AUTH_SECRET, PORT = '8080' } = process.env;
if (!INTERNAL_AUTH_SECRET) throw new Error('Set INTERNAL_AUTH_SECRET.');

const digest = (text) => createHash('sha256').update(text).digest();
const isWorker = (request) => timingSafeEqual(digest(request.headers['x-internal-auth'] ?? ''), digest(INTERNAL_AUTH_SECRET));

/** By Idempotency-Key, and revoked by requestId. A real backend keeps both in its database. */
const issued = new Map();
const revoked = new Set();

/** The same key gets the same credential: the worker repeats a call when it cannot know whether you have issued. */
function issue(key, order) {
  if (!issued.has(key)) {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    issued.set(key, { token: `key-${randomUUID()}`, tokenType: 'ApiKey', expiresAt, requestId: order.requestId });
  }
  return issued.get(key);
}

const server = createServer(async (request, response) => {
  const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  if (!isWorker(request)) return answer(401, { message: 'only the worker may call' });
  let text = '';
  for await (const part of request) text += part;
  const order = JSON.parse(text);
  if (request.url === '/internal/issue-token') return answer(200, issue(request.headers['idempotency-key'], order));
  if (request.url === '/internal/payment-received') {
    if (order.type === 'payment.refunded') revoked.add(order.requestId); // the buyer has its money back
    return answer(200, {});
  }
  return answer(404, { message: 'not found' });
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
