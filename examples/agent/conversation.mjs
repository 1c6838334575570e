// Promises: every turn of an A2A conversation is shown: who speaks, the states of task and payment, what is said, the
// price and the transaction, and never a token or a signature. The published A2A client carries the messages.

import { randomUUID } from 'node:crypto';
import { Role, taskStateToJSON } from '@a2a-js/sdk';
import { ServiceParameters, withA2AExtensions } from '@a2a-js/sdk/client';
import { decimal } from './money.mjs';
import { whyBroken } from './refusal.mjs';
import { bold, plain, tell, wrap } from './say.mjs';

const X402_EXTENSION = 'https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2';
/** A seller that waits for the chain takes half a minute; one that is silent for longer has been lost. */
const CALL_MS = 60_000;
const MARGIN = '    ';

/** A message got no answer that can be read: what became of it is not known. */
export class NoAnswer extends Error {}

/** @param {import('@a2a-js/sdk/client').Client} client @param {string} seller  its name */
export function beginConversation(client, seller) {
  let contextId;
  let shown;

  async function call(method, request) {
    try {
      const serviceParameters = ServiceParameters.create(withA2AExtensions(X402_EXTENSION));
      const task = await client[method](request, { serviceParameters, signal: AbortSignal.timeout(CALL_MS) });
      if (task.status === undefined) throw new Error('it answered without a task');
      contextId = task.contextId;
      return task;
    } catch (error) {
      const broken = whyBroken(error);
      throw new NoAnswer(broken ?? `The seller's A2A interface failed: ${error.message.slice(0, 300)}.`);
    }
  }

  function hear(task) {
    const text = turn(`${seller} → agent`, stateOf(task), [textOf(task), ...offersOf(task), ...receiptsOf(task)]);
    // A task that has not moved since is no new turn.
    tell(text === shown ? `${MARGIN}(no change yet)` : text);
    shown = text;
    return task;
  }

  return {
    /** Says something: on a task, or to begin one. @param {{taskId?: string, text: string, data?: object, payment?: object}} said */
    async ask({ taskId, text, data, payment }) {
      const metadata = payment && { 'x402.payment.status': 'payment-submitted', 'x402.payment.payload': payment };
      tell(turn(`agent → ${seller}`, payment ? 'payment-submitted' : '', [text, data && JSON.stringify(data), payment && signedFor(payment)]));
      const parts = [{ content: { $case: 'text', value: text } }, ...(data ? [{ content: { $case: 'data', value: data } }] : [])];
      shown = undefined;
      const message = { messageId: randomUUID(), role: Role.ROLE_USER, contextId, taskId, parts, metadata, extensions: payment ? [X402_EXTENSION] : [] };
      return hear(await call('sendMessage', { message }));
    },
    /** How a task stands by now. @param {string} id */
    look: async (id) => hear(await call('getTask', { id })),
  };
}

export const metadataOf = (task) => task.status.message?.metadata ?? {};

/** The structured parts of the seller's latest message, and of what it has handed over. */
export const dataOf = (task) => [...contentOf(task, 'data'), ...task.artifacts.flatMap(({ parts }) => parts).flatMap(ofKind('data'))];

export const textOf = (task) => contentOf(task, 'text').join('\n');

const contentOf = (task, kind) => (task.status.message?.parts ?? []).flatMap(ofKind(kind));
const ofKind = (kind) => (part) => (part.content?.$case === kind ? [part.content.value] : []);

/** As the specification writes it for people: `input-required`. */
function stateOf(task) {
  const state = taskStateToJSON(task.status.state).replace('TASK_STATE_', '').replaceAll('_', '-').toLowerCase();
  return [state, metadataOf(task)['x402.payment.status'], metadataOf(task)['x402.payment.error']].filter(Boolean).join(', ');
}

const offersOf = (task) =>
  (metadataOf(task)['x402.payment.required']?.accepts ?? []).map(
    ({ amount, network, payTo }) => `price: ${money(amount)} on ${network}, to ${payTo}`,
  );

const receiptsOf = (task) =>
  (metadataOf(task)['x402.payment.receipts'] ?? []).map(({ success, transaction, network, errorReason }) =>
    success ? `receipt: transaction ${transaction} on ${network}` : `not paid: ${errorReason}`,
  );

function signedFor({ accepted, payload }) {
  const end = payload.authorization && `, good until ${new Date(Number(payload.authorization.validBefore) * 1000).toISOString()}`;
  return `signed: ${money(accepted.amount)} to ${accepted.payTo}${end ?? ''}`;
}

const money = (amount) => (/^\d+$/.test(amount) ? `$${decimal(BigInt(amount))} USDC` : amount);

function turn(who, states, lines) {
  const body = lines.filter(Boolean).map((line) => wrap(plain(line), MARGIN));
  return [bold(`  ${who}`) + (states && `   ${plain(states)}`), ...body].join('\n');
}
