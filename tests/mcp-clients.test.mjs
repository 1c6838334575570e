// The published MCP clients buy, unmodified: the JavaScript SDK in its lines 1 and 2, in both generations of the protocol, the
// Python SDK, and the paying client of the Cloudflare agents package.
//
//  1. Each connects and lists the tools; the SDKs hold what comes against their schemas. Each reads the price list.
//  2. Each gets the offer. A payment that the published x402 client makes of it goes back with the same call: the grant, the
//     receipt, one transfer of the price; the token opens the backend.
//  3. Each calls again with the payment signed anew, as after a lost answer: the same grant, uncharged.
//  4. Each hears of what is not sold as a result, and of a tool that there is not as an error.
//  5. Each is under way while the payment is settled, and is not invited to pay again.
//  6. The paying client does all of it by itself, and signs anew for every call: two calls are one purchase, also while the
//     first is being settled. Above its limit it pays nothing. A seller's text that is not Latin-1 does not keep it from paying.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { withX402Client } from 'agents/x402';
import { privateKeyToAccount } from 'viem/accounts';
import { ensurePython } from '../tools/lib/python.mjs';
import { payload } from './support/a2a.mjs';
import { broadcasts, income } from './support/facts.mjs';
import { HANDSHAKE_VERSIONS, MODERN_VERSION, assertGranted, assertOffered, assertUnderWay } from './support/mcp.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';

const PRICE = 15_000n;
const INFO = { name: 'test', version: '1' };
const PLANS = JSON.stringify([
  { planId: 'basic', unitAmount: '$0.015', description: 'Une heure — accès 📷' },
  { planId: 'dear', unitAmount: '$0.11', description: 'More than the paying client pays without being told to.' },
]);
const world = useWorld({ vars: { PLANS } });
const url = () => new URL(`${world.url}/mcp`);

async function open1() {
  const client = new Client1(INFO);
  const transport = new Transport1(url());
  await client.connect(transport);
  return { client, version: transport.protocolVersion };
}

async function open2(mode) {
  const client = new Client2(INFO, mode && { versionNegotiation: { mode } });
  await client.connect(new Transport2(url()));
  return { client, version: client.getNegotiatedProtocolVersion() };
}

/** What a test does with a client of the JavaScript SDKs. */
const javaScript = ({ client, version }) => ({
  version,
  tools: async () => (await client.listTools()).tools,
  call: (name, args, meta) => client.callTool({ name, arguments: args, ...(meta && { _meta: meta }) }),
  close: () => client.close(),
});

const CLIENTS = {
  'the JavaScript SDK 1.32': { open: async () => javaScript(await open1()), version: HANDSHAKE_VERSIONS[0] },
  'the JavaScript SDK 2.4': { open: async () => javaScript(await open2()), version: HANDSHAKE_VERSIONS[0] },
  'the JavaScript SDK 2.4 that asks for the newest': { open: async () => javaScript(await open2('auto')), version: MODERN_VERSION },
  'the Python SDK 2.3': { open: openPython, version: MODERN_VERSION },
};

/** A Python that waits for jobs, one at a time. */
async function openPython() {
  const python = spawn(await ensurePython(), ['tests/support/mcp_client.py'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: python.stdout });
  const ended = once(python, 'exit');
  const ask = async (job) => {
    python.stdin.write(`${JSON.stringify(job)}\n`);
    const [line] = await Promise.race([once(lines, 'line'), ended.then(() => assert.fail('Python has ended'))]);
    const answer = JSON.parse(line);
    if (answer.error) throw new Error(answer.message);
    return answer;
  };
  const { version } = await ask({ do: 'open', url: url().href });
  return {
    version,
    tools: async () => (await ask({ do: 'list' })).tools,
    call: async (name, args, meta) => (await ask({ do: 'call', name, arguments: args, meta })).result,
    close: () => python.stdin.end(),
  };
}

const paidBy = async ({ address }) => (await income(world)).filter(({ from }) => from === address);
/** A result as the checks of the door read it. */
const read = (result) => ({
  result: { isError: false, ...result },
  texts: result.content.map(({ text }) => text),
  data: result.structuredContent,
  receipt: result._meta?.['x402/payment-response'],
  text: JSON.stringify(result),
});

