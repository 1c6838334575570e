// What is published for registries, models and people is of use to them as it stands.
//
//  1. The checker of a published registry finds the seller, every plan and every call with its price, and nothing wrong: not in
//     the document, not in the 402s, not in the icon.
//  2. /openapi.json is OpenAPI 3.1. /llms.txt, /skills.md and / name every plan and every call.
//  3. The script of /skills.md, saved as it says, buys; its commands are answered; what it calls is answered too.
//  4. Each is a document like the others: GET and HEAD, an ETag, five minutes, no other method. The page forbids scripts.
//  5. What is switched off is not there, and nothing leads to it.
//  6. The description of a call in its 402 is what the published bazaar library accepts; the header stays short.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import * as discovery from '@agentcash/discovery';
import { nodeModules } from '../tools/lib/paths.mjs';
import { call } from './support/calls.mjs';
import { startOrigin } from './support/origin.mjs';
import { selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { access } from './support/x402.mjs';

const run = promisify(execFile);
const PLANS = [
  { planId: 'basic', unitAmount: '$0.015', description: 'One hour.', expiresIn: 3600 },
  { planId: 'month', unitAmount: '$15', description: 'A month of "everything" <here>.' },
];
const ROUTES = [
  {
    routeId: 'weather',
    method: 'GET',
    path: '/api/weather/:city',
    unitAmount: '$0.01',
    description: 'The weather of a city.',
    plans: ['basic'],
    params: { properties: { city: { type: 'string', example: 'london' }, days: { type: 'integer', example: 3 } } },
    output: { type: 'object', properties: { celsius: { type: 'number' } } },
    example: { celsius: 11 },
  },
  {
    routeId: 'summary',
    method: 'POST',
    path: '/api/summaries',
    unitAmount: '$0.02',
    description: 'A summary.',
    body: { type: 'object', properties: { text: { type: 'string', example: 'Long.' } }, required: ['text'] },
    output: { title: 'o'.repeat(5000) },
    example: { short: 'e'.repeat(700) },
  },
  { routeId: 'plain', method: 'GET', path: '/api/plain', unitAmount: '$0.01' },
  { routeId: 'status', method: 'GET', path: '/api/status', free: true, description: 'Whether it works.' },
];

const origin = await startOrigin();
after(() => origin.stop());
const SHOP = { PLANS: JSON.stringify(PLANS), ROUTES: JSON.stringify(ROUTES), AGENT_NAME: 'Weather & <Co>', CONTACT_EMAIL: 'team@shop.example' };
const world = useWorld(selling(origin, SHOP));
const get = (path, init) => fetch(world.url + path, init);
const text = async (path) => (await get(path)).text();

const TEXTS = {
  '/': 'text/html; charset=utf-8',
  '/favicon.ico': 'image/svg+xml',
  '/openapi.json': 'application/json',
  '/llms.txt': 'text/plain; charset=utf-8',
  '/skills.md': 'text/markdown; charset=utf-8',
};

describe('a registry', () => {
  const worse = (warnings) => warnings.filter(({ severity }) => severity !== 'info');

  test('finds the seller, and nothing wrong with the document', async () => {
    const found = (await discovery.getOpenAPI(world.url)).unwrapOr(null);
    assert.deepEqual(discovery.getWarningsForOpenAPI(found), []);
    const l2 = discovery.checkL2ForOpenAPI(found);
    assert.deepEqual(discovery.getWarningsForL2(l2), []);
    assert.deepEqual(discovery.getWarningsForL4(discovery.checkL4ForOpenAPI(found)), []);
    assert.deepEqual(
      l2.routes.map(({ method, path, authMode, price }) => [method, path, authMode, price]),
      [
        ['GET', '/api/plain', 'paid', '0.01 USD'],
        ['GET', '/api/status', 'unprotected', undefined],
        ['POST', '/api/summaries', 'paid', '0.02 USD'],
        ['GET', '/api/weather/{city}', 'paid', '0.01 USD'],
        ['POST', '/x402/access', 'paid', '0.015-15.00 USD'],
      ],
    );
    const all = await discovery.discoverOriginSchema({ target: world.url });
    assert.equal(all.found, true);
    assert.equal(all.info.contactEmail, 'team@shop.example');
    assert.match(all.guidance, /x402/);
    const icon = await discovery.getWarningsForFavicon(world.url);
    assert.deepEqual(icon.unwrapOr('failed'), []);
  });

  for (const [path, method] of [['/x402/access', 'POST'], ['/api/weather/london', 'GET'], ['/api/plain', 'GET'], ['/api/summaries', 'POST']]) {
    test(`finds nothing wrong with ${method} ${path}, as published and as it is asked`, async () => {
      for (const probe of [false, true]) {
        const checked = await discovery.checkEndpointSchema({ url: world.url + path, probe });
        assert.equal(checked.found, true);
        const advisory = checked.advisories.find((it) => it.method === method);
        assert.ok(advisory.inputSchema, JSON.stringify(advisory));
        assert.deepEqual(worse(discovery.getWarningsForL3(advisory)), []);
        if (probe) assert.deepEqual(discovery.validatePaymentRequiredDetailed(advisory.paymentRequiredBody).issues, []);
      }
    });
  }
});

describe('a description of a call', () => {
  test('says in its 402 how it is made and what it brings', async () => {
    const { required, headers } = await call(`${world.url}/api/weather/london`);
    assert.ok(headers.get('payment-required').length <= 4608);
    const { info, schema, routeTemplate } = required.extensions.bazaar;
    assert.deepEqual(info.input, { type: 'http', method: 'GET', pathParams: { city: 'london' }, queryParams: { days: 3 } });
    assert.deepEqual(info.output, { type: 'json', example: { celsius: 11 } });
    assert.equal(schema.properties.output.properties.example.properties.celsius.type, 'number');
    assert.equal(routeTemplate, '/api/weather/:city');
  });

  test('leaves out what would make the header too long', async () => {
    const { required, headers } = await call(`${world.url}/api/summaries`, { method: 'POST' });
    assert.ok(headers.get('payment-required').length <= 4608, headers.get('payment-required').length);
    const { info, schema } = required.extensions.bazaar;
    assert.deepEqual(schema.properties.output.properties.example, {});
    assert.deepEqual(info.input.body, { text: 'Long.' });
    assert.equal(info.output.example.short.length, 700);
  });
});

describe('texts', () => {
  for (const path of ['/llms.txt', '/skills.md', '/']) {
    test(`${path} says what is sold, for how much and by whom`, async () => {
      const said = await text(path);
      const wanted = path === '/skills.md' ? ['basic', '$0.015', '/api/weather/:city', '$0.01'] : ['basic', '$0.015', 'month', '$15.00', '/api/weather/:city', '$0.01', '/api/summaries', '$0.02', '/api/status'];
      for (const part of wanted) assert.ok(said.includes(part), `${part}\n${said}`);
      assert.ok(!said.includes('<Co>') && !/[^\\]<here>/.test(said), said);
    });
  }

  test('the page has no script, and the browser is told so', async () => {
    const { headers } = await get('/');
    assert.match(headers.get('content-security-policy'), /^default-src 'none'; style-src 'unsafe-inline'; img-src 'self';/);
    assert.doesNotMatch(await text('/'), /<script|\son\w+=|javascript:/i);
  });

  for (const [path, type] of Object.entries(TEXTS)) {
    test(`${path} is a document`, async () => {
      const first = await get(path);
      assert.equal(first.status, 200);
      assert.equal(first.headers.get('content-type'), type);
      assert.equal(first.headers.get('cache-control'), 'public, max-age=300');
      const etag = first.headers.get('etag');
      const again = await get(path, { headers: { 'if-none-match': etag } });
      assert.equal(again.status, 304);
      const head = await get(path, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('etag'), await head.text()], [200, etag, '']);
      const post = await get(path, { method: 'POST' });
      assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD, OPTIONS']);
      assert.equal((await get(path, { method: 'OPTIONS' })).status, 204);
    });
  }

  test('every link of theirs leads somewhere here', async () => {
    const all = (await Promise.all(['/', '/llms.txt', '/skills.md', '/openapi.json'].map((path) => text(path)))).join('\n').replace(/`[A-Z]+ http[^`]*`/g, '');
    const paths = new Set([...all.matchAll(/https?:\/\/[\w.]+(?::\d+)?((?:\/[\w.-]*[\w-])*\/?)/g)].filter(([url]) => url.startsWith(world.url)).map(([, path]) => path));
    assert.ok(paths.size > 8, [...paths].join());
    for (const path of paths) {
      const { status } = await get(path);
      assert.ok([200, 402, 405].includes(status), `${path}: ${status}`);
    }
  });
});

describe('/skills.md', () => {
  const blocks = async (language) => [...(await text('/skills.md')).matchAll(/^```(\w+)\n([\s\S]*?)\n```$/gm)].filter(([, it]) => it === language).map(([, , code]) => code);

  test('its requests with curl are answered', async () => {
    const commands = (await blocks('sh')).flatMap((block) => block.split('\n')).filter((line) => line.startsWith('curl ') && line.includes(world.url));
    assert.equal(commands.length, 3);
    for (const command of commands) {
      const { stdout } = await run('sh', ['-c', command.replace(/^curl/, 'curl -s -o /dev/null -w "%{http_code}"').replace(' -i', '')]);
      assert.equal(stdout, command.includes('/discover') ? '200' : '402', command);
    }
  });

  test('its script buys a plan, and with the other order a call', async () => {
    const [plan, order] = await blocks('js');
    const folder = mkdtempSync(join(tmpdir(), 'key0-skills-'));
    try {
      symlinkSync(nodeModules, join(folder, 'node_modules'));
      const bought = async (script) => {
        writeFileSync(join(folder, 'buy.mjs'), script);
        const { privateKey } = await world.newBuyer();
        const { stdout } = await run(process.execPath, ['buy.mjs'], { cwd: folder, env: { ...process.env, AGENT_PRIVATE_KEY: privateKey } });
        return JSON.parse(stdout);
      };
      const grant = await bought(plan);
      assert.equal(grant.type, 'AccessGrant');
      assert.equal(grant.planId, 'basic');
      const answer = await bought(plan.replace(/const order = [\s\S]*?\n {2}\}\);/, () => order));
      assert.equal(answer.type, undefined);
      assert.equal(origin.calls.at(-1).url, '/api/weather/london');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('what is switched off', () => {
  const quiet = useWorld({ backend: false, vars: { LLMS_ENABLED: 'false', SKILLS_MD_ENABLED: 'false' } });

  test('is not there, and nothing leads to it', async () => {
    for (const path of ['/llms.txt', '/skills.md']) {
      assert.equal((await fetch(quiet.url + path)).status, 404);
      for (const document of ['/', '/openapi.json']) {
        assert.ok(!(await (await fetch(quiet.url + document)).text()).includes(path), `${document} names ${path}`);
      }
    }
    assert.equal((await access(quiet.url, { planId: 'basic' })).status, 402);
  });
});
