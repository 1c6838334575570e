// The published A2A clients buy, unmodified: the JavaScript SDK in its lines 1 and 0.3, and the Python SDK.
//
//  1. Each knows only the seller's address: it finds the agent by its card, and the door by what the card says.
//  2. It reads the catalog, in words that are not JSON and with an empty data part, and buys on the task of its question.
//  3. It pays with what the published x402 client makes of the offer. The task has the grant; the chain shows one transfer of
//     the price; the token opens the backend and is good in a published JWT library.
//  4. It does not wait for the end of a payment: the task says that it is under way, and asking again and again shows the end.
//  5. It cancels an offer; what is over it cannot cancel. It asks for a task that there is not. It hears of both in its own words.
//  6. Clients of version 1 list the tasks of their conversation, and no token is among them.
//  7. What the Python client sends has each whole number with a fraction, and that changes nothing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { ListTasksRequest, SendMessageRequest, Task } from '@a2a-js/sdk';
import { ClientFactory } from '@a2a-js/sdk/client';
import { ClientFactory as ClientFactory0_3 } from 'a2a-js-sdk-0.3/client';
import { jwtVerify } from 'jose';
import { ensurePython } from '../tools/lib/python.mjs';
import { EXTENSION, EXTENSION_0_1, V0_3, V1, assertGranted, assertNoToken, assertOffer, payload, read, submitted } from './support/a2a.mjs';
import { broadcasts, income } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';

const PRICE = 15_000n;
const world = useWorld();

/** Each opens the agent at an address; what comes back speaks the wire's words of its version. */
const CLIENTS = {
  'the JavaScript SDK 1.3': async (url) => {
    const client = await new ClientFactory().createFromUrl(url);
    const toTask = async (answer) => Task.toJSON(await answer);
    return {
      dialect: V1,
      speaks: client.protocolVersion,
      card: await client.getAgentCard(),
      send: (message, configuration) => toTask(client.sendMessage(SendMessageRequest.fromJSON({ message, configuration }))),
      get: (id) => toTask(client.getTask({ tenant: '', id })),
      cancel: (id) => toTask(client.cancelTask({ tenant: '', id, metadata: undefined })),
      list: async (contextId) => (await client.listTasks(ListTasksRequest.fromJSON({ contextId }))).tasks.map((task) => Task.toJSON(task)),
    };
  },
  'the JavaScript SDK 0.3': async (url) => {
    const client = await new ClientFactory0_3().createFromUrl(url);
    const card = await client.getAgentCard();
    return {
      dialect: V0_3,
      speaks: card.protocolVersion.slice(0, 3),
      card,
      send: (message, configuration) => client.sendMessage({ message, configuration }),
      get: (id) => client.getTask({ id }),
      cancel: (id) => client.cancelTask({ id }),
    };
  },
  'the Python SDK 1.3': async (url) => {
    const { ask, sent, close } = await startPython();
    const { card } = await ask({ do: 'open', url });
    return {
      dialect: V1,
      speaks: '1.0',
      card,
      send: async (message, configuration) => (await ask({ do: 'send', message, configuration })).task,
      get: async (id) => (await ask({ do: 'get', id })).task,
      cancel: async (id) => (await ask({ do: 'cancel', id })).task,
      list: async (contextId) => (await ask({ do: 'list', contextId })).tasks,
      sent,
      close,
    };
  },
};

/** A Python that waits for jobs, one at a time. */
async function startPython() {
  const python = spawn(await ensurePython(), ['tests/support/a2a_client.py'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: python.stdout });
  let sent = '';
  return {
    sent: () => sent,
    ask: async (job) => {
      python.stdin.write(`${JSON.stringify(job)}\n`);
      const [line] = await Promise.race([once(lines, 'line'), once(python, 'exit').then(() => assert.fail('Python has ended'))]);
      const answer = JSON.parse(line);
      sent = answer.sent;
      if (answer.error) throw Object.assign(new Error(answer.message), { name: answer.error });
      return answer;
    },
    close: () => python.stdin.end(),
  };
}