for (const [name, { open, version }] of Object.entries(CLIENTS)) {
  describe(name, () => {
    let client;
    before(async () => {
      client = await open();
    });
    after(() => client.close());

    const access = async (payment, args = { planId: 'basic' }) => read(await client.call('request_access', args, payment && { 'x402/payment': payment }));
    const pay = async ({ privateKey }) => payload(privateKey, assertOffered(await access()));

    test('connects, lists the tools and reads the price list', async () => {
      assert.equal(client.version, version);
      const [free, paid] = await client.tools();
      assert.deepEqual([free.name, paid.name], ['discover_plans', 'request_access']);
      assert.equal(paid._meta['agents-x402/paymentRequired'], true);
      const { plans } = await (await fetch(`${world.url}/discover`)).json();
      assert.deepEqual(read(await client.call('discover_plans')).data.plans, plans);
    });

    test('buys, and after a lost answer gets the same grant with another signature', async () => {
      const buyer = await world.newBuyer();
      const bought = await access(await pay(buyer));
      const grant = assertGranted(bought);
      assert.equal(bought.receipt.payer, buyer.address);
      assert.deepEqual((await paidBy(buyer)).map(({ value, hash }) => [value, hash]), [[PRICE, grant.txHash]]);
      const opened = await fetch(grant.resourceEndpoint, { headers: { authorization: `${grant.tokenType} ${grant.accessToken}` } });
      assert.equal(opened.status, 200);
      assert.deepEqual(assertGranted(await access(await pay(buyer))), grant);
      assert.equal((await paidBy(buyer)).length, 1);
    });

    test('hears of what is not sold, and of what there is not', async () => {
      const { result, data } = await access(undefined, { planId: 'gold' });
      assert.deepEqual([result.isError, data.code], [true, 'TIER_NOT_FOUND']);
      await assert.rejects(client.call('delete_everything', {}), /no such tool/);
    });

    test('is under way while its payment is settled', async () => {
      const buyer = await world.newBuyer();
      const payment = await pay(buyer);
      await world.chain.holdBlocks();
      try {
        assertUnderWay(await access(payment));
      } finally {
        await world.chain.setBlockTime(0);
        await world.chain.mine();
      }
      await poll(async () => {
        const { data } = await access(await pay(buyer));
        return data?.code !== 'SETTLEMENT_PENDING' && data?.type === 'AccessGrant';
      }, 'the grant');
      assert.equal((await paidBy(buyer)).length, 1);
    });
  });
}

const PAYING = { 'the JavaScript SDK 1.32': open1, 'the JavaScript SDK 2.4': () => open2('auto') };
for (const [name, open] of Object.entries(PAYING)) {
  describe(`the paying client of the agents package 0.32, on ${name}`, () => {
    let inner, client, buyer, asked;
    // The client can be wrapped once only, so its account is the one of the test that runs.
    const account = {
      get address() {
        return buyer.address;
      },
      signTypedData: (message) => privateKeyToAccount(buyer.privateKey).signTypedData(message),
    };
    before(async () => {
      ({ client: inner } = await open());
      const confirmationCallback = async (accepts) => asked.push(...accepts) > 0;
      client = withX402Client(inner, { network: 'base-sepolia', account, confirmationCallback });
    });
    after(() => inner.close());
    beforeEach(async () => {
      buyer = await world.newBuyer();
      asked = [];
    });
    const buy = async (args = { planId: 'basic' }) => read(await client.callTool(null, { name: 'request_access', arguments: args }));

    test('says that the tool costs, and buys by itself', async () => {
      const { tools } = await client.listTools();
      assert.match(tools[1].description, /paid tool/);
      const grant = assertGranted(await buy());
      assert.deepEqual(asked.map(({ amount }) => amount), [String(PRICE)]);
      assert.deepEqual((await paidBy(buyer)).map(({ hash }) => hash), [grant.txHash]);
    });

    test('calls again, which it signs anew: the same grant, paid once', async () => {
      const grant = assertGranted(await buy());
      assert.deepEqual(assertGranted(await buy()), grant);
      assert.equal(asked.length, 2);
      assert.equal((await paidBy(buyer)).length, 1);
    });

    test('calls twice while its payment is settled: one payment, and then the grant', async () => {
      const sent = await broadcasts(world);
      await world.chain.holdBlocks();
      try {
        for (const answer of await Promise.all([buy(), buy()])) assertUnderWay(answer);
        assert.equal(await broadcasts(world), sent + 1);
      } finally {
        await world.chain.setBlockTime(0);
        await world.chain.mine();
      }
      await poll(async () => (await buy()).data?.type === 'AccessGrant', 'the grant');
      assert.equal((await paidBy(buyer)).length, 1);
    });

    test('pays nothing above its own limit', async () => {
      const { result, texts } = await buy({ planId: 'dear' });
      assert.equal(result.isError, true);
      assert.match(texts[0], /exceeds client cap/);
      assert.equal((await paidBy(buyer)).length, 0);
    });
  });
}
