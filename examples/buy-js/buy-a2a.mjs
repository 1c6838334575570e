// Buys a plan in an A2A conversation, with the published x402 client, and prints the token.
//
//   SELLER_URL=http://127.0.0.1:8787 AGENT_PRIVATE_KEY=0x… node buy-a2a.mjs
//
// PLAN=starter-monthly buys another plan than "basic".

import { randomUUID } from 'node:crypto';
import { x402Client } from '@x402/core/client';
import { ExactEvmScheme } from '@x402/evm';
import { privateKeyToAccount } from 'viem/accounts';

const { SELLER_URL, AGENT_PRIVATE_KEY, PLAN = 'basic' } = process.env;
if (!SELLER_URL || !AGENT_PRIVATE_KEY) throw new Error('Set SELLER_URL and AGENT_PRIVATE_KEY.');

const wallet = privateKeyToAccount(AGENT_PRIVATE_KEY);
const x402 = x402Client.fromConfig({
  schemes: [{ network: 'eip155:84532', client: new ExactEvmScheme(wallet) }], // Base Sepolia; Base is eip155:8453
  spendControls: { maxAmountPerPayment: '$20' }, // without this line the client pays at most $1
});

async function call(method, params) {
  const answer = await fetch(`${SELLER_URL}/a2a`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'a2a-version': '1.0' },
    body: JSON.stringify({ jsonrpc: '2.0', id: randomUUID(), method, params }),
  });
  const body = await answer.json();
  if (!body.result) throw new Error(`HTTP ${answer.status}: ${JSON.stringify(body.error ?? body)}`);
  return body.result.task ?? body.result;
}
const say = (message) => call('SendMessage', { message: { messageId: randomUUID(), role: 'ROLE_USER', ...message } });
const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000));
const metadata = ({ status }) => status.message?.metadata ?? {};
const error = ({ status }) => status.message?.parts.find(({ data }) => data?.type === 'Error')?.data;

const requestId = randomUUID(); // keep it, and keep it secret
let task = await say({ parts: [{ data: { type: 'AccessRequest', planId: PLAN, requestId } }] });
const required = metadata(task)['x402.payment.required'];
if (!required) throw new Error(JSON.stringify(task.status.message.parts));

const payload = await x402.createPaymentPayload(required);
const payment = {
  taskId: task.id,
  parts: [{ text: 'Payment' }],
  metadata: { 'x402.payment.status': 'payment-submitted', 'x402.payment.payload': payload },
};
const AGAIN = ['SETTLEMENT_PENDING', 'ADAPTER_ERROR', 'TEMPORARILY_UNAVAILABLE', 'RATE_LIMITED'];
task = await say(payment);
for (;;) {
  const status = metadata(task)['x402.payment.status'];
  const isOpen = status === 'payment-verified' || (status === 'payment-submitted' && AGAIN.includes(error(task)?.code));
  if (task.status.state === 'TASK_STATE_WORKING') {
    await seconds(2);
    task = await call('GetTask', { id: task.id });
  } else if (task.status.state === 'TASK_STATE_INPUT_REQUIRED' && isOpen) {
    await seconds(error(task)?.details?.retryAfterSeconds ?? 2);
    task = await say(payment); // the same payment: signing anew could pay twice
  } else break;
}
const grant = task.artifacts?.find(({ name }) => name === 'access-grant')?.parts[0].data;
if (!grant) throw new Error(`${task.status.state}: ${JSON.stringify(task.status.message.parts)}`);

console.log(grant.accessToken);
console.error(task.status.state);
