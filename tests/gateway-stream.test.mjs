// An answer that is paid for first is passed on while it arrives.
//
//  1. Each event reaches the buyer before the next is sent. Its end is delivered: charged once, nothing goes back, and nothing is called
//     again: 410. Meanwhile the same payment hears 409.
//  2. 10 MB arrive whole, with or without an announced length. What is short is kept as ever, unless the route says `stream`.
//  3. What the API cuts, or does not end in time, goes back, and the buyer sees that it is not whole. The example agent says so.
//  4. A buyer who leaves has had the answer. So has one who stays and takes nothing.
//  5. SIGKILL in the middle: the money goes back; or, where a call may be repeated, who returns gets it made once more.
//  6. What is not charged for is never passed on in parts.
//  7. Free calls and holders of a token get large and streaming answers, too, and send large bodies.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { call, payFor } from './support/calls.mjs';
import { paidBy, records, refundsTo, stored } from './support/facts.mjs';
import { LONG, startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { ROUTES, selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { buy, decodeHeader, encodeHeader, signPayment } from './support/x402.mjs';

const SECONDS = 6;
const AGENT = fileURLToPath(new URL('../examples/agent/agent.mjs', import.meta.url));
const ADMIN = fileURLToPath(new URL('../tools/admin.mjs', import.meta.url));
const CHAT = { routeId: 'chat', method: 'POST', path: '/api/chat', unitAmount: '$0.02', stream: true, plans: ['basic'], maxBody: 1_048_576 };
const FEED = { routeId: 'feed', method: 'GET', path: '/api/feed/:name', unitAmount: '$0.02', stream: true };
const FREE = { routeId: 'echo', method: 'POST', path: '/api/echo', free: true, maxBody: 1_048_576 };
const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(
  selling(origin, { ROUTES: JSON.stringify([...ROUTES, CHAT, FEED, FREE]), STREAM_SECONDS: String(SECONDS) }),
);
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
  origin.streams.length = 0;
});

const at = (path) => `${world.url}${path}`;
const POST = { method: 'POST', body: { text: 'hello' } };
/** As many bytes as no answer may have to be kept. */
const MUCH = 'x'.repeat(70_000);

/** A call whose payment is signed and not sent yet. */
async function signedCall(path, options = {}) {
  const buyer = await world.newBuyer();
  const { required } = await call(at(path), options);
  const payment = await signPayment(buyer.privateKey, required);
  return { buyer, payment, path, options, again: () => call(at(path), { ...options, payment }) };
}

/**
 * Sends a call, and gives out its answer as soon as there is a head.
 * @returns {Promise<{status: number, headers: import('node:http').IncomingHttpHeaders, text: () => string, isWhole: () => boolean,
 *   over: Promise<void>, leave: () => void, pause: () => void}>}
 */
function open(path, { method = 'GET', body = /** @type {any} */ (undefined), payment = /** @type {any} */ (undefined), headers = {}, reads = true } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(at(path), {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(payment && { 'payment-signature': encodeHeader(payment) }),
        ...headers,
      },
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let text = '';
      if (reads) response.on('data', (piece) => (text += piece));
      const over = new Promise((done) => {
        response.on('error', () => {});
        response.on('close', () => done(undefined));
      });
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: () => text,
        isWhole: () => response.complete,
        over,
        leave: () => sent.destroy(),
        pause: () => response.pause(),
      });
    });
    sent.end(body && JSON.stringify(body));
  });
}

const opened = (its, more = {}) => open(its.path, { ...its.options, payment: its.payment, ...more });

/** The answer of the API that streams to this call. */
const streamOf = (number = 1) => poll(() => origin.streams[number - 1], `stream ${number}`);

async function isDelivered(its) {
  await poll(() => statusOf(its) === 'DELIVERED', 'the end of the answer to be recorded');
  assert.equal((await paidBy(world, its.buyer)).length, 1);
  const gone = await its.again();
  assert.equal(gone.status, 410, gone.text);
  assert.equal(gone.body.code, 'ANSWER_GONE');
  assert.deepEqual(await refundsTo(world, its.buyer), []);
}

async function isRefunded(its, deadline = 15_000) {
  await poll(async () => (await refundsTo(world, its.buyer)).length > 0, 'the refund', deadline);
  const told = await its.again();
  assert.notEqual(told.status, 200, told.text);
  const [payment, ...others] = await paidBy(world, its.buyer);
  assert.deepEqual(others, []);
  const refunds = await refundsTo(world, its.buyer);
  assert.deepEqual(refunds.map(({ args }) => args.value), [payment.value]);
}

const recordOf = (its) =>
  Object.values(records(world)).find(({ payer }) => payer.toLowerCase() === its.buyer.address.toLowerCase());
const statusOf = (its) => {
  const { state } = recordOf(its) ?? {};
  const [name] = state ? Object.keys(state) : [];
  return { CLOSED: 'DELIVERED' }[name ?? ''] ?? name;
};
const history = () => (stored(world).PurchaseObject?.audit ?? []).map(({ event }) => event);

