// The A2A door by hand, in both versions of the protocol.
//
//  1. What a client may ask for, and the task that each leads to: the catalog, an offer, a question back, a failure with its code.
//  2. The life of a task that sells: offer, payment, grant; refused by the client; canceled. What came before is its history,
//     without the payment.
//  3. Requests that the protocol forbids: each has its error code, in the form of its version, and HTTP 200.
//  4. The version is negotiated by header, the extensions are echoed, each address of the door answers.
//  5. Conversations: a list shows only one that we have named, and never a grant.
//  6. The same again: the same message, the same payment, the same request id.
//  7. A purchase begins at one door and ends at the other.
//  8. 32 unpaid tasks fit into a conversation; one more, and the oldest unpaid one goes. What is paid stays.
//  9. With A2A_ENABLED=false nothing of this is there.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { NETWORK } from '../tools/lib/chain.mjs';
import { DIALECTS, Door, EXTENSION, EXTENSION_0_1, V0_3, V1, assertError, assertGranted, assertNoToken, assertOffer, post, submitted } from './support/a2a.mjs';
import { broadcasts, income, isUsed } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, signPayment } from './support/x402.mjs';

const PRICE = 15_000n;
const OUR_ID = /^[A-Za-z0-9_-]{43}$/;
const MOST_UNPAID = 32;
const MOST_BYTES = 64 * 1024;
const world = useWorld({ backend: false });
const doors = Object.fromEntries(DIALECTS.map((dialect) => [dialect.name, new Door(world, dialect)]));
const door = doors['1.0'];
const order = () => ({ planId: 'basic', requestId: randomUUID() });
const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);
/** What is for sale, without what only the x402 door takes. */
const discover = async () => {
  const { nextStep: _, ...catalog } = await (await fetch(`${world.url}/discover`)).json();
  return catalog;
};

/** Buys, and gives buyer, offer, payment, the finished task and its grant. */
async function bought(door, more = {}, request = order(), buyer) {
  const wallet = buyer ?? (await world.newBuyer());
  const offer = await door.offer(request, more);
  const payment = await signPayment(wallet.privateKey, offer.required);
  const task = await door.pay(offer, payment);
  return { buyer: wallet, offer, payment, task, grant: assertGranted(task) };
}

