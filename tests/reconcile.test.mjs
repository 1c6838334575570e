// `npm run reconcile`: ledger against chain.
//
//  1. --help, and what is missing or wrong, in one sentence each.
//  2. Purchases are delivered and refunded: ledger and chain agree, exit code 0, and the totals are the chain's.
//  3. Things happen that no purchase knows of: a stranger pays the seller by authorization, the seller returns money a second
//     time by hand, a purchase stays PAID. Each is told, with exit code 2; an ordinary transfer to the seller is listed, and is no difference.
//  4. The worker sells on Base by now: what was bought on the test network is not looked for on Base.
//  5. The ledger is falsified: another amount, a payment that the chain does not have. Told as well.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodeFunctionData, parseSignature } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { startChain } from '../tools/lib/chain.mjs';
import { compare, refundNonce } from '../tools/lib/compare.mjs';
import { dollars, microUsdc, parseCsv, readLedger } from '../tools/lib/ledger.mjs';
import { openChain } from '../tools/lib/transfers.mjs';
import { reported } from './support/admin.mjs';
import { income, statuses } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy, signPayment } from './support/x402.mjs';

const PROGRAM = fileURLToPath(new URL('../tools/reconcile.mjs', import.meta.url));
const issuer = await startIssuer();
after(() => issuer.stop());
const world = useWorld({
  backend: false,
  vars: { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, REFUND_MIN_AGE_MS: '1000', REFUND_INTERVAL_MS: '100' },
});

/** Runs it as an operator does. @param {string[]} args @param {Record<string, string>} [env] */
function run(args, env = { KEY0_ADMIN_SECRET: world.adminSecret }) {
  const given = { ...process.env, KEY0_ADMIN_SECRET: '', ...env };
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, ...args], { env: given }, (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stdout, stderr }));
  });
}
const there = () => ['--url', world.url, '--rpc', world.chain.url];

async function reconcile(...more) {
  const { code, stdout, stderr } = await run([...there(), '--json', ...more]);
  assert.ok(code === 0 || code === 2, stderr);
  const report = JSON.parse(stdout);
  assert.equal(code, report.differences.length ? 2 : 0);
  return report;
}

async function purchase(behaviour) {
  issuer.behave(behaviour);
  const buyer = await world.newBuyer();
  const body = { planId: 'basic', requestId: crypto.randomUUID() };
  await buy(world.url, buyer.privateKey, body);
  return { ...buyer, ...body };
}
const reach = (requestId, status) => poll(() => statuses(world)[requestId] === status, `${requestId} to be ${status}`, 30_000);

