// A call of a route is bought through every door, and answered as JSON: at /x402/access, in an A2A conversation, with the MCP tool.
//
//  1. Each door offers the call, takes the payment, and answers with a ResourceResponse: the API's own status, headers and body, and
//     the receipt. The API is called once, as the client described the call. The same payment again gets the same answer.
//  2. What cannot be had: no such route, no path, a path of another route, a plan beside the route. Nothing is called.
//  3. A free call is answered without a payment.
//  4. An answer that is not charged for has its status and no receipt; after a payment that came first, the money goes back. An API
//     that does not answer, or too much: the codes of every door.
//  5. A payment for one call pays for no other. It counts at another door than the one that made the offer, also for the call itself.
//     Without the call it hears where it belongs, and nothing is called.
//  6. The published clients buy a call: @x402/fetch, the A2A SDKs of both lines and of Python, the MCP SDKs, the client that pays by
//     itself. So does the example agent, with --via a2a, mcp and mpp.
//  7. A route is renamed, respelt, moved or told apart by a further header: who has paid for a call of it gets the answer again with the
//     same payment, at the old path and at the x402 door; for another call the payment is taken, and nothing is offered for it.
//  8. A task whose worker was killed while the API was called is finished by asking for it.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SendMessageRequest, Task } from '@a2a-js/sdk';
import { ClientFactory } from '@a2a-js/sdk/client';
import { ClientFactory as ClientFactory0_3 } from 'a2a-js-sdk-0.3/client';
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { withX402Client } from 'agents/x402';
import { privateKeyToAccount } from 'viem/accounts';
import { ensurePython } from '../tools/lib/python.mjs';
import { DIALECTS, Door, V0_3, V1, assertError, assertOffer, payload, read, submitted } from './support/a2a.mjs';
import { call, payFor } from './support/calls.mjs';
import { paidBy, refundsTo } from './support/facts.mjs';
import { ERAS, Mcp, assertFailed, assertOffered } from './support/mcp.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { CENT, ROUTES, failing, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { access, decodeAnswer, payingFetch, signPayment } from './support/x402.mjs';

const AGENT = fileURLToPath(new URL('../examples/agent/agent.mjs', import.meta.url));
const origin = await startOrigin();
after(() => origin.stop());
const DOOR_COUNT = 1 + DIALECTS.length + ERAS.length;
const atEachDoor = (fault) => Array.from({ length: DOOR_COUNT }, (_, door) => `${fault}-${door}`);
const FAILING = [...failing(['hangs', 'huge', 'cuts'].flatMap(atEachDoor), 'GET'), ...failing(atEachDoor('spoilt'), 'POST')];
const world = useWorld(selling(origin, { ROUTES: JSON.stringify([...ROUTES, ...FAILING]) }));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
});

const at = (path) => `${world.url}${path}`;
const weather = (city = 'oslo') => ({ routeId: 'weather', resource: { method: 'GET', path: `/api/weather/${city}?days=3` } });
/** A call of the route for calls that fail so at this door. */
const failingCall = (fault, door) => ({ routeId: `${fault}-${door}`, resource: { path: `/api/${fault}-${door}` } });
const message = (text = 'hello') => ({ routeId: 'message', resource: { path: '/api/messages', body: { text } } });

/** A request to the x402 door with this body. */
const post = (body, payment) => access(world.url, body, { payment });

/**
 * Each door: how a call is bought there, and what came of it: the ResourceResponse or the error, and the receipt.
 * @type {Record<string, (buyer: {privateKey: `0x${string}`}, wish: any) => Promise<{data: any, receipt?: any, again: () => Promise<any>}>>}
 */
const DOORS = {
  '/x402/access': async (buyer, wish) => {
    const { required } = await post(wish);
    const payment = await signPayment(buyer.privateKey, required);
    const bought = async () => {
      const answer = await post(wish, payment);
      return { data: answer.body, receipt: answer.settled, status: answer.status };
    };
    return { ...(await bought()), again: bought };
  },
  ...Object.fromEntries(
    DIALECTS.map((dialect) => [
      `A2A ${dialect.name}`,
      async (buyer, wish) => {
        const door = new Door(world, dialect);
        const offer = await door.offer(wish);
        const payment = await payload(buyer.privateKey, offer.required);
        const task = await door.pay(offer, payment);
        const of = (task) => ({ data: task.data.at(-1), receipt: task.receipts?.at(-1), task });
        return { ...of(task), again: async () => of(await door.get(task)) };
      },
    ]),
  ),
  ...Object.fromEntries(
    ERAS.map((era) => [
      `MCP ${era.name}`,
      async (buyer, wish) => {
        const door = new Mcp(world, era);
        const offer = await door.offer(wish);
        const payment = await payload(buyer.privateKey, offer);
        const bought = await door.access(wish, payment);
        // What an offer without ids has bought is shown again to a new signature only.
        const again = async () => {
          const requestId = (await door.access(wish, payment)).data.details.requestId;
          return door.access({ ...wish, requestId }, await payload(buyer.privateKey, offer));
        };
        return { data: bought.data, receipt: bought.receipt, bought, again };
      },
    ]),
  ),
};