for (const door of Object.values(doors)) {
  const { dialect } = door;
  describe(`version ${dialect.name}`, () => {
    describe('a client may send', () => {
      test('nothing that names a plan: the catalog, at once', async () => {
        const catalog = { type: 'Catalog', ...(await discover()) };
        for (const ask of [{ data: {} }, { data: { type: 'AccessRequest' } }, { text: '{}' }, { text: ' {"hello": "world"} ' }]) {
          const task = await door.send(ask);
          assert.equal(task.state, 'completed', task.text);
          assert.deepEqual(task.data, [catalog]);
          assert.deepEqual(task.artifacts, [{ name: 'catalog', data: [catalog] }]);
          assert.ok(task.words, task.text);
          assert.equal(task.payment, undefined);
        }
      });

      test('a plan: an offer, in words, as a challenge and in x402’s own terms', async () => {
        const request = order();
        const task = await door.offer(request);
        assert.match(task.words, /\$0\.015/);
        assert.deepEqual(task.artifacts, []);
        for (const id of [task.id, task.contextId]) assert.match(id, OUR_ID);
        const [{ challengeId, expiresAt, description, transferInstead, ...challenge }] = task.data;
        assert.deepEqual(challenge, {
          type: 'X402Challenge',
          requestId: request.requestId,
          planId: 'basic',
          resourceId: 'default',
          amount: '$0.015',
          asset: 'USDC',
          network: NETWORK,
          chainId: 84532,
          destination: world.seller.address,
          resourceVerified: challenge.resourceVerified,
        });
        assert.equal(typeof challenge.resourceVerified, 'boolean');
        assert.ok(description && Date.parse(expiresAt) > Date.now());
        assert.deepEqual([transferInstead.sign, transferInstead.destination], [challengeId, world.seller.address]);
        const { required } = await access(world.url, request);
        assert.deepEqual(Object.keys(task.required).filter((name) => !['x402Version', 'error', 'resource', 'accepts', 'extensions'].includes(name)), []);
        const terms = ({ scheme, network, amount, asset, payTo, maxTimeoutSeconds, extra: { name, version } }) => [scheme, network, amount, asset, payTo, maxTimeoutSeconds, name, version];
        assert.deepEqual(task.required.accepts.map(terms), required.accepts.map(terms));
      });

      test('the same as JSON in a text, or beside a text, or with members that nobody knows', async () => {
        const request = { type: 'AccessRequest', ...order() };
        const asks = [{ text: JSON.stringify(request) }, { text: 'I would like this:', data: request }, { data: { ...request, unknown: [1], clientAgentId: 'agent-7', resourceId: null } }];
        for (const ask of asks) {
          const task = await door.send(ask);
          assertOffer(task);
          assert.equal(task.data[0].requestId, request.requestId);
        }
      });

      test('a plan for a resource, and without a request id', async () => {
        const task = await door.offer({ planId: 'basic', resourceId: 'photos/eu' });
        assert.equal(task.data[0].resourceId, 'photos/eu');
        assert.match(task.data[0].requestId, /^[0-9a-f]{8}-/);
      });

      const failures = {
        'a plan that is not for sale': [{ planId: 'gold' }, 'TIER_NOT_FOUND'],
        'a route, of which there is none': [{ routeId: 'photos', resource: { method: 'GET', path: '/photos' } }, 'TIER_NOT_FOUND'],
        'plan and route together': [{ planId: 'basic', routeId: 'photos' }, 'INVALID_REQUEST'],
        'a request id that is no UUID': [{ planId: 'basic', requestId: 'number seven' }, 'INVALID_REQUEST'],
        'a plan that is no text': [{ planId: 7 }, 'INVALID_REQUEST'],
      };
      for (const [name, [request, code]] of Object.entries(failures)) {
        test(`${name}: the task fails, ${code}`, async () => {
          const task = await door.send({ data: { type: 'AccessRequest', ...request } });
          assert.deepEqual([task.state, task.payment, task.required], ['failed', undefined, undefined], task.text);
          assert.deepEqual([task.data[0].type, task.data[0].code], ['Error', code]);
          assert.ok(task.words.includes(task.data[0].message), task.words);
        });
      }

      test('plain words: a question back with the catalog, and the answer goes on with the same task', async () => {
        const asked = await door.send({ text: 'What do you sell?' });
        assert.deepEqual([asked.state, asked.payment, asked.data[0].type], ['input-required', undefined, 'Catalog'], asked.text);
        assert.match(asked.words, /AccessRequest/);
        const again = await door.send({ text: 'Sorry?', taskId: asked.id, contextId: asked.contextId });
        assert.deepEqual([again.id, again.state], [asked.id, 'input-required']);
        const offer = await door.offer(order(), { taskId: asked.id });
        assert.deepEqual([offer.id, offer.contextId], [asked.id, asked.contextId]);
        assertGranted(await door.pay(offer, await signPayment((await world.newBuyer()).privateKey, offer.required)));
      });
    });

    describe('a task', () => {
      test('is paid, shows the grant to whoever has its id, and changes no more', async () => {
        const { buyer, offer, task, grant } = await bought(door);
        assert.deepEqual((await paidBy(buyer)).map(({ value, hash }) => [value, hash]), [[PRICE, grant.txHash]]);
        assert.deepEqual(task.receipts, [{ success: true, transaction: grant.txHash, network: NETWORK, payer: buyer.address }]);
        assert.deepEqual([grant.challengeId, grant.requestId, grant.planId], [offer.data[0].challengeId, offer.data[0].requestId, 'basic']);
        assert.deepEqual((await door.get(task)).task, task.task);
        const other = await signPayment(buyer.privateKey, offer.required);
        for (const message of [{ data: order() }, { text: 'Thank you.' }, { text: 'Again.', metadata: submitted(other) }]) {
          door.assertError(await door.attempt({ ...message, taskId: task.id }), -32004);
        }
        door.assertError(await door.call(dialect.cancel, { id: task.id }), -32002);
        assert.deepEqual((await door.get(task)).task, task.task);
        assert.equal(await isUsed(world, other.payload.authorization), false);
      });

      test('is the same in the other version’s words', async () => {
        const { task, grant } = await bought(door);
        const other = doors[dialect === V1 ? '0.3' : '1.0'];
        const seen = await other.get(task);
        assert.deepEqual(assertGranted(seen), grant);
        assert.deepEqual([seen.id, seen.contextId], [task.id, task.contextId]);
      });

      test('ends when the client refuses to pay', async () => {
        const offer = await door.offer();
        const metadata = { 'x402.payment.status': 'payment-rejected' };
        const refused = await door.send({ taskId: offer.id, text: 'Too dear.', metadata });
        assert.deepEqual([refused.state, refused.payment, refused.required], ['failed', 'payment-rejected', undefined], refused.text);
        assert.equal((await door.get(offer)).state, 'failed');
        door.assertError(await door.attempt({ taskId: offer.id, data: order() }), -32004);
      });

      test('is canceled, once', async () => {
        for (const task of [await door.offer(), await door.send({ text: 'What do you sell?' })]) {
          const canceled = await door.cancel(task);
          assert.deepEqual([canceled.id, canceled.state, canceled.required], [task.id, 'canceled', undefined]);
          assert.equal((await door.get(task)).state, 'canceled');
          door.assertError(await door.call(dialect.cancel, { id: task.id }), -32002);
        }
      });

      test('has its history, as long as the client wants it, without the payment itself', async () => {
        const asked = await door.send({ text: 'What do you sell?' });
        const offer = await door.offer(order(), { taskId: asked.id });
        const payment = await signPayment((await world.newBuyer()).privateKey, offer.required);
        const task = await door.pay(offer, payment);
        const { history } = await door.get(task);
        const said = history.filter(({ role }) => role === dialect.roles.user);
        assert.equal(said.length, 3);
        assert.deepEqual(said[0].parts, [dialect.part({ text: 'What do you sell?' })]);
        assert.equal(said[2].metadata['x402.payment.status'], 'payment-submitted');
        assert.ok(!JSON.stringify(history).includes(payment.payload.signature), 'the payment is kept');
        assert.equal((await door.get(task, { historyLength: 0 })).task.history, undefined);
        assert.deepEqual((await door.get(task, { historyLength: 1 })).history, history.slice(-1));
        assert.deepEqual((await door.get(task, { historyLength: 50 })).history, history);
        const silent = await door.send({ data: {} }, { historyLength: 0 });
        assert.equal(silent.task.history, undefined);
      });

      test('that is only asked about later: a payment need not be waited for', async () => {
        const buyer = await world.newBuyer();
        const offer = await door.offer();
        const payment = await signPayment(buyer.privateKey, offer.required);
        const sent = await broadcasts(world);
        await world.chain.holdBlocks();
        try {
          const task = await door.pay(offer, payment, {}, dialect.waiting(false));
          assert.deepEqual([task.state, task.payment, task.required, task.receipts?.length ?? 0], ['working', 'payment-submitted', undefined, 0], task.text);
          door.assertError(await door.call(dialect.cancel, { id: offer.id }), -32002);
          await poll(async () => (await broadcasts(world)) === sent + 1, 'the transaction in the node, with nobody asking', 30_000);
        } finally {
          await world.chain.setBlockTime(0);
          await world.chain.mine();
        }
        assertGranted(await door.pay(offer, payment));
        assert.equal((await paidBy(buyer)).length, 1);
      });
    });

    describe('the protocol forbids', () => {
      const send = (params, options) => door.call(dialect.send, params, options);
      const raw = (body, headers = {}) => post(`${world.url}/a2a`, body, { headers: { ...dialect.headers, ...headers } });
      const message = (more = {}) => door.message({ data: {}, ...more });

      test('what is no JSON: -32700', async () => {
        for (const text of ['', '{', '{"jsonrpc":"2.0",}', 'jsonrpc']) {
          const answer = await raw(text);
          door.assertError(answer, -32700);
          assert.equal(answer.body.id, null);
        }
      });

      test('what is no request of JSON-RPC 2.0, and several at once: -32600', async () => {
        const good = { jsonrpc: '2.0', id: 1, method: dialect.get, params: { id: 'x' } };
        for (const body of [{ ...good, jsonrpc: '1.0' }, { ...good, jsonrpc: undefined }, { ...good, method: 7 }, { ...good, method: undefined }, [good, good], [], 'null', '7', '"text"']) {
          const answer = await raw(body);
          door.assertError(answer, -32600);
          assert.equal(answer.body.id, typeof body === 'object' && 'id' in body ? 1 : null);
        }
        for (const id of [{ a: 1 }, ['1'], true]) {
          const answer = await raw({ ...good, id });
          door.assertError(answer, -32600);
          assert.equal(answer.body.id, null);
        }
      });

      test('methods that nobody knows, and those of the other version: -32601', async () => {
        for (const method of ['DeleteTask', 'tasks/delete', 'sendmessage', '']) door.assertError(await door.call(method, {}), -32601);
        if (dialect === V1) for (const method of [V0_3.send, V0_3.get, V0_3.cancel]) door.assertError(await door.call(method, { id: 'x' }), -32601);
      });

      const invalid = {
        'no params': undefined,
        'params that are a list': [],
        'params that are a text': 'message',
        'no message': {},
        'a message that is a text': { message: 'hello' },
        'a message without an id': { message: message({ messageId: undefined }) },
        'a message without parts': { message: message({ parts: [] }) },
        'a part with nothing in it': { message: message({ parts: [{ metadata: { a: 1 } }] }) },
        'a role that is none': { message: message({ role: 'ROLE_KING' }) },
        'metadata that is a list': { message: message({ metadata: [] }) },
        'a conversation of 129 characters': { message: message({ contextId: 'c'.repeat(129) }) },
        'a message that is too long to be kept': { message: message({ text: 'long '.repeat(300), data: undefined }) },
      };
      for (const [name, params] of Object.entries(invalid)) {
        test(`${name}: -32602`, async () => door.assertError(await send(params), -32602));
      }

      test('asking for a task without naming it: -32602; for one that is not there: -32001', async () => {
        for (const method of [dialect.get, dialect.cancel]) {
          for (const params of [undefined, {}, { id: '' }, { id: 7 }, { id: null }]) door.assertError(await door.call(method, params), -32602);
          for (const id of ['x', randomUUID(), randomBytes(32).toString('base64url'), 'A'.repeat(43), 'A'.repeat(2_000), '../../x', 'ключ']) {
            door.assertError(await door.call(method, { id }), -32001);
          }
        }
      });

      test('a message on a task that is not there: -32001; with another conversation than the task’s: -32602', async () => {
        door.assertError(await door.attempt({ data: {}, taskId: randomBytes(32).toString('base64url') }), -32001);
        const [offer, other] = [await door.offer(), await door.offer()];
        for (const contextId of [other.contextId, 'mine']) door.assertError(await door.attempt({ data: {}, taskId: offer.id, contextId }), -32602);
        assert.equal((await door.get(offer)).state, 'input-required');
      });

      test('methods that we do not offer: -32003 and -32004', async () => {
        const configs = ['set', 'get', 'list', 'delete'].map((verb) => `tasks/pushNotificationConfig/${verb}`);
        const configs1 = ['Create', 'Get', 'Delete'].map((verb) => `${verb}TaskPushNotificationConfig`).concat('ListTaskPushNotificationConfigs');
        for (const method of dialect === V1 ? configs1 : configs) door.assertError(await door.call(method, { id: 'x', taskId: 'x' }), -32003);
        const streams = dialect === V1 ? ['SendStreamingMessage', 'SubscribeToTask', 'GetExtendedAgentCard'] : ['message/stream', 'tasks/resubscribe', 'agent/getAuthenticatedExtendedCard'];
        for (const method of streams) door.assertError(await door.call(method, { id: 'x', message: message() }, { headers: { accept: 'text/event-stream' } }), -32004);
      });

      test('notifications that we cannot send: -32003', async () => {
        const name = dialect === V1 ? 'taskPushNotificationConfig' : 'pushNotificationConfig';
        door.assertError(await send({ message: message(), configuration: { [name]: { url: 'https://agent.example/hook' } } }), -32003);
      });

      test('files, and other media types than JSON: -32005', async () => {
        const file = dialect === V1 ? { url: 'https://agent.example/a.png', mediaType: 'image/png' } : { kind: 'file', file: { uri: 'https://agent.example/a.png' } };
        door.assertError(await send({ message: message({ parts: [file] }) }), -32005);
        const body = { jsonrpc: '2.0', id: 1, method: dialect.send, params: { message: message() } };
        for (const type of ['text/plain', 'application/xml', 'application/x-www-form-urlencoded']) door.assertError(await raw(body, { 'content-type': type }), -32005);
        const fine = await raw(body, { 'content-type': 'application/json; charset=utf-8' });
        assert.equal(fine.body.error, undefined, fine.text);
      });

      test('answers in a form that we do not have: -32005; in one of several that we have, or in any: served', async () => {
        const asked = (acceptedOutputModes) => send({ message: message(), configuration: { acceptedOutputModes } });
        for (const modes of [['image/png'], ['audio/mpeg', 'video/mp4']]) door.assertError(await asked(modes), -32005);
        for (const modes of [undefined, null, [], ['application/json'], ['text/plain'], ['text'], ['*/*'], ['image/png', 'application/json']]) {
          const answer = await asked(modes);
          assert.equal(answer.body.error, undefined, `${JSON.stringify(modes)}: ${answer.text}`);
        }
      });

      test('a body of more than 64 KiB: HTTP 413 with our error, for no JSON-RPC answer can be made; one of 64 KiB is read', async () => {
        const body = (length) => {
          const call = (metadata) => JSON.stringify({ jsonrpc: '2.0', id: 1, method: dialect.send, params: { message: message(), metadata } });
          return call({ filler: 'x'.repeat(length - call({ filler: '' }).length) });
        };
        const fits = await raw(body(MOST_BYTES));
        assert.deepEqual([fits.status, fits.body.error], [200, undefined], fits.text);
        const large = body(MOST_BYTES + 1);
        const whole = () => raw(large);
        const unannounced = async () => {
          const stream = new Blob([large]).stream();
          const answer = await fetch(`${world.url}/a2a`, /** @type {any} */ ({ method: 'POST', headers: { 'content-type': 'application/json', ...dialect.headers }, body: stream, duplex: 'half' }));
          return { status: answer.status, body: await answer.json() };
        };
        for (const send of [whole, unannounced]) {
          const { status, body } = await send();
          assert.deepEqual([status, body.type, body.code, body.jsonrpc], [413, 'Error', 'PAYLOAD_TOO_LARGE', undefined]);
        }
      });
    });

    test('the id comes back as it was', async () => {
      for (const id of ['', 'seven', 0, 7, -7, 9_007_199_254_740_991, null]) await door.call(dialect.send, { message: door.message({ data: {} }) }, { id });
      for (const id of ['x', 7, null]) door.assertError(await door.call(dialect.get, { id: 'x' }, { id }), -32001);
    });

    test('what is null is not there, and what nobody knows is ignored', async () => {
      const message = { ...door.message({ data: { ...order(), unknown: {} } }), metadata: null, taskId: null, contextId: null, extensions: null, referenceTaskIds: null, more: 1 };
      const answer = await door.call(dialect.send, { message, configuration: null, metadata: null, tenant: null, more: 1 });
      assert.equal(answer.body.error, undefined, answer.text);
    });

    test('whole numbers may have a fraction of nothing', async () => {
      const buyer = await world.newBuyer();
      const offer = await door.offer();
      const payment = await signPayment(buyer.privateKey, offer.required);
      const message = door.message({ text: 'payment', taskId: offer.id, metadata: submitted(payment) });
      const body = { jsonrpc: '2.0', id: 1, method: dialect.send, params: { message, configuration: { historyLength: 1 } } };
      const text = JSON.stringify(body).replaceAll(/"(x402Version|maxTimeoutSeconds|chainId|historyLength)":(\d+)/g, '"$1":$2.0');
      assert.match(text, /"x402Version":2\.0.*"maxTimeoutSeconds":300\.0|"maxTimeoutSeconds":300\.0.*"x402Version":2\.0/);
      const answer = await post(`${world.url}/a2a`, text, { headers: dialect.headers });
      assert.equal(answer.body.error, undefined, answer.text);
      assert.equal(dialect.task(answer.body.result).history.length, 1);
      assertGranted(await door.get(offer));
    });

    test('extensions that both know are echoed, whichever header names them', async () => {
      const ask = async (headers) => (await door.call(dialect.send, { message: door.message({ data: {} }) }, { headers })).headers;
      const other = dialect === V1 ? V0_3.extensions : V1.extensions;
      const cases = [
        [{ [dialect.extensions]: EXTENSION }, [EXTENSION]],
        [{ [other]: EXTENSION_0_1 }, [EXTENSION_0_1]],
        [{ [dialect.extensions]: ` ${EXTENSION} , https://nobody.example/v1`, [other]: EXTENSION_0_1 }, [EXTENSION, EXTENSION_0_1]],
        [{ [dialect.extensions]: 'https://nobody.example/v1' }, undefined],
        [{}, undefined],
      ];
      for (const [headers, active] of cases) {
        const answer = await ask(headers);
        assert.deepEqual(answer.get(dialect.extensions)?.split(/, */).sort(), active?.toSorted(), JSON.stringify(headers));
        assert.equal(answer.get(other), null);
      }
    });

    test('each address of the door answers', async () => {
      for (const path of ['/a2a', '/a2a/', '/agent', '/agent/', '/x402/access', '/x402/access/']) {
        const there = new Door(world, dialect, path);
        assert.equal((await there.send({ data: {} })).state, 'completed', path);
      }
    });
  });
}

