// Promises: a seller's API that knows nothing of payments, with a switch for how it behaves, for all calls or by path. It remembers
// every call.

import { createServer } from 'node:http';

/**
 * `works`: 200, and JSON that says what was called, and the cost that the query asks for · a number: that status · `hangs`: never answers · `cuts`: cuts the connection
 * before the head · `tears`: announces a length and cuts in the middle · `huge`: 10 MB · `endless`: never ends · `redirects`: to
 * another path of its own · `refers`: to another host · `stalls`: the head and half of the body, then nothing · `chatty`: headers that
 * it should not send · `waits`: answers when it is told to behave otherwise · `streams`: the head, and then what the test does with
 * `streams` · `long`: 10 MB that are `LONG`, and their length
 * @typedef {'works' | number | 'hangs' | 'cuts' | 'tears' | 'huge' | 'endless' | 'redirects' | 'refers' | 'stalls' | 'chatty' | 'waits' | 'streams' | 'long'} Behaviour
 * @typedef {{method: string, url: string, path: string, headers: import('node:http').IncomingHttpHeaders, body: string}} OriginCall
 * @typedef {Awaited<ReturnType<typeof startOrigin>>} Origin
 */

/** An answer that is none if any of it is lost, repeated or moved. */
export const LONG = Buffer.from(Array.from({ length: 10_000_000 / 8 }, (_, number) => String(number).padStart(8, '0')).join(''));

export const ELSEWHERE = 'https://files.example.net/forecast?signature=1';

export async function startOrigin() {
  /** @type {OriginCall[]} */
  const calls = [];
  /** @type {Behaviour} */
  let usual = 'works';
  /** @type {Map<string, Behaviour>} */
  const exceptions = new Map();
  const waiting = [];
  /** @type {{call: OriginCall, response: import('node:http').ServerResponse, isOver: () => boolean}[]} */
  const streams = [];
  const json = { 'content-type': 'application/json' };

  const answer = (call, response) => {
    const number = calls.indexOf(call) + 1;
    const text = JSON.stringify({ called: `${call.method} ${call.url}`, body: call.body, number });
    const how = exceptions.get(call.path) ?? usual;
    if (typeof how === 'number') return response.writeHead(how, json).end(text);
    switch (how) {
      case 'hangs':
        return undefined;
      case 'waits':
        return waiting.push(() => answer(call, response));
      case 'cuts':
        return response.destroy();
      case 'tears':
        response.writeHead(200, { ...json, 'content-length': text.length });
        return response.write(text.slice(0, text.length / 2), () => response.destroy());
      case 'stalls':
        response.writeHead(200, { ...json, 'content-length': text.length });
        return response.write(text.slice(0, text.length / 2));
      case 'huge':
        return response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(Buffer.alloc(10_000_000, 'x'));
      case 'endless': {
        response.writeHead(200, { 'content-type': 'text/plain' });
        const timer = setInterval(() => response.write('x'.repeat(1024)), 20);
        return response.on('close', () => clearInterval(timer));
      }
      case 'streams': {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
        return streams.push({ call, response, isOver: () => response.destroyed });
      }
      case 'long':
        return response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': LONG.length }).end(LONG);
      case 'redirects':
        return response.writeHead(302, { location: '/api/premium/all' }).end();
      case 'refers':
        return response.writeHead(302, { location: ELSEWHERE }).end();
      case 'chatty':
        return response
          .writeHead(200, {
            ...json,
            'cache-control': 'public, max-age=3600',
            etag: '"1"',
            'set-cookie': 'session=1',
            'access-control-allow-origin': 'https://api.example',
            'payment-response': 'e30=',
            'x-key0-route': 'forged',
            'x-total': '7',
          })
          .end(text);
      default: {
        const cost = new URL(call.url, 'http://origin').searchParams.get('cost');
        return response.writeHead(200, { ...json, ...(cost !== null && { 'key0-cost': cost }) }).end(text);
      }
    }
  };

  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = request.url ?? '';
    const call = { method: request.method ?? '', url, path: url.split('?')[0], headers: request.headers, body: Buffer.concat(chunks).toString() };
    calls.push(call);
    answer(call, response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const lookAgain = () => waiting.splice(0).forEach((again) => again());
  return {
    url: `http://127.0.0.1:${port}`,
    calls,
    /** The answers that stream, the oldest first. */
    streams,
    /** @param {string} path */
    callsOf: (path) => calls.filter((call) => call.path === path),
    /** @param {Behaviour} how  from now on, for all paths without an exception */
    behave(how) {
      usual = how;
      exceptions.clear();
      lookAgain();
    },
    /** @param {string} path @param {Behaviour} how  for this path alone */
    except(path, how) {
      exceptions.set(path, how);
      lookAgain();
    },
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
