// Promises: as much of Cloudflare's API as `wrangler deploy` asks for a first deployment, on loopback. What was uploaded is kept.

import { createServer } from 'node:http';

const ACCOUNT = 'acc';

export async function startCloudflare() {
  const uploads = /** @type {string[]} */ ([]);
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { pathname } = new URL(request.url, 'http://localhost');
    if (request.method === 'PUT' && pathname.endsWith('/workers/scripts/key0')) uploads.push(Buffer.concat(chunks).toString('latin1'));
    const result = resultOf(request.method, pathname.replace(/^.*\/accounts\/acc/, ''));
    const errors = result ? [] : [{ code: 10_090, message: 'not found' }];
    const body = { success: Boolean(result), errors, messages: [], result: result ?? null };
    response.writeHead(result ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    uploads,
    env: { CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${port}/client/v4`, CLOUDFLARE_API_TOKEN: 'token', CLOUDFLARE_ACCOUNT_ID: ACCOUNT },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** `undefined`: there is no such thing (yet). */
function resultOf(method, path) {
  switch (path) {
    case '/workers/services/key0':
      return undefined;
    case '/workers/subdomain':
      return { subdomain: 'me' };
    case '/workers/workers/key0':
      return { id: 'key0', subdomain: { enabled: true, previews_enabled: false } };
    case '/workers/scripts/key0/deployments':
      return { deployments: [] };
    case '/workers/scripts/key0/secrets':
      return [];
    case '/workers/scripts/key0':
      return { id: 'key0', etag: 'etag', deployment_id: 'deployment', startup_time_ms: 1, tag: 'tag', tags: [] };
    default:
      return method === 'GET' ? {} : { id: 'id' };
  }
}