for (const [door, [name, buy]] of Object.entries(DOORS).entries()) {
  describe(name, () => {
    test('a call is bought and answered with what the API has said, once', async () => {
      const buyer = await world.newBuyer();
      const bought = await buy(buyer, weather());
      const { data } = bought;
      assert.equal(data.type, 'ResourceResponse', JSON.stringify(data));
      const [paid, ...others] = await paidBy(world, buyer);
      assert.deepEqual(others, []);
      assert.equal(paid.value, CENT);
      assert.deepEqual([data.routeId, data.charged, data.txHash], ['weather', true, paid.hash]);
      assert.equal(data.resource.status, 200);
      assert.equal(data.resource.headers['content-type'], 'application/json');
      assert.deepEqual(data.resource.body, { called: 'GET /api/weather/oslo?days=3', body: '', number: 1 });
      assert.deepEqual([bought.receipt.success, bought.receipt.transaction], [true, paid.hash]);
      const [seen, ...more] = origin.calls;
      assert.deepEqual(more, []);
      assert.equal(seen.headers['x-key0-payer'], buyer.address);
      assert.equal(seen.headers['x-key0-purchase'], data.requestId);
      const again = await bought.again();
      assert.deepEqual(again.data, data);
      assert.deepEqual([(await paidBy(world, buyer)).length, origin.calls.length], [1, 1]);
    });

    test('a body is sent as it was described, and paid for first where the route says so', async () => {
      const buyer = await world.newBuyer();
      const wish = { routeId: 'summary', resource: { path: '/api/summaries', body: { text: 'long', numbers: [1, 2.5] } } };
      const { data } = await buy(buyer, wish);
      assert.equal(data.resource?.status, 200, JSON.stringify(data));
      assert.deepEqual(JSON.parse(data.resource.body.body), wish.resource.body);
      const [seen] = origin.calls;
      assert.equal(seen.headers['content-type'], 'application/json');
      assert.equal(seen.headers['x-key0-transaction'], data.txHash);
    });

    test('an answer that is not charged for has its status and no receipt', async () => {
      const buyer = await world.newBuyer();
      origin.behave(404);
      const { data, receipt } = await buy(buyer, weather());
      assert.equal(data.resource?.status, 404, JSON.stringify(data));
      assert.deepEqual([data.charged, receipt, data.txHash], [false, undefined, undefined]);
      assert.equal(data.resource.body.called, 'GET /api/weather/oslo?days=3');
      assert.deepEqual(await paidBy(world, buyer), []);
    });

    test('what was paid for first and not delivered goes back', async () => {
      const buyer = await world.newBuyer();
      origin.behave(500);
      const { data, receipt } = await buy(buyer, failingCall('spoilt', door));
      assert.equal(data.resource?.status, 500, JSON.stringify(data));
      const [paid] = await paidBy(world, buyer);
      assert.deepEqual([data.charged, receipt, data.refundOf], [false, undefined, paid.hash]);
      await poll(async () => (await refundsTo(world, buyer)).length > 0, 'the refund');
      assert.equal(origin.calls.length, 1);
    });

    test('an API that hangs, or answers too much, has the code of every door', async () => {
      for (const [how, code] of [['hangs', 'TOKEN_ISSUE_TIMEOUT'], ['huge', 'ANSWER_TOO_LARGE'], ['cuts', 'ADAPTER_ERROR']]) {
        const buyer = await world.newBuyer();
        origin.behave(/** @type {any} */ (how));
        const { data } = await buy(buyer, failingCall(how, door));
        assert.deepEqual([data.type, data.code], ['Error', code], JSON.stringify(data));
        assert.match(data.message, /Nothing was charged/);
        assert.deepEqual(await paidBy(world, buyer), []);
      }
    });
  });
}

