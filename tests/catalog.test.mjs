// catalog.json: what a seller sells, in a file of its own.
//
//  1. The JSON Schema and the worker's parser give the same verdict on each catalog of tests/catalogs.json. (The parser is asked
//     by a native test of worker/core, on the same file.)
//  2. The example catalog is good for the schema, and a worker sells its plans.
//  3. PLANS wins over the file.
//  4. A catalog that cannot be sold: /health tells every fault, each with its plan and member, one a line.
//  5. A file that is not JSON is told with its line and column.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { z } from 'zod';
import { readCatalog } from '../tools/lib/catalog.mjs';
import { root } from '../tools/lib/paths.mjs';
import { startWorker } from '../tools/lib/worker.mjs';
import { testAccount } from '../tools/lib/world.mjs';

const read = (name) => readFileSync(join(root, name), 'utf8');
const schema = z.fromJSONSchema(JSON.parse(read('catalog.schema.json')));
const folder = mkdtempSync(join(tmpdir(), 'key0-catalog-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a worker with this catalog answers. */
async function answers(catalog, path, vars = {}) {
  const env = {
    KEY0_ACCESS_TOKEN_SECRET: 'x'.repeat(32),
    KEY0_WALLET_ADDRESS: testAccount().address,
    KEY0_RPC_URL: 'http://127.0.0.1:9',
    USE_GAS_WALLET: 'true',
    GAS_WALLET_PRIVATE_KEY: testAccount().privateKey,
    ...vars,
  };
  const worker = await startWorker({ state: mkdtempSync(join(folder, 'state-')), env, catalog });
  try {
    return await (await fetch(worker.url + path)).json();
  } finally {
    await worker.stop();
  }
}

describe('the schema and the parser agree', () => {
  for (const { about, good, catalog } of JSON.parse(read('tests/catalogs.json'))) {
    test(`on ${about}: ${good ? 'good' : 'refused'}`, () => {
      assert.equal(schema.safeParse(catalog).success, good);
    });
  }

  test('on the number of plans', () => {
    const plans = (count) => ({ plans: Array.from({ length: count }, (_, at) => ({ planId: `p${at}`, unitAmount: '1' })) });
    assert.deepEqual([64, 65].map((count) => schema.safeParse(plans(count)).success), [true, false]);
  });

  test('on the number of routes', () => {
    const route = (at) => ({ routeId: `r${at}`, method: 'GET', path: `/r${at}`, unitAmount: '1' });
    const routes = (count) => ({ routes: Array.from({ length: count }, (_, at) => route(at)) });
    assert.deepEqual([200, 201].map((count) => schema.safeParse(routes(count)).success), [true, false]);
  });
});

test('the example catalog is sold, unless PLANS says otherwise', async () => {
  const example = read('catalog.example.json');
  assert.ok(schema.safeParse(JSON.parse(example)).success);
  const ids = async (...args) => (await answers(example, '/discover', ...args)).plans.map(({ planId }) => planId);
  assert.deepEqual(await ids(), JSON.parse(example).plans.map(({ planId }) => planId));
  assert.deepEqual(await ids({ PLANS: '[{"planId":"other","unitAmount":"$1"}]' }), ['other']);
});

test('forty plans of eight kilobytes fit', async () => {
  const plans = Array.from({ length: 40 }, (_, at) => ({ planId: `plan-${at}`, unitAmount: '$1', description: 'd'.repeat(150), expiresIn: 3600 }));
  const { plans: sold } = await answers(JSON.stringify({ plans }), '/discover');
  assert.equal(sold.length, 40);
});

test('every fault of a catalog is told at once, with its plan and member', async () => {
  const catalog = '{"plans":[{"planId":"hour","unitAmount":0.5},{"planId":"day","price":"$1","expiresIn":"3600"}]}';
  const { status, problems } = await answers(catalog, '/health');
  assert.equal(status, 'misconfigured');
  assert.deepEqual(problems.map(({ name }) => name), ['catalog.json']);
  assert.deepEqual(problems[0].reason.split('\n'), [
    'has 4 faults:',
    'plan "hour": "unitAmount" must be a price in quotes, like "$0.015"',
    'plan "day": "price" is unknown; did you mean "unitAmount"?',
    'plan "day": "unitAmount" is missing',
    'plan "day": "expiresIn" must be a number of seconds, without quotes',
  ]);
});

test('a file that is not JSON is told with its place', () => {
  const file = join(folder, 'catalog.json');
  assert.equal(readCatalog(file), undefined);
  for (const [text, words] of [
    ['{\n  "plans": [\n    {"planId": "a",}\n  ]\n}\n', /^catalog\.json, line 3, column 20, is not JSON: .*\.$/],
    ['{\n  "plans": [\n    {"planId": "a]"},\n  ]\n}\n', /^catalog\.json, line 4, column 3, is not JSON: Unexpected token ']'[^"]*\.$/],
    ['{"plans": [', /^catalog\.json, line 1, column 12, is not JSON: .*\.$/],
  ]) {
    writeFileSync(file, text);
    assert.throws(() => readCatalog(file), { message: words });
  }
});