for (const [name, open] of Object.entries(CLIENTS)) {
  describe(name, () => {
    let client, dialect;
    before(async () => {
      client = await open(world.url);
      dialect = client.dialect;
    });
    after(() => client.close?.());

    /** Sends a message; `more` are its members. */
    const say = async (parts, more = {}, configuration = {}) => {
      const { kinds, roles } = dialect;
      const message = { kind: kinds.message, messageId: randomUUID(), role: roles.user, parts: parts.map(dialect.part), ...more };
      return read(dialect, await client.send(message, configuration));
    };
    const order = () => ({ type: 'AccessRequest', planId: 'basic', requestId: randomUUID() });
    const offer = async (more) => {
      const task = await say([{ data: order() }], more);
      assertOffer(task);
      return task;
    };
    const pay = async ({ id, contextId, required }, { privateKey }, configuration) =>
      say([{ text: 'Here is the payment.' }], { taskId: id, contextId, metadata: submitted(await payload(privateKey, required)) }, configuration);
    const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);

    test('finds the agent and speaks its own version', async () => {
      assert.equal(client.speaks, dialect.name);
      const { agent } = await (await fetch(`${world.url}/discover`)).json();
      assert.equal(client.card.name, agent);
      assert.deepEqual(client.card.capabilities.extensions.map(({ uri }) => uri), [EXTENSION, EXTENSION_0_1]);
    });

    test('reads the catalog', async () => {
      const { type, ...catalog } = await (await fetch(`${world.url}/discover`)).json();
      const task = await say([{ data: {} }]);
      assert.equal(task.state, 'completed');
      assert.equal(task.data[0].type, 'Catalog');
      assert.deepEqual(task.data[0].plans, catalog.plans);
      assert.deepEqual(task.artifacts, [{ name: 'catalog', data: task.data }]);
    });

    test('asks in plain words, is told what to send, and goes on with the same task', async () => {
      const asked = await say([{ text: 'Good morning, what do you sell?' }]);
      assert.deepEqual([asked.state, asked.payment], ['input-required', undefined]);
      assert.match(asked.words, /AccessRequest/);
      assert.ok(asked.data[0].plans.length > 0);
      const { id, contextId } = asked;
      const offered = await offer({ taskId: id, contextId });
      assert.deepEqual([offered.id, offered.contextId], [id, contextId]);
    });

    test('buys: one transfer of the price, and a token that opens the backend', async () => {
      const buyer = await world.newBuyer();
      const offered = await offer();
      const bought = await pay(offered, buyer);
      const grant = assertGranted(bought);
      assert.equal(bought.id, offered.id);
      assert.equal(grant.challengeId, offered.data[0].challengeId);
      assert.deepEqual((await paidBy(buyer)).map(({ value, hash }) => [value, hash]), [[PRICE, grant.txHash]]);
      assert.equal(bought.receipts.at(-1).payer, buyer.address);
      const { payload: claims } = await jwtVerify(grant.accessToken, Buffer.from(world.tokenSecret), { algorithms: ['HS256'], issuer: world.url });
      assert.deepEqual([claims.payer, claims.planId, claims.txHash], [buyer.address, 'basic', grant.txHash]);
      const opened = await fetch(grant.resourceEndpoint, { headers: { authorization: `${grant.tokenType} ${grant.accessToken}` } });
      assert.equal(opened.status, 200);
      assert.deepEqual(assertGranted(read(dialect, await client.get(bought.id))), grant);
    });

    test('does not wait for the end: the task is under way, and asking again shows the end', async () => {
      const buyer = await world.newBuyer();
      const offered = await offer();
      const sent = await broadcasts(world);
      await world.chain.holdBlocks();
      try {
        const begun = await pay(offered, buyer, dialect.waiting(false));
        assert.deepEqual([begun.state, begun.payment, begun.required], ['working', 'payment-submitted', undefined]);
        await poll(async () => (await broadcasts(world)) === sent + 1, 'the transaction in the node');
        assert.equal(read(dialect, await client.get(offered.id)).state, 'working');
        await assert.rejects(client.cancel(offered.id), { name: 'TaskNotCancelableError' });
      } finally {
        await world.chain.setBlockTime(0);
        await world.chain.mine();
      }
      const bought = await poll(async () => {
        const task = read(dialect, await client.get(offered.id));
        return task.state !== 'working' && task;
      }, 'the end of the task', 30_000);
      const grant = assertGranted(bought);
      assert.deepEqual((await paidBy(buyer)).map(({ hash }) => hash), [grant.txHash]);
    });

    test('cancels an offer once, and hears that there is no such task', async () => {
      const offered = await offer();
      assert.equal(read(dialect, await client.cancel(offered.id)).state, 'canceled');
      assert.equal(read(dialect, await client.get(offered.id)).state, 'canceled');
      await assert.rejects(client.cancel(offered.id), { name: 'TaskNotCancelableError' });
      await assert.rejects(client.get(randomUUID()), { name: 'TaskNotFoundError' });
    });

    if (name !== 'the JavaScript SDK 0.3') test('lists its conversation, without any token', async () => {
      const buyer = await world.newBuyer();
      const offered = await offer();
      assertGranted(await pay(offered, buyer));
      const { contextId } = offered;
      const other = await offer({ contextId });
      const listed = await client.list(contextId);
      assert.deepEqual(listed.map(({ id }) => id).sort(), [offered.id, other.id].sort());
      assertNoToken(JSON.stringify(listed));
    });

    if (name === 'the Python SDK 1.3') test('sends whole numbers with a fraction', async () => {
      const buyer = await world.newBuyer();
      const bought = await pay(await offer(), buyer);
      assertGranted(bought);
      for (const number of ['"x402Version":2.0', '"maxTimeoutSeconds":300.0']) assert.ok(client.sent().replaceAll(' ', '').includes(number), client.sent());
    });
  });
}
