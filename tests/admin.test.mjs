// The operator's view.
//
//  1. Without the secret, with a wrong one, and where none is set, nothing is shown, and every path gives the same answer.
//  2. Some purchases are made: delivered, refunded, waiting for a backend, and one whose refund fails for good.
//  3. List, totals and export say of each what its own record says, those that wait for the operator first.
//  4. One purchase is shown with its whole history, and without any signature.
//  5. Commands do what the state allows and nothing else. The refund that failed is tried again: one transfer.
//  6. `npm run admin`: tables at a terminal, JSON when piped, one sentence for what is wrong; it retries the refund.
//  7. The ledger is lost; each purchase reports again when asked.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { NETWORK } from '../tools/lib/chain.mjs';
import { dollars, parseCsv } from '../tools/lib/ledger.mjs';
import { root } from '../tools/lib/paths.mjs';
import { command, operator, reported } from './support/admin.mjs';
import { receiptOf, records } from './support/facts.mjs';
import { startIssuer } from './support/issuer.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { access, buy } from './support/x402.mjs';

const issuer = await startIssuer();
after(() => issuer.stop());
const VARS = {
  TOKEN_MODE: 'remote',
  BACKEND_API_URL: issuer.url,
  REFUND_MIN_AGE_MS: '1500',
  REFUND_INTERVAL_MS: '100',
  PLANS: JSON.stringify([{ planId: 'basic', unitAmount: '$0.015' }, { planId: 'dear', unitAmount: '$1234.567891', description: 'a "dear" one, really' }]),
};
const world = useWorld({ backend: false, vars: VARS });
const today = () => new Date().toISOString().slice(0, 10);
const list = async (query = '') => (await operator(world, `/purchases${query}`)).body;
const inspect = async (requestId) => (await operator(world, `/purchases/${requestId}`)).body;

/** `npm run admin`, as an operator runs it. @param {string[]} args @param {{terminal?: boolean, env?: Record<string, string>}} [options] */
async function admin(args, { terminal = false, env = {} } = {}) {
  const command = [process.execPath, join(root, 'tools/admin.mjs'), ...args, '--url', world.url];
  const [program, ...rest] = terminal ? ['script', '-qec', command.join(' '), '/dev/null'] : command;
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1', KEY0_ADMIN_SECRET: world.adminSecret, ...env } });
  const said = { text: '' };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said.text += text));
  const code = await new Promise((resolve) => child.on('close', resolve));
  return { code, text: said.text.replaceAll('\r', '') };
}

/** Buys, and says what the ledger must say in the end. */
async function purchase(planId, { works, blacklisted = false, resourceId = 'default' }) {
  const buyer = await world.newBuyer(10_000_000_000n);
  issuer.behave(works ? 'works' : 'fails');
  const request = { planId, requestId: randomUUID(), resourceId };
  const bought = await buy(world.url, buyer.privateKey, request);
  assert.equal(bought.status, works ? 200 : 502, bought.text);
  if (blacklisted) await world.chain.blacklist(buyer.address, true);
  return { ...buyer, requestId: request.requestId, amount: bought.payment.accepted.amount, planId, payment: bought.payment, request };
}

