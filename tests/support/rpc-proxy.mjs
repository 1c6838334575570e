// Promises: stands between the worker and the chain, forwards unchanged by default, records every call, and
// misbehaves exactly as told, method by method. A JSON-RPC batch follows the first rule that fits one of its calls.

import { createServer } from 'node:http';

/**
 * What to do with a call:
 * - `delay`: forward after `ms`
 * - `hang`: never forward, never answer, until `release()`; then forward
 * - `lose`: forward, then cut the connection instead of answering
 * - `mute`: forward, but hold the answer back until `release()`
 * - `refuse`: cut the connection, forward nothing
 * - `error`: answer a JSON-RPC error with `code` and `message`, forward nothing
 * - `status`: answer with that HTTP `status` and no JSON, forward nothing
 * - `answer`: answer `result`, forward nothing
 * - `alter`: forward, then answer what `change(result, params)` makes of the result
 * With `match`, a rule is only for calls whose parameters it accepts.
 * @typedef {{match?: (params: any[]) => boolean} & ({kind: 'delay', ms: number} | {kind: 'hang'} | {kind: 'lose'} | {kind: 'mute'} | {kind: 'refuse'}
 *   | {kind: 'error', code?: number, message: string} | {kind: 'status', status: number}
 *   | {kind: 'answer', result: unknown} | {kind: 'alter', change: (result: any, params: any[]) => unknown})} Rule
 * @typedef {{method: string, params: any[], at: number, result?: any, error?: any}} Call
 * @typedef {Awaited<ReturnType<typeof startRpcProxy>>} RpcProxy
 */

/** @param {string} target URL of the chain */
export async function startRpcProxy(target) {
  /** @type {{method: string | RegExp, rule: Rule, left: number, calls: Call[], over: AbortController}[]} */
  let rules = [];
  /** @type {Call[]} */
  const calls = [];
  let exchanges = 0;
  let released = new AbortController();

  /** Takes the rule for these calls, counting it down. */
  const takeRule = (records) => {
    const named = (name, method) => (name instanceof RegExp ? name.test(method) : name === method);
    const fits = ({ method: name, rule }) => records.some(({ method, params }) => named(name, method) && (rule.match?.(params) ?? true));
    const entry = rules.find((candidate) => candidate.left > 0 && fits(candidate));
    if (entry) {
      entry.left -= 1;
      entry.calls.push(...records);
    }
    return entry;
  };

  const forward = async (body, records) => {
    const answer = await fetch(target, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const text = await answer.text();
    const replies = [JSON.parse(text)].flat();
    records.forEach((record, i) => Object.assign(record, { result: replies[i]?.result, error: replies[i]?.error }));
    return { text, replies };
  };

  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = Buffer.concat(chunks).toString();
      const parsed = JSON.parse(body);
      const requests = [parsed].flat();
      const records = requests.map(({ method, params }) => ({ method, params: params ?? [], at: Date.now() }));
      calls.push(...records);
      exchanges += 1;
      await follow(takeRule(records), { body, parsed, requests, records, request, response });
    } catch {
      request.socket.destroy();
    }
  });

  const reply = (response, text) => response.writeHead(200, { 'content-type': 'application/json' }).end(text);
  const replyEach = (context, make) => {
    const replies = context.requests.map((request) => ({ jsonrpc: '2.0', id: request.id, ...make(request) }));
    reply(context.response, JSON.stringify(Array.isArray(context.parsed) ? replies : replies[0]));
  };
  const follow = async (entry, context) => {
    const { body, records, request, response } = context;
    const rule = entry?.rule;
    const letGo = () =>
      new Promise((resolve) => AbortSignal.any([released.signal, entry.over.signal]).addEventListener('abort', resolve, { once: true }));
    switch (rule?.kind) {
      case 'refuse':
        return request.socket.destroy();
      case 'lose':
        await forward(body, records);
        return request.socket.destroy();
      case 'mute': {
        const { text } = await forward(body, records);
        await letGo();
        return reply(response, text);
      }
      case 'error':
        return replyEach(context, () => ({ error: { code: rule.code ?? -32000, message: rule.message } }));
      case 'answer':
        return replyEach(context, () => ({ result: rule.result }));
      case 'status':
        return response.writeHead(rule.status).end('out of order');
      case 'alter': {
        const { replies } = await forward(body, records);
        let i = 0;
        return replyEach(context, ({ params }) => {
          const { result, error } = replies[i++];
          return error ? { error } : { result: rule.change(result, params) };
        });
      }
      case 'delay':
        await new Promise((resolve) => setTimeout(resolve, rule.ms));
        break;
      case 'hang':
        await letGo();
        break;
      default:
    }
    return reply(response, (await forward(body, records)).text);
  };

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();

  return {
    url: `http://127.0.0.1:${port}`,
    /** Every call so far, oldest first. */
    calls,
    /** How many HTTP requests they came in. */
    exchanges: () => exchanges,
    /**
     * The newest rule that fits a call wins.
     * @param {string | RegExp} method @param {Rule} rule @param {number} [times] how often it applies
     * @returns {{calls: Call[], end: () => void}} the calls that it met, and how to end it and let what it holds go on
     */
    on(method, rule, times = Infinity) {
      const entry = { method, rule, left: times, calls: [], over: new AbortController() };
      rules.unshift(entry);
      const end = () => {
        rules = rules.filter((other) => other !== entry);
        entry.over.abort();
      };
      return { calls: entry.calls, end };
    },
    /** Forwards everything again; what hangs stays hanging. */
    clear() {
      rules = [];
    },
    /** Lets everything that hangs go on. */
    release() {
      released.abort();
      released = new AbortController();
    },
    /** @param {string | RegExp} method @returns {Call[]} */
    callsOf: (method) => calls.filter((call) => (method instanceof RegExp ? method.test(call.method) : call.method === method)),
    forget() {
      calls.length = 0;
      exchanges = 0;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