const UNMET = [
  [{ routeId: 'gone', resource: { path: '/' } }, 'TIER_NOT_FOUND'],
  [{ routeId: 'weather' }, 'MISSING_RESOURCE_FIELD'],
  [{ routeId: 'weather', resource: { method: 'GET' } }, 'MISSING_RESOURCE_FIELD'],
  [{ routeId: 'weather', resource: { path: '/api/premium/oslo' } }, 'INVALID_REQUEST'],
  [{ routeId: 'weather', resource: { path: '/api/weather/..%2f..%2fadmin' } }, 'INVALID_REQUEST'],
  [{ routeId: 'weather', resource: { method: 'POST', path: '/api/weather/oslo' } }, 'INVALID_REQUEST'],
  [{ routeId: 'weather', planId: 'basic', resource: { path: '/api/weather/oslo' } }, 'INVALID_REQUEST'],
];

test('what is no call of a route is refused at every door, with its code', async () => {
  for (const [wish, code] of UNMET) {
    const refused = await post(wish);
    assert.deepEqual([refused.status, refused.body.code], [400, code], refused.text);
    assertFailed(await new Mcp(world).access(wish), /** @type {string} */ (code));
    const task = await new Door(world).send({ data: { type: 'AccessRequest', ...wish } });
    assert.deepEqual([task.state, task.data[0].code], ['failed', code], task.text);
  }
  assert.deepEqual(origin.calls, []);
});

test('a free call is answered at every door', async () => {
  const wish = { routeId: 'status', resource: { path: '/api/status' } };
  const told = await post(wish);
  assert.equal(told.status, 200, told.text);
  const task = await new Door(world).send({ data: wish });
  assert.deepEqual([task.state, task.payment], ['completed', undefined], task.text);
  assert.equal(task.artifacts[0].name, 'resource-response');
  const tool = await new Mcp(world).access(wish);
  assert.equal(tool.result.isError, false);
  for (const data of [told.body, task.data[0], tool.data]) {
    assert.match(data.challengeId, /^free-[0-9a-f-]{36}$/);
    assert.equal(data.resource.body.called, 'GET /api/status');
  }
  assert.equal(origin.calls.length, 3);
  origin.behave(503);
  assert.equal((await new Mcp(world).access(wish)).result.isError, true);
});

test('a payment for one call pays for no other, and counts at whatever door the call comes', async () => {
  const buyer = await world.newBuyer();
  const { required } = await post(weather('rome'));
  const payment = await signPayment(buyer.privateKey, required);
  for (const other of [weather('oslo'), { routeId: 'premium', resource: { path: '/api/premium/rome' } }, { planId: 'basic' }]) {
    const refused = await post(other, payment);
    assert.equal(refused.status, 402, refused.text);
  }
  const homeless = await post({}, payment);
  assert.deepEqual([homeless.status, homeless.body.code, homeless.body.details.url], [400, 'MISSING_RESOURCE_FIELD', at('/api/weather/:city')], homeless.text);
  assert.equal(homeless.required, undefined);
  assert.deepEqual(origin.calls, []);
  const direct = await call(required.resource.url, { payment });
  assert.equal(direct.status, 200, direct.text);
  const described = await post(weather('rome'), payment);
  assert.deepEqual(described.body.resource.body, direct.body);
  assert.deepEqual((await post({}, payment)).body.resource.body, direct.body);
  const task = await new Door(world).send({ data: weather('rome'), text: 'pay', metadata: submitted(payment) });
  assert.deepEqual(task.artifacts[0]?.data[0].resource.body, direct.body, task.text);
  assert.deepEqual([(await paidBy(world, buyer)).length, origin.calls.length], [1, 1]);
  const other = await world.newBuyer();
  const made = await payFor(at('/api/weather/bonn'), other.privateKey);
  const shown = await post({ routeId: 'weather', resource: { path: '/api/weather/bonn' } }, made.payment);
  assert.deepEqual(shown.body.resource.body, made.body);
});

test('the published x402 client pays at the x402 door', async () => {
  const buyer = await world.newBuyer();
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(weather('kyiv')) };
  const bought = await decodeAnswer(await payingFetch(buyer.privateKey)(at('/x402/access'), options));
  assert.equal(bought.status, 200, bought.text);
  assert.equal(bought.body.resource.body.called, 'GET /api/weather/kyiv?days=3');
  assert.equal(bought.settled.transaction, bought.body.txHash);
});

/** A Python that waits for jobs, one at a time. @param {string} script */
async function startPython(script) {
  const python = spawn(await ensurePython(), [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: python.stdout });
  const ask = async (job) => {
    python.stdin.write(`${JSON.stringify(job)}\n`);
    const [line] = await Promise.race([once(lines, 'line'), once(python, 'exit').then(() => assert.fail('Python has ended'))]);
    const answer = JSON.parse(line);
    assert.equal(answer.error, undefined, answer.message);
    return answer;
  };
  return { ask, close: () => python.stdin.end() };
}

