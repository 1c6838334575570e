// Promises: speaking to the A2A door by hand, in both versions of the protocol, so that a test can change anything on the
// way. Every task and every error that passes here is held to the form of its version.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { x402Client } from '@x402/core/client';
import { ExactEvmScheme } from '@x402/evm';
import { privateKeyToAccount } from 'viem/accounts';
import { NETWORK } from '../../tools/lib/chain.mjs';
import { broadcasts, traces } from './facts.mjs';

export const EXTENSION = 'https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2';
export const EXTENSION_0_1 = 'https://github.com/google-a2a/a2a-x402/v0.1';

const STATES = ['submitted', 'working', 'input-required', 'auth-required', 'completed', 'failed', 'canceled', 'rejected'];
const REASONS = {
  [-32001]: 'TASK_NOT_FOUND',
  [-32002]: 'TASK_NOT_CANCELABLE',
  [-32003]: 'PUSH_NOTIFICATION_NOT_SUPPORTED',
  [-32004]: 'UNSUPPORTED_OPERATION',
  [-32005]: 'CONTENT_TYPE_NOT_SUPPORTED',
  [-32009]: 'VERSION_NOT_SUPPORTED',
};

/** What differs between the versions, as they stand on the wire. @typedef {typeof V1} Dialect */
export const V1 = {
  name: '1.0',
  headers: { 'a2a-version': '1.0' },
  extensions: 'a2a-extensions',
  send: 'SendMessage',
  get: 'GetTask',
  cancel: 'CancelTask',
  roles: { user: 'ROLE_USER', agent: 'ROLE_AGENT' },
  kinds: /** @type {{message?: string, task?: string}} */ ({}),
  /** @param {any} content `{text}` or `{data}` */
  part: (content) => content,
  /** @param {boolean} wait whether an answer may wait for the end */
  waiting: (wait) => ({ returnImmediately: !wait }),
  /** @param {any} result of sending */
  task: (result) => result.task,
  state: (name) => `TASK_STATE_${name.toUpperCase().replace('-', '_')}`,
};

/** @type {Dialect} */
export const V0_3 = {
  name: '0.3',
  headers: /** @type {any} */ ({}),
  extensions: 'x-a2a-extensions',
  send: 'message/send',
  get: 'tasks/get',
  cancel: 'tasks/cancel',
  roles: { user: 'user', agent: 'agent' },
  kinds: { message: 'message', task: 'task' },
  part: (content) => ({ kind: Object.keys(content)[0], ...content }),
  waiting: (wait) => /** @type {any} */ ({ blocking: wait }),
  task: (result) => result,
  state: (name) => name,
};

export const DIALECTS = [V1, V0_3];

/**
 * One POST, everything of the answer decoded.
 * @param {string} url @param {unknown} body a text is sent as it is
 * @param {{headers?: Record<string, string>, signal?: AbortSignal}} [options]
 */
export async function post(url, body, { headers = {}, signal } = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    signal,
  });
  const text = await response.text();
  let decoded;
  try {
    decoded = JSON.parse(text);
  } catch {
    decoded = undefined;
  }
  return { status: response.status, headers: response.headers, text, body: decoded };
}
/** @typedef {Awaited<ReturnType<typeof post>>} Answer */

/** Members that are not there are left out. @param {object} members */
const present = (members) => JSON.parse(JSON.stringify(members));

/** The door, in one version of the protocol. */
export class Door {
  /** @param {import('./world.mjs').TestWorld} world @param {Dialect} [dialect] @param {string} [path] */
  constructor(world, dialect = V1, path = '/a2a') {
    Object.assign(this, { world, dialect, path });
  }

  /** @param {string} method @param {unknown} [params] @param {{id?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [options] */
  async call(method, params, { id = randomUUID(), headers = {}, signal } = {}) {
    const request = { jsonrpc: '2.0', id, method, params };
    const answer = await post(this.world.url + this.path, request, { headers: { ...this.dialect.headers, ...headers }, signal });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.equal(answer.body?.jsonrpc, '2.0', answer.text);
    assert.deepEqual(answer.body.id, id, answer.text);
    return answer;
  }

  /**
   * A message of the user.
   * @param {{data?: unknown, text?: string, parts?: unknown[]}} more  besides them, members of the message as they are
   */
  message({ data, text, parts, ...more }) {
    const content = parts ?? [...(text === undefined ? [] : [{ text }]), ...(data === undefined ? [] : [{ data }])].map(this.dialect.part);
    const { kinds, roles } = this.dialect;
    return present({ kind: kinds.message, messageId: randomUUID(), role: roles.user, parts: content, ...more });
  }

  /** Sends a message and gives the answer, whatever it is. @param {any} message for `message` @param {any} [configuration] @param {object} [options] */
  attempt(message, configuration, options) {
    return this.call(this.dialect.send, present({ message: this.message(message), configuration }), options);
  }