describe('the door', () => {
  const paths = ['/purchases', `/purchases/${randomUUID()}`, `/purchases/${randomUUID()}/cancel`, `/grants/${randomUUID()}`, '/totals', '/export.csv', '/nothing'];

  test('gives the same answer to everybody who does not know the secret, whatever is asked', async () => {
    const wrong = [{}, { authorization: 'Bearer wrong' }, { authorization: `Bearer ${world.tokenSecret}` }, { authorization: `Basic ${world.adminSecret}` }, { authorization: world.adminSecret }];
    const seen = new Set();
    for (const path of paths) {
      for (const headers of wrong) {
        for (const method of ['GET', 'POST', 'OPTIONS']) {
          const answer = await fetch(`${world.url}/admin${path}`, { method, headers: { origin: 'https://somewhere.example', ...headers } });
          assert.equal(answer.status, 401);
          assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
          assert.equal(answer.headers.get('cache-control'), 'no-store');
          assert.equal(answer.headers.get('access-control-allow-origin'), null);
          seen.add(await answer.text());
        }
      }
    }
    assert.equal(seen.size, 1);
    assert.equal(JSON.parse([...seen][0]).code, 'UNAUTHORIZED');
  });

  test('has a page that shows nothing by itself and may do nothing but ask here', async () => {
    const pages = await Promise.all(['', '/'].map((path) => fetch(`${world.url}/admin${path}`)));
    const texts = await Promise.all(pages.map((page) => page.text()));
    assert.equal(texts[0], texts[1]);
    assert.equal(pages[0].status, 200);
    assert.match(pages[0].headers.get('content-type'), /^text\/html/);
    assert.equal(pages[0].headers.get('access-control-allow-origin'), null);
    const [, script] = /<script>([\s\S]*?)<\/script>/.exec(texts[0]);
    const policy = pages[0].headers.get('content-security-policy');
    assert.ok(policy.includes(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}';`), policy);
    assert.ok(policy.startsWith("default-src 'none';"));
    assert.doesNotMatch(texts[0].replace(script, ''), /<script\b(?!>)|\son\w+=|https?:/);
    assert.equal((await fetch(`${world.url}/admin`, { method: 'POST' })).status, 401);
  });

  test('tells who knows the secret what is wrong with a question', async () => {
    for (const [path, init, status] of [
      ['/nothing', {}, 404],
      ['/purchases/none', {}, 404],
      [`/purchases/${randomUUID()}`, {}, 404],
      [`/purchases/${randomUUID()}/cancel`, { method: 'POST' }, 404],
      [`/grants/${randomUUID()}`, { method: 'DELETE' }, 404],
      ['/totals', { method: 'POST' }, 405],
      ['/purchases?state=PAID', {}, 400],
      ['/purchases?status=NEW', {}, 400],
      ['/purchases?limit=501', {}, 400],
      ['/export.csv?from=tomorrow', {}, 400],
    ]) {
      const answer = await operator(world, path, init);
      assert.equal(answer.status, status, `${path} ${answer.text}`);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      assert.equal(answer.headers.get('access-control-allow-origin'), null);
    }
    assert.deepEqual(await list(), { purchases: [], next: null });
  });

  test('does not exist where no secret is set', async () => {
    await world.restartWorker({ KEY0_ADMIN_SECRET: '' });
    for (const path of ['', '/', ...paths]) {
      const answer = await operator(world, path);
      assert.equal(answer.status, 404);
      assert.equal(answer.text, await (await fetch(`${world.url}/no/such/path`)).text());
    }
    await world.restartWorker();
  });

  test('does not open with a secret that is too short or known to backends', async () => {
    for (const secret of ['x'.repeat(31), world.tokenSecret]) {
      await world.restartWorker({ KEY0_ADMIN_SECRET: secret });
      const { problems } = await (await fetch(`${world.url}/health`)).json();
      assert.deepEqual(problems.map(({ name }) => name), ['KEY0_ADMIN_SECRET']);
    }
    await world.restartWorker();
  });
});

describe('the ledger', () => {
  const made = {};
  before(async () => {
    made.first = await purchase('basic', { works: true });
    made.dear = await purchase('dear', { works: true, resourceId: 'photos/eu' });
    made.refunded = await purchase('basic', { works: false });
    made.failing = await purchase('basic', { works: false, blacklisted: true });
    await poll(async () => (await inspect(made.refunded.requestId)).record.state.REFUNDED, 'the refund', 30_000);
    await poll(async () => (await inspect(made.failing.requestId)).record.state.REFUND_FAILED, 'the refund to fail for good', 60_000);
    await reported(world);
  });

  /** What each purchase's own record says, in the ledger's words. */
  const truth = () =>
    Object.fromEntries(
      Object.entries(records(world)).map(([requestId, { state, payer, challengeId, terms, begunAt, changedAt }]) => {
        const [[status, { payment, transaction, refund }]] = Object.entries(state);
        return [
          requestId,
          {
            requestId,
            challengeId,
            status,
            target: `plan:${terms.target.plan}`,
            resource: terms.resource,
            amount: terms.amount,
            payer,
            network: NETWORK,
            transaction: payment.transaction,
            refund: transaction ?? null,
            reason: refund?.reason ?? null,
            createdAt: begunAt,
            changedAt,
          },
        ];
      }),
    );

  test('lists what needs somebody first, and says of each purchase what its record says', async () => {
    const { purchases, next } = await list();
    assert.equal(next, null);
    assert.deepEqual(purchases.map(({ status }) => status), ['REFUND_FAILED', 'REFUNDED', 'DELIVERED', 'DELIVERED']);
    assert.deepEqual(Object.fromEntries(purchases.map(({ version, ...entry }) => [entry.requestId, entry])), truth());
    assert.ok(purchases[0].reason);
    const ids = (entries) => entries.map(({ requestId }) => requestId);
    assert.deepEqual(ids((await list('?status=DELIVERED')).purchases), [made.dear.requestId, made.first.requestId]);
    const paged = [];
    let cursor = '';
    do {
      const page = await list(`?limit=1${cursor}`);
      paged.push(...page.purchases);
      cursor = page.next && `&cursor=${page.next}`;
    } while (cursor);
    assert.deepEqual(ids(paged), ids(purchases));
  });

  test('adds up by state and day', async () => {
    const { totals, days } = (await operator(world, `/totals?from=${today()}`)).body;
    const delivered = dollars(BigInt(made.first.amount) + BigInt(made.dear.amount));
    assert.equal(delivered, '$1234.582891');
    assert.deepEqual(totals, [
      { status: 'REFUND_FAILED', count: 1, amount: '$0.015' },
      { status: 'DELIVERED', count: 2, amount: delivered },
      { status: 'REFUNDED', count: 1, amount: '$0.015' },
    ]);
    assert.deepEqual(days.map(({ day, ...total }) => total), totals);
    assert.deepEqual((await operator(world, '/totals?to=2020-01-01')).body, { totals: [], days: [], removed: [] });
  });

  test('is exported as CSV, in pages that make one file', async () => {
    const whole = await operator(world, '/export.csv');
    assert.match(whole.headers.get('content-type'), /^text\/csv/);
    const [names, ...rows] = parseCsv(whole.text);
    const expected = truth();
    assert.equal(rows.length, 4);
    for (const row of rows) {
      const field = Object.fromEntries(names.map((name, i) => [name, row[i]]));
      const entry = expected[field.requestId];
      for (const name of ['challengeId', 'status', 'target', 'resource', 'network', 'transaction']) assert.equal(field[name], entry[name], name);
      for (const name of ['refund', 'reason']) assert.equal(field[name], entry[name] ?? '', name);
      for (const name of ['createdAt', 'changedAt']) assert.equal(Date.parse(field[name]), entry[name], name);
      assert.equal(`$${field.amount}`, entry.amount);
      assert.equal(field.payer.toLowerCase(), entry.payer);
    }
    let text = '';
    for (let path = '/export.csv?limit=1'; path; ) {
      const page = await operator(world, path);
      text += page.text;
      path = /<\/admin([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1];
    }
    assert.equal(text, whole.text);
  });

  test('one purchase is shown with its history, and without signatures, credentials and secrets', async () => {
    const answer = await operator(world, `/purchases/${made.refunded.requestId}`);
    const { record, audit, version } = answer.body;
    assert.ok(version > 5);
    assert.equal(record.payer, made.refunded.address.toLowerCase());
    assert.deepEqual(
      audit.map(({ event, status }) => `${event} ${status}`).filter((line) => !/issue_failed|target_released|notified/.test(line)),
      ['attempted PENDING', 'reserved PENDING', 'submitted PENDING', 'settled PAID', 'refund_begun REFUND_PENDING', 'refund_prepared REFUND_PENDING', 'submitted REFUND_PENDING', 'settled REFUNDED'],
    );
    assert.ok(audit.every(({ at }, i) => i === 0 || at >= audit[i - 1].at));
    assert.equal((await receiptOf(world, audit.findLast(({ status }) => status === 'REFUNDED').transaction)).status, 'success');
    const shown = [answer.text, JSON.stringify(await inspect(made.first.requestId)), JSON.stringify(await inspect(made.failing.requestId))].join('\n').toLowerCase();
    const { signature } = made.refunded.payment.payload;
    for (const hidden of ['signature', 'yparity', signature.slice(2, 66), signature.slice(66, 130), 'opaque-', world.tokenSecret, world.adminSecret, world.seller.privateKey.slice(2)]) {
      assert.ok(!shown.includes(hidden.toLowerCase()), hidden);
    }
  });

  test('commands that a state does not allow change nothing', async () => {
    const before = truth();
    for (const [who, verbs] of [['first', ['cancel', 'retry-refund']], ['refunded', ['cancel', 'retry-refund']], ['failing', ['cancel']]]) {
      for (const verb of verbs) {
        const answer = await command(world, `/purchases/${made[who].requestId}/${verb}`);
        assert.equal(answer.status, 409, answer.text);
        assert.equal(answer.body.details.status, before[made[who].requestId].status);
      }
    }
    assert.deepEqual(truth(), before);
  });

  test('npm run admin shows tables at a terminal, and JSON to programs', async () => {
    const { requestId } = made.failing;
    const piped = await admin(['list', '--status', 'REFUND_FAILED']);
    assert.deepEqual(JSON.parse(piped.text).purchases.map((entry) => entry.requestId), [requestId]);
    assert.deepEqual(JSON.parse((await admin(['totals'])).text).totals, (await operator(world, '/totals')).body.totals);

    const table = await admin(['list'], { terminal: true });
    assert.match(table.text, new RegExp(`^${requestId} +REFUND_FAILED +\\$0\\.015 +(just now|\\d+ min ago)$`, 'm'));
    const shown = await admin(['show', requestId], { terminal: true });
    assert.match(shown.text, /^REFUND_FAILED {2}/);
    // Why its refund failed, and the command that tries again at the same worker.
    assert.match(shown.text, /^ {2}refund failed: [a-z_]+/m);
    assert.ok(shown.text.includes(`\n  npm run admin -- retry-refund ${requestId} --url ${world.url}\n`), shown.text);
    assert.match(shown.text, /PAID +settled\n +0x[0-9a-f]{64}\n/);
    const totals = await admin(['totals'], { terminal: true });
    assert.match(totals.text, /^ +DELIVERED +2 +\$1234\.582891$/m);
    for (const { text } of [table, shown, totals]) assert.deepEqual(text.split('\n').filter((line) => line.length > 80 && !line.startsWith('  npm run ')), []);
  });

  test('npm run admin says in a sentence what is wrong, and takes no secret as an argument', async () => {
    for (const [args, words, env] of [
      [[], /^A command is missing: choose from list, show, retry-refund, cancel, grant, revoke, totals\. --help tells more\.$/],
      [['retry'], /^There is no command "retry"/],
      [['show'], /^"show" wants a request id/],
      [['list', 'x'], /^"list" takes no request id\.$/],
      [['show', randomUUID()], /^Nothing was ever paid or begun under this request id\.$/],
      [['cancel', made.first.requestId], /^This purchase is DELIVERED, which does not allow that\. Nothing was changed\.$/],
      [['list', '--secret', 'x'], /Unknown option '--secret'/],
      [['list'], /^The worker refuses the secret/, { KEY0_ADMIN_SECRET: 'x'.repeat(32) }],
      [['list'], /^Set KEY0_ADMIN_SECRET in the environment/, { KEY0_ADMIN_SECRET: '' }],
    ]) {
      const { code, text } = await admin(args, { env });
      assert.equal(code, 1);
      assert.match(text.trim(), words);
    }
  });

  test('a refund that failed for good is tried again by the operator, and pays once', async () => {
    const { requestId, address, request, payment } = made.failing;
    await world.chain.blacklist(address, false);
    const answer = await admin(['retry-refund', requestId]);
    assert.deepEqual([answer.code, JSON.parse(answer.text).status], [0, 'REFUND_PENDING'], answer.text);
    await poll(async () => (await inspect(requestId)).record.state.REFUNDED, 'the refund', 30_000);
    assert.equal((await command(world, `/purchases/${requestId}/retry-refund`)).status, 409);
    const refunds = await world.chain.transfers({ from: world.seller.address, to: address });
    assert.deepEqual(refunds.map(({ args }) => args.value), [15_000n]);
    assert.equal((await access(world.url, request, { payment })).body.details.refundTransaction, refunds[0].transactionHash);
    await reported(world);
    const { purchases } = await list('?status=REFUNDED');
    assert.equal(purchases[0].refund, refunds[0].transactionHash);
    assert.deepEqual((await list('?status=REFUND_FAILED')).purchases, []);
  });

  test('a ledger that was lost is filled again by the purchases themselves', async () => {
    const before = await list();
    await world.killWorker();
    rmSync(join(world.state, 'objects', 'key0-LedgerObject'), { recursive: true });
    await world.restartWorker();
    assert.deepEqual((await list()).purchases, []);
    for (const { requestId } of before.purchases) {
      const answer = await command(world, `/purchases/${requestId}/report`);
      assert.equal(answer.status, 200, answer.text);
    }
    await reported(world);
    const facts = ({ purchases }) => purchases.map(({ version, ...entry }) => entry);
    assert.deepEqual(facts(await list()), facts(before));
  });
});