test('each event arrives before the next is sent, and the end is the delivery', async () => {
  origin.behave('streams');
  const its = await signedCall('/api/chat', POST);
  const answer = await opened(its);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'text/event-stream');
  assert.equal(answer.headers['cache-control'], 'private, no-store');
  const receipt = decodeHeader(answer.headers['payment-response']);
  assert.equal(receipt.success, true);
  const { call: seen, response } = await streamOf();
  assert.equal(seen.headers['x-key0-transaction'], receipt.transaction);
  for (const number of [1, 2, 3]) {
    response.write(`data: ${number}\n\n`);
    await poll(() => answer.text().endsWith(`data: ${number}\n\n`), `event ${number}`);
  }
  assert.equal(recordOf(its).state.PAID.calling.streaming, true, 'the record says so while it streams');
  const meanwhile = await its.again();
  assert.equal(meanwhile.status, 409, meanwhile.text);
  assert.equal(meanwhile.body.code, 'CALL_IN_PROGRESS');
  assert.equal(meanwhile.required, undefined, 'no offer, which would be paid');
  response.end();
  await answer.over;
  assert.ok(answer.isWhole());
  assert.equal(statusOf(its), 'DELIVERED', 'recorded before the buyer saw the end');
  await isDelivered(its);
  assert.equal(origin.calls.length, 1);
});

for (const [path, options] of /** @type {[string, any][]} */ ([
  ['/api/feed/news', {}],
  ['/api/messages', POST],
])) {
  test(`10 MB of ${path} arrive whole`, async () => {
    origin.behave('long');
    const its = await signedCall(path, options);
    const answer = await opened(its);
    assert.equal(answer.status, 200);
    await answer.over;
    assert.ok(answer.isWhole());
    assert.equal(answer.text().length, LONG.length);
    assert.ok(answer.text() === LONG.toString(), 'the bytes are those of the API, in their order');
    await isDelivered(its);
    assert.equal(origin.calls.length, 1);
  });
}

test('10 MB without an announced length arrive whole', async () => {
  origin.behave('huge');
  const its = await signedCall('/api/summaries', POST);
  const answer = await opened(its);
  await answer.over;
  assert.ok(answer.isWhole());
  assert.equal(answer.text().length, 10_000_000);
  await isDelivered(its);
});

test('a short answer is kept, unless its route streams', async () => {
  const kept = await signedCall('/api/messages', POST);
  const first = await kept.again();
  assert.equal(first.status, 200, first.text);
  assert.equal((await kept.again()).text, first.text);
  const streamed = await signedCall('/api/chat', POST);
  const answer = await streamed.again();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.settled.success, true);
  await isDelivered(streamed);
});

for (const [when, cut] of /** @type {[string, (response: import('node:http').ServerResponse) => void][]} */ ([
  ['after the head', (response) => response.destroy()],
  ['in the middle', (response) => response.write(MUCH, () => response.destroy())],
])) {
  test(`what the API cuts ${when} goes back`, async () => {
    origin.behave('streams');
    const its = await signedCall('/api/chat', POST);
    const answer = await opened(its);
    assert.equal(answer.status, 200);
    cut((await streamOf()).response);
    await answer.over;
    assert.ok(!answer.isWhole(), 'the buyer sees that the answer is cut');
    await isRefunded(its);
    assert.equal(origin.calls.length, 1);
    assert.ok(history().includes('stream_cut'));
  });
}

test('an announced length that is not reached goes back', async () => {
  origin.behave('tears');
  const its = await signedCall('/api/chat', POST);
  const answer = await opened(its);
  await answer.over;
  assert.ok(!answer.isWhole());
  await isRefunded(its);
});

test('the example agent says what became of an answer that is cut, and how to ask again', async () => {
  origin.behave('tears');
  const buyer = await world.newBuyer();
  const agent = async (...more) => {
    const run = promisify(execFile)('node', [AGENT, '--url', world.url, '--call', '/api/feed/lyon', ...more], { env: { ...process.env, AGENT_PRIVATE_KEY: buyer.privateKey, NO_COLOR: '1' } });
    return (await run.then(() => assert.fail('an answer'), (error) => error)).stderr;
  };
  const said = await agent();
  const [, request] = /^The connection broke .* The answer has no end\. --request (\S+) --call \/api\/feed\/lyon tells/.exec(said) ?? assert.fail(said);
  assert.match(await agent('--request', request), /the money|it was paid/i);
  assert.match(await agent('--via', 'mcp'), /^The seller answers: The answers of route "feed" are passed on while they arrive/);
  assert.equal((await paidBy(world, buyer)).length, 1);
  const shown = await promisify(execFile)('script', ['-qec', `${process.execPath} ${ADMIN} show ${request} --url ${world.url}`, '/dev/null'], { env: { ...process.env, NO_COLOR: '1', KEY0_ADMIN_SECRET: world.adminSecret } });
  assert.match(shown.stdout, /^ {2}sold +a call of feed for \$0\.02\r?$/m);
});