const CONVERSATIONS = {
  'the A2A SDK 1.3': async () => {
    const client = await new ClientFactory().createFromUrl(world.url);
    return { dialect: V1, send: async (message) => Task.toJSON(/** @type {any} */ (await client.sendMessage(SendMessageRequest.fromJSON({ message })))) };
  },
  'the A2A SDK 0.3': async () => {
    const client = await new ClientFactory0_3().createFromUrl(world.url);
    return { dialect: V0_3, send: (message) => client.sendMessage({ message }) };
  },
  'the A2A SDK of Python': async () => {
    const { ask, close } = await startPython('tests/support/a2a_client.py');
    await ask({ do: 'open', url: world.url });
    return { dialect: V1, send: async (message) => (await ask({ do: 'send', message, configuration: {} })).task, close };
  },
};
for (const [name, open] of Object.entries(CONVERSATIONS)) {
  test(`${name} buys a call`, async () => {
    const buyer = await world.newBuyer();
    const client = await open();
    const { dialect } = client;
    const say = async (parts, more = {}) => {
      const message = { kind: dialect.kinds.message, messageId: randomUUID(), role: dialect.roles.user, parts: parts.map(dialect.part), ...more };
      return read(dialect, await client.send(message));
    };
    const wish = { type: 'AccessRequest', routeId: 'summary', resource: { path: '/api/summaries', body: { words: 7 } } };
    const offer = await say([{ data: wish }]);
    assertOffer(offer);
    const { id: taskId, contextId, required } = offer;
    const task = await say([{ text: 'Here is the payment.' }], { taskId, contextId, metadata: submitted(await payload(buyer.privateKey, required)) });
    assert.equal(task.state, 'completed', JSON.stringify(task.task));
    assert.equal(task.artifacts[0].name, 'resource-response');
    assert.equal(task.artifacts[0].data[0].resource.body.body, '{"words":7}');
    assert.equal(task.receipts[0].success, true);
    assert.equal((await paidBy(world, buyer)).length, 1);
    client.close?.();
  });
}

