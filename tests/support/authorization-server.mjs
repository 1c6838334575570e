// Promises: an OAuth 2.0 authorization server on loopback that gives tokens to one client, knows which of them are still
// good, records what it was asked, and fails or takes its time when told to.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

/** @param {{id: string, secret: string}} client */
export async function startAuthorizationServer(client) {
  /** @type {{form: Record<string, string>, type: string | undefined}[]} */
  const requests = [];
  const good = new Set();
  const settings = { lifetime: 3600, status: 200, delayMs: 0 };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
    requests.push({ form, type: request.headers['content-type'] });
    const { lifetime, status, delayMs } = settings;
    if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    const known = form.grant_type === 'client_credentials' && form.client_id === client.id && form.client_secret === client.secret;
    const answer = (code, body) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    // An error that repeats the secret: it must not get into any log.
    if (status !== 200 || !known) return answer(known ? status : 401, { error: 'invalid_client', error_description: `not with ${form.client_secret}` });
    const token = `access-${randomUUID()}`;
    good.add(token);
    return answer(200, { access_token: token, token_type: 'bearer', expires_in: lifetime });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/oauth/token`,
    requests,
    settings,
    /** All tokens that were given and not revoked. */
    good,
    revoke: () => good.clear(),
    /** @param {import('node:http').IncomingHttpHeaders} headers */
    letsIn: ({ authorization }) => good.has(authorization?.replace('Bearer ', '')),
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