test('an answer that never ends is cut, and goes back', async () => {
  origin.behave('endless');
  const its = await signedCall('/api/feed/endless');
  const began = Date.now();
  const answer = await opened(its);
  await answer.over;
  assert.ok(Date.now() - began >= SECONDS * 1_000 - 500);
  assert.ok(!answer.isWhole());
  assert.ok(answer.text().length > 10_000, 'it was passed on until then');
  await isRefunded(its);
  assert.equal(origin.calls.length, 1);
  assert.ok(history().includes('stream_too_long'));
});

test('a silent answer is cut, too', async () => {
  origin.behave('streams');
  const its = await signedCall('/api/feed/silence');
  const answer = await opened(its);
  const { isOver } = await streamOf();
  await answer.over;
  assert.ok(!answer.isWhole());
  await isRefunded(its);
  await poll(isOver, 'the API to be left');
});

for (const [when, write] of /** @type {[string, boolean][]} */ ([
  ['while there is nothing to take', false],
  ['while more arrives', true],
])) {
  test(`a buyer who leaves ${when} has had the answer`, async () => {
    origin.behave('streams');
    const its = await signedCall('/api/chat', POST);
    const answer = await opened(its);
    const { response, isOver } = await streamOf();
    response.write(MUCH);
    await poll(() => answer.text().length === MUCH.length, 'the first part');
    const goOn = () => setInterval(() => response.write('data: more\n\n'), 5);
    let writing = write ? goOn() : undefined;
    answer.leave();
    await answer.over;
    // The runtime notices that somebody has left as soon as there is something for them.
    writing ??= goOn();
    await poll(isOver, 'the API to be left');
    clearInterval(writing);
    await isDelivered(its);
    assert.ok(history().includes('buyer_left'));
    assert.equal(origin.calls.length, 1);
  });
}

test('a buyer who stays and takes nothing gets nothing back', async () => {
  origin.behave('streams');
  const its = await signedCall('/api/chat', POST);
  const answer = await opened(its, { reads: false });
  const { response, isOver } = await streamOf();
  // More than what lies between the two can hold.
  response.write(Buffer.alloc(100_000_000, 'x'));
  await poll(isOver, 'the time to end', SECONDS * 1_000 + 5_000);
  answer.leave();
  await isDelivered(its);
});

test('after a crash nobody returns for, the money goes back', async () => {
  origin.behave('streams');
  const its = await signedCall('/api/chat', POST);
  const answer = await opened(its);
  const { response } = await streamOf();
  response.write(MUCH);
  await poll(() => answer.text().length === MUCH.length, 'the first part');
  await world.killWorker();
  await answer.over;
  assert.ok(!answer.isWhole());
  await world.restartWorker();
  await isRefunded(its, 60_000);
  assert.equal(origin.calls.length, 1);
  assert.ok(history().includes('stream_lost'));
});

test('after a crash, who returns gets a call made once more that may be repeated', async () => {
  origin.behave('streams');
  const its = await signedCall('/api/feed/crash');
  const lost = await opened(its);
  (await streamOf()).response.write(MUCH);
  await poll(() => lost.text().length === MUCH.length, 'the first part');
  await world.killWorker();
  await lost.over;
  await world.restartWorker();
  const answer = await poll(async () => {
    const answer = await opened(its).catch(() => undefined);
    return answer?.status === 200 && answer;
  }, 'an answer');
  const { response } = await streamOf(2);
  response.write(MUCH);
  response.end();
  await answer.over;
  assert.ok(answer.isWhole());
  assert.equal(answer.text(), MUCH);
  await isDelivered(its);
  assert.equal(origin.calls.length, 2);
});

test('what is not charged for is not passed on in parts', async () => {
  const buyer = await world.newBuyer();
  origin.behave(500);
  const answer = await payFor(at('/api/chat'), buyer.privateKey, POST);
  assert.equal(answer.status, 500, answer.text);
  assert.notEqual(answer.settled?.success, true);
  await poll(async () => (await refundsTo(world, buyer)).length > 0, 'the refund');
});

test('free calls and holders of a token send and get as much as they like', async () => {
  const buyer = await world.newBuyer();
  const { body: grant } = await buy(world.url, buyer.privateKey, { planId: 'basic' });
  const authorization = `Bearer ${grant.accessToken}`;
  const body = { text: 'y'.repeat(1_000_000) };
  for (const [path, headers] of /** @type {[string, any][]} */ ([
    ['/api/echo', {}],
    ['/api/chat', { authorization }],
  ])) {
    origin.behave('long');
    origin.calls.length = 0;
    origin.streams.length = 0;
    const long = await open(path, { method: 'POST', body, headers });
    assert.equal(long.status, 200);
    await long.over;
    assert.ok(long.isWhole() && long.text() === LONG.toString(), path);
    assert.equal(origin.calls[0].body, JSON.stringify(body), path);

    origin.behave('streams');
    const events = await open(path, { method: 'POST', body, headers });
    const { response } = await streamOf();
    response.write('data: 1\n\n');
    await poll(() => events.text() === 'data: 1\n\n', 'the first event');
    response.destroy();
    await events.over;
    assert.ok(!events.isWhole(), `${path}: what is cut is seen to be cut`);

    const { status } = await call(at(path), { method: 'POST', body: { text: 'y'.repeat(1_100_000) }, headers });
    assert.equal(status, 413);
  }
});
