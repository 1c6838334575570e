// Promises: buys in an A2A conversation. The agent card says where to talk, the first task is the price list, the
// second one the purchase; the payment is a message on that task, signed by the published x402 client.

import { TaskState } from '@a2a-js/sdk';
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client';
import { NoAnswer, beginConversation, dataOf, metadataOf, textOf } from './conversation.mjs';
import { comeAgain, isOpen, refused, whyBroken } from './refusal.mjs';
import { plain, seconds, stop, tell } from './say.mjs';

/** How long a purchase may stay open before its owner is asked to come again. */
const PATIENCE_SECONDS = 120;
const PAUSE_SECONDS = 2;

export async function meet(url) {
  const card = await readCard(url);
  const door = card.supportedInterfaces.find((one) => one.protocolBinding === 'JSONRPC' && one.protocolVersion.startsWith('1.'));
  if (!door) stop(`${card.name} at ${url} has no A2A interface (JSON-RPC, version 1.0). Without --via a2a the agent buys over HTTP.`);
  tell(plain(`${card.name} speaks A2A ${door.protocolVersion} at ${door.url}\n`));
  const factory = new ClientFactory({ transports: [new JsonRpcTransportFactory()] });
  const talk = beginConversation(await factory.createFromAgentCard(card), card.name);

  const catalog = await askForPrices(talk);
  tell();
  return {
    catalog,
    buy: (order, wallet) =>
      buy(talk, catalog, order, wallet).catch((error) => {
        if (error instanceof NoAnswer) stop(`${error.message} ${comeAgain(order.requestId)}`);
        throw error;
      }),
  };
}

async function readCard(url) {
  try {
    return await new DefaultAgentCardResolver().resolve(`${url}/`);
  } catch (error) {
    if (whyBroken(error)) stop(`Nothing answers at ${url}. Is the worker running?`);
    return stop(`${url} has no agent card that can be read: ${error.message}`);
  }
}

async function askForPrices(talk) {
  const task = await talk.ask({ text: 'Which plans do you sell?', data: { type: 'AccessRequest' } }).catch((error) => {
    if (error instanceof NoAnswer) stop(error.message);
    throw error;
  });
  return dataOf(task).find((data) => Array.isArray(data?.plans)) ?? stop('The seller does not tell its prices.');
}

async function buy(talk, catalog, order, wallet) {
  tell();
  const what = order.planId ? `the plan "${order.planId}"` : `${order.resource.method} ${order.resource.path}`;
  const offered = await talk.ask({ text: `I want ${what}.`, data: { type: 'AccessRequest', ...order } });
  const free = dataOf(offered).find(isAnswer);
  if (free) return { grant: free };
  const offer = metadataOf(offered)['x402.payment.required'];
  if (offered.status.state !== TaskState.TASK_STATE_INPUT_REQUIRED || !offer) return refused(errorIn(offered), order.requestId);

  const payment = await wallet.client(catalog, order).createPaymentPayload(offer).catch(wallet.explain);
  const pay = (text) => talk.ask({ taskId: offered.id, text, payment });
  const task = await untilOver(talk, pay, order.requestId);

  const answer = dataOf(task).find(isAnswer);
  if (answer && !answer.charged) return { grant: answer };
  const grant = answer ?? dataOf(task).find((data) => data?.accessToken !== undefined);
  if (task.status.state !== TaskState.TASK_STATE_COMPLETED || !grant) return refused(errorIn(task), order.requestId);
  const receipt = metadataOf(task)['x402.payment.receipts']?.findLast(({ success }) => success);
  tell();
  return { grant, receipt: receipt ?? { transaction: grant.txHash, network: payment.accepted.network } };
}

/** Whether this is an answer of the seller's API. */
const isAnswer = (data) => data?.type === 'ResourceResponse';

/**
 * Pays, and follows the task to its end. A payment that could not begin is sent again as it is, and never signed anew. What another
 * signature or another purchase is needed for is not sent again: its owner is told.
 */
async function untilOver(talk, pay, requestId) {
  const end = Date.now() + PATIENCE_SECONDS * 1000;
  let task = await pay('Here is the payment.');
  for (;;) {
    const { state } = task.status;
    const working = state === TaskState.TASK_STATE_WORKING || state === TaskState.TASK_STATE_SUBMITTED;
    const status = metadataOf(task)['x402.payment.status'];
    const isTaken = status === 'payment-verified' || (status === 'payment-submitted' && isOpen(errorIn(task)));
    const isWaitedFor = state === TaskState.TASK_STATE_INPUT_REQUIRED && isTaken;
    if (!working && !isWaitedFor) return task;
    const pause = Math.max(Number(errorIn(task).details?.retryAfterSeconds) || PAUSE_SECONDS, 1);
    if (Date.now() + pause * 1000 > end) stop(`The purchase is still open, and the agent waits no longer. ${comeAgain(requestId)}`);
    await seconds(pause);
    task = await (isWaitedFor ? pay('Here is the same payment again.') : talk.look(task.id));
  }
}

/** The seller's error, or what the task says instead. */
const errorIn = (task) =>
  dataOf(task).find((data) => data?.type === 'Error') ?? {
    code: metadataOf(task)['x402.payment.error'],
    message: textOf(task) || 'the task ended without a grant and without a reason',
  };
