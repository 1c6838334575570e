// Promises: the worker's way to the internet, through which no call leaves this machine. Names of the world outside are
// answered by who plays their part here; addresses of this machine are reached.

import { createServer } from 'node:http';

/**
 * @typedef {{method: string, url: URL, headers: Headers, body: Buffer}} Call
 * @param {Record<string, (call: Call) => Promise<Response>>} hosts who plays which host
 */
export async function startOutbound(hosts) {
  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const url = new URL(request.url, `${request.headers['x-forwarded-proto']}://${request.headers.host}`);
      const headers = new Headers();
      for (const [name, value] of Object.entries(request.headers)) if (!['host', 'content-length', 'transfer-encoding', 'connection'].includes(name)) headers.set(name, String(value));
      const call = { method: request.method, url, headers, body: Buffer.concat(chunks) };
      if (!hosts[url.hostname] && url.hostname !== '127.0.0.1') throw new Error(`nobody plays ${url.hostname}`);
      const answer = await (hosts[url.hostname]?.(call) ?? forward(call));
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(Buffer.from(await answer.arrayBuffer()));
    } catch (error) {
      response.writeHead(502).end(error.message);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @param {Call} call @param {string | URL} [url] where to, instead */
export function forward({ method, url, headers, body }, elsewhere = url) {
  return fetch(elsewhere, { method, headers: { 'content-type': headers.get('content-type') ?? '' }, body: body.length ? body : undefined });
}