const TOOLS = {
  'the MCP SDK 1.32': async () => {
    const client = new Client1({ name: 'test', version: '1' });
    await client.connect(new Transport1(new URL(at('/mcp'))));
    return client;
  },
  'the MCP SDK 2.4': async () => {
    const client = new Client2({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(new Transport2(new URL(at('/mcp'))));
    return client;
  },
};
for (const [name, open] of Object.entries(TOOLS)) {
  test(`${name} buys a call, and so does the client that pays by itself`, async () => {
    const buyer = await world.newBuyer();
    const client = await open();
    const call = (args, meta) => client.callTool({ name: 'request_access', arguments: args, ...(meta && { _meta: meta }) });
    const { tools } = await client.listTools();
    assert.ok(tools[1].inputSchema.properties.routeId);
    const listed = await client.callTool({ name: 'discover_plans' });
    assert.ok(/** @type {any} */ (listed.structuredContent).routes.some(({ routeId }) => routeId === 'weather'));
    const offer = assertOffered(/** @type {any} */ ({ ...answerOf(await call(weather())) }));
    const bought = answerOf(await call(weather(), { 'x402/payment': await payload(buyer.privateKey, offer) }));
    assert.equal(bought.data.resource.status, 200, bought.text);
    const payer = await world.newBuyer();
    const account = privateKeyToAccount(payer.privateKey);
    const paying = withX402Client(/** @type {any} */ (client), { network: 'base-sepolia', account });
    const paid = answerOf(await paying.callTool(null, { name: 'request_access', arguments: weather('bern') }));
    assert.equal(paid.data.resource.body.called, 'GET /api/weather/bern?days=3', paid.text);
    assert.equal((await paidBy(world, payer)).length, 1);
    await client.close();
  });
}

test('the MCP SDK of Python buys a call', async () => {
  const buyer = await world.newBuyer();
  const { ask, close } = await startPython('tests/support/mcp_client.py');
  await ask({ do: 'open', url: at('/mcp') });
  const call = async (meta) => answerOf((await ask({ do: 'call', name: 'request_access', arguments: weather(), meta })).result);
  const payment = await payload(buyer.privateKey, assertOffered(await call()));
  const bought = await call({ 'x402/payment': payment });
  assert.equal(bought.data.resource.status, 200, bought.text);
  assert.equal(bought.receipt.success, true);
  close();
});

/** A result as the checks of the MCP door read it. */
const answerOf = (result) => ({
  result: { isError: false, ...result },
  texts: result.content.map(({ text }) => text),
  data: result.structuredContent,
  receipt: result._meta?.['x402/payment-response'],
  text: JSON.stringify(result),
});

for (const via of ['a2a', 'mcp', 'mpp']) {
  test(`the example agent describes a call with --via ${via}, pays and prints the answer`, async () => {
    const buyer = await world.newBuyer();
    const agent = (...more) => promisify(execFile)('node', [AGENT, '--url', world.url, '--via', via, ...more], { env: { ...process.env, AGENT_PRIVATE_KEY: buyer.privateKey, NO_COLOR: '1' } });
    const { stdout } = await agent('--call', '/api/weather/agra?days=2', '--json');
    assert.equal(JSON.parse(stdout).called, 'GET /api/weather/agra?days=2');
    assert.equal((await paidBy(world, buyer)).length, 1);
    const free = await agent('--call', '/api/status');
    assert.match(free.stdout, /GET \/api\/status/);
    origin.behave(404);
    await assert.rejects(agent('--call', '/api/weather/agra'), /answered 404, and nothing was charged/);
    assert.equal((await paidBy(world, buyer)).length, 1);
  });
}

test('a task whose worker was killed while the API was called is finished by asking for it', async () => {
  const buyer = await world.newBuyer();
  const door = new Door(world);
  const offer = await door.offer(weather('pisa'));
  const payment = await payload(buyer.privateKey, offer.required);
  origin.behave('waits');
  const lost = door.pay(offer, payment).then(() => assert.fail('an answer'), () => undefined);
  await poll(() => origin.calls.length > 0, 'the call');
  await world.killWorker();
  await lost;
  origin.behave('works');
  await world.restartWorker();
  const task = await door.get(offer);
  assert.equal(task.state, 'completed', task.text);
  assert.equal(task.artifacts[0].data[0].resource.body.called, 'GET /api/weather/pisa?days=3');
  assert.equal((await paidBy(world, buyer)).length, 1);
  assert.ok(origin.calls.length <= 2);
});

test('a payment gets its answer again after the seller has changed the route', async () => {
  const buyer = await world.newBuyer();
  const url = at('/api/weather/turin?days=3');
  const first = await payFor(url, buyer.privateKey);
  assert.equal(first.status, 200, first.text);
  const weather = ROUTES.find(({ routeId }) => routeId === 'weather');
  const others = ROUTES.filter(({ routeId }) => routeId !== 'weather');
  const changes = [{ routeId: 'climate' }, { path: '/api/Weather/:place/' }, { path: '/v2/weather/:city' }, { vary: ['accept-language'] }];
  try {
    for (const change of changes) {
      await world.restartWorker({ ROUTES: JSON.stringify([...others, { ...weather, ...change }]) });
      const again = await call(url, { payment: first.payment });
      assert.deepEqual([again.status, again.text, again.settled], [200, first.text, first.settled], `${JSON.stringify(change)}: ${again.text}`);
      assert.deepEqual((await post({}, first.payment)).body.resource.body, first.body);
      const other = await call(at('/api/weather/turin?days=4'), { payment: first.payment });
      assert.deepEqual([other.status, other.required], [409, undefined], other.text);
    }
    await world.restartWorker({ ROUTES: JSON.stringify(others), PLANS: JSON.stringify([{ planId: 'basic', unitAmount: '$0.015' }]) });
    assert.equal((await call(url, { payment: first.payment })).text, first.text);
    assert.equal((await call(url)).status, 404);
  } finally {
    await world.restartWorker({ ROUTES: JSON.stringify(ROUTES) });
  }
  assert.deepEqual([(await paidBy(world, buyer)).length, origin.calls.length], [1, 1]);
});

test('an error of the protocol tells that a long call must come with its payment', async () => {
  const buyer = await world.newBuyer();
  const door = new Door(world);
  const wish = { routeId: 'note', resource: { path: '/api/notes', body: { text: 'a'.repeat(4_000) } } };
  const offer = await door.offer(wish);
  const payment = await payload(buyer.privateKey, offer.required);
  const alone = await door.attempt({ taskId: offer.id, text: 'pay', metadata: submitted(payment) });
  assertError(V1, alone, -32602);
  const task = await door.pay(offer, payment, { data: wish });
  assert.equal(task.state, 'completed', task.text);
  assert.deepEqual(JSON.parse(task.artifacts[0].data[0].resource.body.body), wish.resource.body);
});