test('version 0.3 is understood from clients that leave out what kind a thing is', async () => {
  const old = doors['0.3'];
  const message = { messageId: randomUUID(), role: 'user', parts: [{ data: order() }] };
  const answer = await old.call('message/send', { message });
  assert.equal(answer.body.result?.status?.state, 'input-required', answer.text);
});

describe('the version', () => {
  const ask = (dialect, headers, query = '') => post(`${world.url}/a2a${query}`, { jsonrpc: '2.0', id: 1, method: dialect.get, params: { id: 'x' } }, { headers });
  const cases = [
    [V1, { 'a2a-version': '1.0' }],
    [V1, { 'a2a-version': '1.0.1' }],
    [V1, {}, '?A2A-Version=1.0'],
    [V0_3, { 'a2a-version': '0.3' }],
    [V0_3, { 'a2a-version': '0.3.0' }],
    [V0_3, { 'a2a-version': '' }],
    [V0_3, {}],
  ];
  for (const [dialect, headers, query] of cases) {
    test(`${JSON.stringify(headers)}${query ?? ''} is ${dialect.name}`, async () => assertError(dialect, await ask(dialect, headers, query), -32001));
  }

  test('that nobody knows, and a method of 1.0 without a version: -32009, which says what to do', async () => {
    const answers = await Promise.all([...['2.0', '1.1', '0.2', 'one'].map((version) => ask(V1, { 'a2a-version': version })), ask(V1, {}), ask(V1, { 'a2a-version': '0.3' })]);
    for (const answer of answers) {
      assert.deepEqual([answer.status, answer.body?.error?.code, answer.body?.id], [200, -32009, 1], answer.text);
      assert.match(answer.body.error.message, /1\.0/);
    }
    assert.match(answers[4].body.error.message, /A2A-Version/);
  });
});