  /** Sends a message that must lead to a task. */
  async send(message, configuration, options) {
    return look(this.dialect, await this.attempt(message, configuration, options), this.dialect.task);
  }

  /** @param {{id: string}} task @param {object} [more] @param {object} [options] */
  async get({ id }, more = {}, options) {
    return look(this.dialect, await this.call(this.dialect.get, { id, ...more }, options));
  }

  /** @param {{id: string}} task */
  async cancel({ id }) {
    return look(this.dialect, await this.call(this.dialect.cancel, { id }));
  }

  /** @param {object} params */
  async list(params) {
    const answer = await this.call('ListTasks', params);
    assert.equal(answer.body.error, undefined, answer.text);
    const { tasks, nextPageToken, pageSize, totalSize, ...others } = answer.body.result;
    assert.deepEqual(others, {});
    for (const number of [pageSize, totalSize]) assert.equal(typeof number, 'number', answer.text);
    const looked = tasks.map((task) => lookAt(this.dialect, task, answer));
    return { tasks: looked, nextPageToken, pageSize, totalSize, text: answer.text };
  }

  /** An offer that can be paid. @param {object} [request] @param {object} [more] members of the message */
  async offer(request = { planId: 'basic', requestId: randomUUID() }, more = {}) {
    const task = await this.send({ data: { type: 'AccessRequest', ...request }, ...more });
    assertOffer(task);
    return task;
  }

  /** Pays on the task of the offer. @param {any} offer @param {unknown} payload @param {object} [more] members of the message */
  pay(offer, payload, more = {}, configuration, options) {
    return this.send({ taskId: offer.id, contextId: offer.contextId, text: 'Here is the payment.', metadata: submitted(payload), ...more }, configuration, options);
  }

  /** The error that an answer must be. @param {Answer} answer @param {number} code */
  assertError(answer, code) {
    assertError(this.dialect, answer, code);
  }
}

/** The metadata of a payment. @param {unknown} payload */
export const submitted = (payload) => ({ 'x402.payment.status': 'payment-submitted', 'x402.payment.payload': payload });

/** What the published x402 client pays with. @param {`0x${string}`} privateKey @param {any} required */
export const payload = (privateKey, required) =>
  x402Client.fromConfig({ schemes: [{ network: NETWORK, client: new ExactEvmScheme(privateKeyToAccount(privateKey)) }] }).createPaymentPayload(required);

/**
 * What tests ask of a task, the same for both versions.
 * @param {Dialect} dialect @param {any} task as it stands on the wire
 */
export function read(dialect, task) {
  const message = task.status.message;
  const parts = message?.parts ?? [];
  const metadata = message?.metadata ?? {};
  const state = STATES.find((name) => dialect.state(name) === task.status.state);
  assert.ok(state, `state ${task.status.state}`);
  const dataOf = (parts) => parts.filter(({ data }) => data !== undefined).map(({ data }) => data);
  return {
    id: task.id,
    contextId: task.contextId,
    state,
    payment: metadata['x402.payment.status'],
    required: metadata['x402.payment.required'],
    receipts: metadata['x402.payment.receipts'],
    error: metadata['x402.payment.error'],
    words: parts.flatMap(({ text }) => text ?? []).join('\n'),
    data: dataOf(parts),
    artifacts: (task.artifacts ?? []).map(({ name, parts }) => ({ name, data: dataOf(parts) })),
    history: task.history,
    task,
  };
}
/** @typedef {ReturnType<typeof read> & {text: string}} Task */

/** @param {Dialect} dialect @param {Answer} answer @param {(result: any) => any} [taskOf] */
function look(dialect, answer, taskOf = (result) => result) {
  assert.equal(answer.body.error, undefined, answer.text);
  assert.deepEqual(Object.keys(answer.body).sort(), ['id', 'jsonrpc', 'result']);
  return lookAt(dialect, taskOf(answer.body.result), answer);
}

function lookAt(dialect, task, { text }) {
  assertForm(dialect, task);
  return { ...read(dialect, task), text };
}

