// What must never be seen.
//
//  1. A world is put through everything: purchases, refusals of every kind, a node that fails and whose address holds an
//     access key, a wallet without ether, a kill in the middle.
//  2. Every answer, headers included, and every log line is kept.
//  3. None holds the token secret, a private key, a payment's signature, a signed transaction, the node's access key; and no
//     log line holds a token.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { broadcasts } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, encodeHeader, signPayment } from './support/x402.mjs';

const NODE_KEY = 'node-access-key-5d1c';
const world = useWorld({ backend: false }, (ready) => ready.restartWorker({ KEY0_RPC_URL: `${ready.rpc.url}/v2/${NODE_KEY}` }));
const answers = [];
const tokens = [];
const secrets = new Map();

async function ask(body, options) {
  const answer = await access(world.url, body, options);
  answers.push(`${answer.status}\n${[...answer.headers].map((pair) => pair.join(': ')).join('\n')}\n${answer.text}\n${JSON.stringify(answer.required)}\n${JSON.stringify(answer.settled)}`);
  if (answer.body?.accessToken) tokens.push(answer.body.accessToken);
  return answer;
}

/** Pays, with this changed; what was signed is kept as a secret. */
async function pay(buyer, body, change) {
  const { required } = await ask(body);
  const payment = await signPayment(buyer.privateKey, required, change);
  secrets.set(`signature ${secrets.size}`, payment.payload.signature.slice(2));
  return { payment, send: () => ask(body, { payment }) };
}

test('answers and logs of a whole life hold no secret', async () => {
  const buyer = await world.newBuyer();
  const plan = { planId: 'basic' };
  /** A purchase of its own: what its client has not named joins one that was just delivered. */
  const another = () => ({ ...plan, requestId: randomUUID() });
  const known = { ...plan, requestId: randomUUID() };

  const bought = await pay(buyer, known);
  assert.equal((await bought.send()).status, 200);
  assert.equal((await bought.send()).status, 200);
  const refused = [
    [buyer, plan, { accepted: { amount: '1' } }],
    [buyer, plan, { domain: { name: 'USD Coin' } }],
    [buyer, plan, { authorization: { validBefore: '1' } }],
    [buyer, plan, { extra: { challengeId: 'forged' } }],
    [buyer, plan, { after: { to: buyer.address } }],
    [await world.newBuyer(0n), plan],
    [await world.newBuyer(), known],
  ];
  for (const [who, body, change] of refused) {
    const { status } = await (await pay(who, body, change)).send();
    assert.ok(status >= 400 && status < 500, String(status));
  }
  await ask('{"planId":', {});
  await ask(plan, { header: 'garbage' });
  await ask(plan, { header: encodeHeader({ ...bought.payment, x402Version: 1 }) });

  world.rpc.on(/./, { kind: 'status', status: 500 });
  assert.equal((await (await pay(buyer, another())).send()).status, 502);
  world.rpc.clear();
  world.rpc.on(/eth_getTransactionReceipt|eth_sendRawTransaction/, { kind: 'error', code: -32603, message: 'internal error' }, 6);
  world.rpc.on('eth_sendRawTransaction', { kind: 'error', message: 'refused by policy' }, 1);
  assert.equal((await (await pay(buyer, another())).send()).status, 200);
  world.rpc.clear();

  await world.chain.fund(world.gasWallet.address, '0');
  const tooEarly = await pay(buyer, another());
  await poll(async () => {
    await tooEarly.send();
    return world.logs.some((line) => line.includes('gas_wallet_empty'));
  }, 'the warning of an empty wallet');
  await world.chain.fund(world.gasWallet.address, '1');
  await poll(async () => (await tooEarly.send()).status === 200, 'the ether in sight');

  const sent = await broadcasts(world);
  const killed = await pay(buyer, another());
  await world.chain.holdBlocks();
  const lost = assert.rejects(killed.send());
  await poll(async () => (await broadcasts(world)) === sent + 1, 'the transaction in the node');
  await world.killWorker();
  await lost;
  await world.restartWorker({ KEY0_RPC_URL: `${world.rpc.url}/v2/${NODE_KEY}` });
  await world.chain.setBlockTime(0);
  await world.chain.mine();
  assert.equal((await killed.send()).status, 200);
  for (const path of ['/discover', '/health', '/.well-known/token-info', '/.well-known/agent-card.json']) answers.push(await (await fetch(world.url + path)).text());

  secrets.set('token secret', world.tokenSecret);
  secrets.set('operator secret', world.adminSecret);
  secrets.set('gas wallet key', world.gasWallet.privateKey.slice(2));
  secrets.set('node access key', NODE_KEY);
  for (const { params } of world.rpc.callsOf('eth_sendRawTransaction')) secrets.set(`raw transaction ${secrets.size}`, params[0].slice(2));
  assert.ok(tokens.length >= 5 && world.logs.length > 20 && answers.length > 20);
  const lower = (lines) => lines.map((line) => line.toLowerCase());
  const [seen, logged] = [lower(answers), lower(world.logs)];
  for (const [name, secret] of secrets) {
    assert.deepEqual(seen.filter((text) => text.includes(secret.toLowerCase())), [], `an answer shows the ${name}`);
    assert.deepEqual(logged.filter((line) => line.includes(secret.toLowerCase())), [], `a log line shows the ${name}`);
  }
  for (const token of tokens) assert.ok(!world.logs.some((line) => line.includes(token) || line.includes(token.split('.')[2])), 'a log line shows a token');
});