/** Somebody sends a payment to the chain past the worker. */
async function payPast() {
  const stranger = await world.newBuyer();
  const { required } = await access(world.url, { planId: 'basic' });
  const { payload } = await signPayment(stranger.privateKey, required);
  const { from, to, value, validAfter, validBefore, nonce } = payload.authorization;
  const { r, s, yParity } = parseSignature(payload.signature);
  const args = [from, to, BigInt(value), BigInt(validAfter), BigInt(validBefore), nonce, 27 + yParity, r, s];
  return send(encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transferWithAuthorization', args }));
}
const send = (data) => world.chain.transact({ to: world.chain.usdc.address, data });

/** An ordinary transfer. */
async function transfer(account, to, value) {
  await world.chain.fund(account.address, '1');
  const data = encodeFunctionData({ abi: world.chain.usdc.abi, functionName: 'transfer', args: [to, value] });
  const hash = await world.chain.client.sendTransaction({ account: privateKeyToAccount(account.privateKey), to: world.chain.usdc.address, data });
  await world.chain.client.waitForTransactionReceipt({ hash });
  return hash;
}

describe('reconcile', () => {
  const made = {};

  test('explains itself, and what is missing', async () => {
    const help = await run(['--help']);
    assert.equal(help.code, 0);
    for (const word of ['--url', '--rpc', '--from-block', '--json', 'KEY0_ADMIN_SECRET']) assert.ok(help.stdout.includes(word), word);
    for (const [args, env, message] of [
      [['--rpc', world.chain.url], undefined, /--url/],
      [['--url', world.url], undefined, /--rpc/],
      [there(), {}, /KEY0_ADMIN_SECRET is not set/],
      [there(), { KEY0_ADMIN_SECRET: 'wrong' }, /refuses the secret/],
      [[...there(), '--from-block', 'x'], undefined, /--from-block/],
      [['--url', world.url, '--rpc', 'http://127.0.0.1:9'], undefined, /chain gives no answer/],
    ]) {
      const { code, stderr } = await run(args, env);
      assert.equal(code, 1, stderr);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /at .*\.mjs/);
    }
  });

  test('agrees with an empty ledger on a quiet chain', async () => {
    const { ledger, chain, differences } = await reconcile();
    assert.deepEqual({ ledger, chain, differences }, { ledger: {}, chain: { received: { count: 0, amount: '$0.00' }, refunded: { count: 0, amount: '$0.00' } }, differences: [] });
  });

  test('agrees after purchases were delivered and refunded, and counts what the chain shows', async () => {
    made.delivered = [await purchase('works'), await purchase('works'), await purchase('works')];
    made.refunded = await purchase('fails');
    await reach(made.refunded.requestId, 'REFUNDED');
    await reported(world);
    const visitor = await world.newBuyer();
    const sent = await transfer(visitor, world.seller.address, 77n);
    const { ledger, chain, unpresented, differences } = await reconcile('--from-block', '0');
    assert.deepEqual(differences, []);
    assert.deepEqual(unpresented, [{ from: visitor.address.toLowerCase(), amount: '$0.000077', transaction: sent }]);
    assert.deepEqual(ledger, { DELIVERED: { count: 3, amount: '$0.045' }, REFUNDED: { count: 1, amount: '$0.015' } });
    assert.deepEqual(chain, { received: { count: 4, amount: '$0.06' }, refunded: { count: 1, amount: '$0.015' } });
    // The same without the range: every payment is looked up by its transaction.
    const height = String(await world.chain.client.getBlockNumber());
    assert.deepEqual((await reconcile('--from-block', height)).differences, []);
    const { stdout } = await run(there());
    assert.match(stdout, /that no purchase counts: 1\n {2}\$0\.000077 from 0x/);
    assert.match(stdout, /differences: 0\n$/);
  });

  test('tells a payment that no purchase knows, a second refund, and a purchase that stays PAID', async () => {
    const unknown = (await payPast()).transactionHash;
    const again = await transfer(world.seller, made.refunded.address, 15_000n);
    await world.restartWorker({ REFUND_MIN_AGE_MS: '600000' });
    const waiting = await purchase('fails');
    await reach(waiting.requestId, 'PAID');
    await reported(world);
    const { differences } = await reconcile('--stuck-after', '0');
    const found = Object.fromEntries(differences.map(({ kind, requestId, transaction }) => [kind, { requestId, transaction }]));
    assert.deepEqual(Object.keys(found).sort(), ['payment-unknown', 'refunded-twice', 'stuck']);
    assert.equal(differences.length, 3);
    assert.equal(found['payment-unknown'].transaction, unknown);
    assert.deepEqual(found['refunded-twice'], { requestId: made.refunded.requestId, transaction: again });
    assert.equal(found.stuck.requestId, waiting.requestId);
    assert.equal((await reconcile()).differences.length, 2, 'a purchase that is PAID for a moment only is no difference');
    const { code, stdout } = await run(there());
    assert.equal(code, 2);
    assert.match(stdout, new RegExp(`payment-unknown: .*\n  transaction ${unknown}`));
  });

  test('tells every way in which a ledger can be wrong about a purchase', async () => {
    const chain = openChain(world.chain.url, world.chain.usdc.address, [world.seller.address]);
    const entries = await readLedger(world.url, world.adminSecret);
    const height = await chain.height();
    const seen = { incoming: await chain.incoming(0n, height), outgoing: await chain.outgoing(0n, height) };
    const kinds = async (change) => {
      const { differences } = await compare(change(structuredClone(entries)), seen, chain, { now: Date.now(), stuckAfterMs: 600_000 });
      return differences.map(({ kind }) => kind).filter((kind) => kind !== 'payment-unknown' && kind !== 'refunded-twice');
    };
    const the = (list, status) => list.find((entry) => entry.status === status);
    const edit = (status, fields) => (list) => {
      Object.assign(the(list, status), fields);
      return list;
    };
    const none = `0x${'1'.repeat(64)}`;
    assert.deepEqual(await kinds((list) => list), []);
    assert.deepEqual(await kinds(edit('DELIVERED', { amount: 14_999n })), ['amount-differs']);
    assert.deepEqual(await kinds(edit('DELIVERED', { transaction: none })), ['payment-missing']);
    assert.deepEqual(await kinds(edit('DELIVERED', { status: 'EXPIRED' })), ['payment-not-credited']);
    assert.deepEqual(await kinds(edit('REFUNDED', { refund: none })), ['refund-unexpected']);
    assert.deepEqual(await kinds(edit('REFUNDED', { status: 'DELIVERED', refund: '' })), ['refund-unexpected']);
    assert.deepEqual(await kinds(edit('DELIVERED', { status: 'REFUNDED', refund: none })), ['refund-missing']);
    assert.deepEqual(await kinds(edit('PAID', { changedAt: 0 })), ['stuck']);
    assert.deepEqual(await kinds(edit('PAID', { status: 'REFUND_FAILED' })), ['refund-failed']);
    const twice = (list) => {
      const [first, second] = list.filter(({ status }) => status === 'DELIVERED');
      Object.assign(second, { transaction: first.transaction, payer: first.payer });
      return list;
    };
    assert.deepEqual(await kinds(twice), ['payment-counted-twice']);
    const refund = seen.outgoing.find(({ hash }) => hash === the(entries, 'REFUNDED').refund);
    assert.equal(await chain.nonceOf(refund), refundNonce(the(entries, 'REFUNDED').challengeId));
    assert.equal((await income(world)).length, seen.incoming.length);
  });

  test('looks at one network only', async () => {
    const base = await startChain({ network: 'mainnet' });
    try {
      await world.restartWorker({ KEY0_NETWORK: 'mainnet', KEY0_RPC_URL: base.url });
      const all = await readLedger(world.url, world.adminSecret);
      const { code, stdout, stderr } = await run(['--url', world.url, '--rpc', base.url, '--json']);
      assert.equal(code, 0, stderr);
      const { ledger, onOtherNetworks, differences } = JSON.parse(stdout);
      assert.deepEqual({ ledger, onOtherNetworks, differences }, { ledger: {}, onOtherNetworks: all.length, differences: [] });
    } finally {
      await base.stop();
    }
  });

  test('reads amounts and CSV exactly', () => {
    for (const [text, micro] of [['$0.015', 15_000n], ['1', 1_000_000n], ['18446744073709.551615', 2n ** 64n - 1n]]) assert.equal(microUsdc(text), micro);
    for (const text of ['', '-1', '1.', '1.0000001', '1e3', '$']) assert.throws(() => microUsdc(text));
    for (const [micro, text] of [[1n, '$0.000001'], [15_000_000n, '$15.00'], [1_230_000n, '$1.23']]) assert.equal(dollars(micro), text);
    assert.deepEqual(parseCsv('a,b\r\n"x,""y""\r\n",\r\n'), [['a', 'b'], ['x,"y"\r\n', '']]);
    assert.deepEqual(parseCsv('a,b\r\n'), [['a', 'b']]);
  });
});