describe('the address', () => {
  test('takes only POST, and lets browsers in', async () => {
    for (const path of ['/a2a', '/agent']) {
      const refused = await fetch(world.url + path);
      assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'POST, OPTIONS']);
      const preflight = await fetch(world.url + path, { method: 'OPTIONS' });
      assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, '*']);
      const names = preflight.headers.get('access-control-allow-headers').toLowerCase().split(/, */);
      for (const name of ['a2a-version', 'a2a-extensions', 'x-a2a-extensions', 'content-type']) assert.ok(names.includes(name), name);
    }
  });

  test('never lets an answer be cached', async () => {
    const { headers } = await door.call('GetTask', { id: 'x' });
    assert.match(headers.get('cache-control'), /no-store/);
    assert.equal(headers.get('access-control-allow-origin'), '*');
  });

  test('of the x402 door takes JSON-RPC only for what says that it is', async () => {
    const plain = await access(world.url, { planId: 'basic' });
    assert.equal(plain.status, 402);
    const other = await access(world.url, { planId: 'basic', method: 'SendMessage', params: {} });
    assert.equal(other.status, 402);
  });
});

describe('a conversation', () => {
  test('of ours is listed, newest first, without any grant', async () => {
    const paid = await bought(door);
    const { contextId } = paid.task;
    const offer = await door.offer(order(), { contextId });
    const catalog = await door.send({ data: {}, contextId });
    for (const includeArtifacts of [undefined, false, true]) {
      const listed = await door.list({ contextId, includeArtifacts });
      assertNoToken(listed.text);
      assert.deepEqual(listed.tasks.map(({ id }) => id), [catalog.id, offer.id, paid.task.id]);
      assert.deepEqual([listed.nextPageToken, listed.totalSize], ['', 3]);
      assert.equal(listed.tasks[2].task.status.message, undefined);
      assert.equal(listed.tasks[2].task.artifacts, undefined);
      if (!includeArtifacts) for (const { task } of listed.tasks) assert.equal(task.artifacts, undefined);
    }
  });

  test('of ours is listed by state, by time and in pages', async () => {
    const first = await door.offer();
    const { contextId } = first;
    const canceled = await door.cancel(await door.offer(order(), { contextId }));
    const last = await door.send({ data: {}, contextId });
    const ids = async (params) => (await door.list({ contextId, ...params })).tasks.map(({ id }) => id);
    assert.deepEqual(await ids({ status: 'TASK_STATE_CANCELED' }), [canceled.id]);
    assert.deepEqual(await ids({ status: 'TASK_STATE_WORKING' }), []);
    assert.deepEqual(await ids({ statusTimestampAfter: new Date(Date.now() + 60_000).toISOString() }), []);
    assert.equal((await ids({ statusTimestampAfter: first.task.status.timestamp })).includes(last.id), true);
    const pages = [];
    let pageToken = '';
    do {
      const page = await door.list({ contextId, pageSize: 2, pageToken });
      assert.deepEqual([page.pageSize, page.totalSize], [2, 3]);
      pages.push(page.tasks.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken);
    assert.deepEqual(pages, [[last.id, canceled.id], [first.id]]);
    const silent = await door.list({ contextId, historyLength: 0 });
    for (const { task } of silent.tasks) assert.equal(task.history, undefined);
  });

  test('with bad limits: -32602', async () => {
    const { contextId } = await door.offer();
    for (const params of [{ pageSize: 0 }, { pageSize: 101 }, { pageSize: -1 }, { pageSize: 'two' }, { pageToken: 'x' }, { status: 'paid' }, { statusTimestampAfter: 'yesterday' }]) {
      door.assertError(await door.call('ListTasks', { contextId, ...params }), -32602);
    }
  });

  test('that the client has named is kept but never listed, nor is any other that is not ours', async () => {
    const named = `conversation ${randomUUID()}`;
    const { task } = await bought(door, { contextId: named });
    assert.equal(task.contextId, named);
    const longest = 'c'.repeat(128);
    assert.equal((await door.offer(order(), { contextId: longest })).contextId, longest);
    const ours = (await door.offer()).contextId;
    const bent = (ours[0] === 'A' ? 'B' : 'A') + ours.slice(1);
    for (const params of [{}, undefined, { contextId: '' }, { contextId: named }, { contextId: longest }, { contextId: bent }, { contextId: randomBytes(32).toString('base64url') }]) {
      const listed = await door.list(params);
      assert.deepEqual([listed.tasks, listed.totalSize, listed.nextPageToken], [[], 0, ''], JSON.stringify(params));
    }
  });

  test('is not known in version 0.3: -32009 or -32601, and no task', async () => {
    const { contextId } = await door.offer();
    for (const method of ['tasks/list', 'ListTasks']) {
      const answer = await doors['0.3'].call(method, { contextId });
      assert.ok([-32009, -32601].includes(answer.body.error?.code), answer.text);
    }
  });

  test('holds 32 tasks that are not paid: the oldest of them goes, what is paid stays', { timeout: 120_000 }, async () => {
    const paid = await bought(door);
    const { contextId } = paid.task;
    const unpaid = [];
    for (let made = 0; made <= MOST_UNPAID; made += 1) unpaid.push(await door.offer(order(), { contextId }));
    door.assertError(await door.call('GetTask', { id: unpaid[0].id }), -32001);
    assert.equal((await door.get(unpaid[1])).state, 'input-required');
    assert.deepEqual(assertGranted(await door.get(paid.task)), paid.grant);
    const listed = await door.list({ contextId, pageSize: 100 });
    assert.deepEqual(listed.tasks.map(({ id }) => id).sort(), [paid.task, ...unpaid.slice(1)].map(({ id }) => id).sort());
    const buyer = await world.newBuyer();
    assertGranted(await door.pay(unpaid[1], await signPayment(buyer.privateKey, unpaid[1].required)));
  });

  test('drops the oldest unpaid task, and whoever pays for its offer buys all the same', async () => {
    const first = await door.offer();
    const { contextId } = first;
    for (let made = 0; made < MOST_UNPAID; made += 1) await door.offer(order(), { contextId });
    door.assertError(await door.call('GetTask', { id: first.id }), -32001);
    const buyer = await world.newBuyer();
    const payment = await signPayment(buyer.privateKey, first.required);
    const task = await door.send({ text: 'payment', metadata: submitted(payment) });
    assertGranted(task);
    assert.equal((await paidBy(buyer)).length, 1);
  });
});

describe('the same again', () => {
  test('the same message on a task is answered as the first time, and is in the history once', async () => {
    const asked = await door.send({ text: 'What do you sell?' });
    const message = { data: order(), taskId: asked.id, messageId: randomUUID() };
    const [first, second] = [await door.send(message), await door.send(message)];
    assertOffer(second);
    assert.deepEqual(second.data, first.data);
    const history = (await door.get(asked)).history.filter(({ messageId }) => messageId === message.messageId);
    assert.equal(history.length, 1);
  });

  test('the same payment, under the same message id or a new one, is answered with the finished task, and costs nothing', async () => {
    const { buyer, offer, payment, task } = await bought(door);
    const before = await broadcasts(world);
    const messageId = randomUUID();
    for (const more of [{}, { messageId }, { messageId }, { contextId: undefined }]) {
      const again = await door.pay(offer, payment, more);
      assert.deepEqual(again.task.status, task.task.status);
      assert.deepEqual(again.artifacts, task.artifacts);
    }
    assert.equal(await broadcasts(world), before);
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test('the same payment many times at once is one transfer and one grant', async () => {
    const buyer = await world.newBuyer();
    const offer = await door.offer();
    const payment = await signPayment(buyer.privateKey, offer.required);
    const tasks = await Promise.all(Array.from({ length: 8 }, () => door.pay(offer, payment)));
    const [grant, ...others] = tasks.map(assertGranted);
    for (const other of others) assert.deepEqual(other, grant);
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test('the same request id is the same challenge while nobody has paid', async () => {
    const request = order();
    const [first, second] = [await door.offer(request), await doors['0.3'].offer(request)];
    assert.notEqual(first.id, second.id);
    // A window may end between the two questions; within one the offers are equal.
    if (first.data[0].expiresAt === second.data[0].expiresAt) assert.equal(first.data[0].challengeId, second.data[0].challengeId);
  });

  test('the same request id after the delivery opens nothing by itself; a new signature of the same wallet shows the same grant, uncharged', async () => {
    const request = order();
    const { buyer, grant } = await bought(door, {}, request);
    const offer = await door.offer(request);
    assertNoToken(offer.text);
    assert.ok(!offer.text.includes(grant.txHash), 'the transaction is told to a stranger');
    const payment = await signPayment(buyer.privateKey, offer.required);
    assert.deepEqual(assertGranted(await door.pay(offer, payment)), grant);
    assert.equal(await isUsed(world, payment.payload.authorization), false);
    assert.equal((await paidBy(buyer)).length, 1);
  });
});

describe('a payment without a task', () => {
  test('is for the offer that it names', async () => {
    const buyer = await world.newBuyer();
    const offer = await door.offer();
    const payment = await signPayment(buyer.privateKey, offer.required);
    const task = await door.send({ text: 'payment', metadata: submitted(payment) });
    assert.equal(assertGranted(task).challengeId, offer.data[0].challengeId);
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test('may leave out of the offer all but its challenge, as key0’s documentation does', async () => {
    const buyer = await world.newBuyer();
    const offer = await doors['0.3'].offer();
    const payment = await signPayment(buyer.privateKey, offer.required);
    const { challengeId } = payment.accepted.extra;
    const task = await doors['0.3'].send({ text: 'payment', metadata: submitted({ ...payment, accepted: { ...payment.accepted, extra: { challengeId } } }) });
    assert.equal(assertGranted(task).challengeId, challengeId);
  });
});

describe('two doors', () => {
  test('an offer of the A2A door is paid at the x402 door, and the task shows the same grant for the same payment', async () => {
    const buyer = await world.newBuyer();
    const request = order();
    const offer = await door.offer(request);
    const payment = await signPayment(buyer.privateKey, offer.required);
    const { status, body, text } = await access(world.url, request, { payment });
    assert.equal(status, 200, text);
    assert.deepEqual(assertGranted(await door.pay(offer, payment)), body);
    assert.equal((await paidBy(buyer)).length, 1);
  });

  test('an offer of the x402 door is paid at the A2A door, and the x402 door shows the same grant', async () => {
    const buyer = await world.newBuyer();
    const request = order();
    const { required } = await access(world.url, request);
    const payment = await signPayment(buyer.privateKey, required);
    const grant = assertGranted(await door.send({ text: 'payment', metadata: submitted(payment) }));
    const again = await access(world.url, request, { payment });
    assert.deepEqual([again.status, again.body], [200, grant], again.text);
    assert.equal((await paidBy(buyer)).length, 1);
  });
});

describe('with A2A_ENABLED=false', () => {
  test('nothing of this is there, and the x402 door sells as before', async () => {
    await world.restartWorker({ A2A_ENABLED: 'false' });
    const body = { jsonrpc: '2.0', id: 1, method: 'SendMessage', params: { message: door.message({ data: {} }) } };
    for (const path of ['/a2a', '/a2a/', '/agent']) {
      const answer = await post(world.url + path, body, { headers: V1.headers });
      assert.deepEqual([answer.status, answer.body.code], [404, 'NOT_FOUND'], path);
    }
    const there = await post(`${world.url}/x402/access`, body, { headers: V1.headers });
    assert.equal(there.body?.jsonrpc, undefined, there.text);
    assert.equal((await access(world.url, { planId: 'basic' })).status, 402);
    const { supportedInterfaces } = await (await fetch(`${world.url}/.well-known/agent-card.json`, { headers: V1.headers })).json();
    assert.deepEqual((supportedInterfaces ?? []).filter(({ protocolBinding }) => protocolBinding === 'JSONRPC'), []);
  });
});