/** Exactly the members of this version, with its names. */
function assertForm(dialect, task) {
  const { kind, id, contextId, status, artifacts = [], history = [], metadata, ...others } = task;
  assert.deepEqual(others, {});
  assert.equal(kind, dialect.kinds.task);
  for (const name of [id, contextId]) assert.ok(typeof name === 'string' && name);
  assert.deepEqual(Object.keys(status).filter((name) => !['state', 'timestamp', 'message'].includes(name)), []);
  assert.match(status.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  for (const message of [...history, ...(status.message ? [status.message] : [])]) {
    assert.equal(message.kind, dialect.kinds.message);
    assert.ok(Object.values(dialect.roles).includes(message.role), message.role);
    assert.ok(message.messageId);
    assertParts(dialect, message.parts);
  }
  if (status.message) {
    const { role, taskId, contextId: its } = status.message;
    assert.deepEqual([role, taskId, its], [dialect.roles.agent, id, contextId]);
  }
  for (const artifact of artifacts) {
    assert.ok(artifact.artifactId && !('kind' in artifact));
    assertParts(dialect, artifact.parts);
  }
}

function assertParts(dialect, parts) {
  assert.ok(parts.length > 0);
  for (const { kind, metadata, ...content } of parts) {
    const [name, ...others] = Object.keys(content);
    assert.deepEqual(others, []);
    assert.ok(['text', 'data'].includes(name), name);
    assert.equal(kind, dialect === V1 ? undefined : name);
  }
}

/** An error in the form of its version. @param {Dialect} dialect @param {Answer} answer @param {number} code */
export function assertError(dialect, answer, code) {
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers.get('content-type'), /^application\/json/);
  assert.equal(answer.body?.error?.code, code, answer.text);
  assert.deepEqual(Object.keys(answer.body).sort(), ['error', 'id', 'jsonrpc']);
  const { message, data, ...others } = answer.body.error;
  assert.deepEqual(others, { code });
  assert.ok(message.length > 5, message);
  if (dialect !== V1) return assert.equal(data, undefined, 'version 0.3 has no data');
  if (!REASONS[code]) {
    for (const detail of data ?? []) assert.ok(detail['@type'], answer.text);
    return;
  }
  const [info] = data.filter((detail) => detail['@type'] === 'type.googleapis.com/google.rpc.ErrorInfo');
  assert.deepEqual([info?.reason, info?.domain], [REASONS[code], 'a2a-protocol.org'], answer.text);
  for (const value of Object.values(info.metadata ?? {})) assert.equal(typeof value, 'string');
}

/** An access token, ours or a backend's. Offers show only the beginning of one, as an example. */
const TOKEN = /eyJ[\w-]*\.[\w-]+\.[\w-]+|opaque-/;

/** @param {string} text */
export const assertNoToken = (text) => assert.doesNotMatch(text, TOKEN);

/** The task waits for a payment and says how to make it. @param {Task} task */
export function assertOffer(task) {
  assert.deepEqual([task.state, task.payment], ['input-required', 'payment-required'], task.text);
  const [{ type, challengeId }] = task.data.slice(-1);
  assert.equal(type, 'X402Challenge');
  assert.equal(task.required.x402Version, 2);
  assert.equal(task.required.accepts[0].extra.challengeId, challengeId);
  assert.ok(task.task.status.message.extensions.includes(EXTENSION));
}

/**
 * The task is paid. @param {Task} task @returns {any} the grant
 */
export function assertGranted(task) {
  assert.deepEqual([task.state, task.payment], ['completed', 'payment-completed'], task.text);
  const [grant, ...others] = task.data;
  assert.deepEqual(others, []);
  assert.equal(grant.type, 'AccessGrant');
  assert.deepEqual(task.artifacts, [{ name: 'access-grant', data: [grant] }]);
  const { payer, ...receipt } = task.receipts.at(-1);
  assert.deepEqual(receipt, { success: true, transaction: grant.txHash, network: NETWORK });
  assert.match(payer, /^0x[0-9a-fA-F]{40}$/);
  return grant;
}

/**
 * A refused payment, looked at as a whole: no token, nothing broadcast, nothing stored of a purchase.
 * @param {import('./world.mjs').TestWorld} world
 * @param {() => Promise<Task>} send  the message that must be refused
 * @param {object} expected
 * @param {string} expected.code         ours, in the data part
 * @param {string} [expected.error]      that of the extension
 * @param {string} [expected.reason]     `details.reason`
 * @param {string[]} [expected.mismatch] `details.mismatch`
 * @param {boolean} [expected.again]     whether the task has a new offer, and can be paid; otherwise it has failed
 */
export async function assertRefused(world, send, { code, error, reason, mismatch, again = true }) {
  const before = { sent: await broadcasts(world), traces: traces(world) };
  const task = await send();
  const [fault] = task.data;
  assert.deepEqual([fault?.type, fault?.code], ['Error', code], task.text);
  if (reason) assert.equal(fault.details?.reason, reason, task.text);
  if (mismatch) assert.deepEqual(fault.details?.mismatch, mismatch, task.text);
  if (error) assert.equal(task.error, error, task.text);
  const { errorReason, payer, ...receipt } = task.receipts?.at(-1) ?? {};
  assert.deepEqual(receipt, { success: false, transaction: '', network: NETWORK });
  assert.ok(errorReason, task.text);
  assertNoToken(task.text);
  assert.deepEqual(task.artifacts, []);
  if (again) {
    assertOffer(task);
    assert.equal(task.required.accepts[0].payTo, world.seller.address);
  } else {
    assert.deepEqual([task.state, task.payment], ['failed', 'payment-failed'], task.text);
    assert.equal(task.required, undefined, 'no offer belongs here');
  }
  assert.equal(await broadcasts(world), before.sent, 'something was broadcast');
  assert.deepEqual(traces(world), before.traces, 'something was stored');
  return task;
}
