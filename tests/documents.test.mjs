// Promises: what the documents show is so. The worker that README.md tells a seller to configure sells those plans.
//
//  1. Every code block has a language, and what it says is checked: code is part of a file that is compiled or run, JSON and
//     TOML parse, and each command of a shell block exists, with its options.
//  2. The requests with curl are answered by a worker with the settings of README.md.
//  3. Every link leads to a file, and to a heading in it. No sentence stands twice. No document is too long.
//  4. Each path, test title, log event and npm command that a document names exists.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse as parseToml } from 'smol-toml';
import { nodeModules, root } from '../tools/lib/paths.mjs';
import { useWorld } from './support/world.mjs';

const run = promisify(execFile);
const read = (path) => readFileSync(join(root, path), 'utf8');
const DOCUMENTS = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs')).sort().map((name) => `docs/${name}`),
];
/** Beside the validator's own, whose code blocks are doc tests. */
const LINKED = [...DOCUMENTS, 'validator/README.md'];
const MAX_LINES = { 'README.md': 180 };
/** Settled by length of its own test. */
const tree = (folder, files) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => files.test(path) && !/node_modules|\/target\//.test(path));
const EXAMPLES = tree('examples', /\.(mjs|py|rs|sh)$/).map(read);
const SOURCES = [...tree('worker', /\.rs$/), ...tree('simulation/src', /\.rs$/), ...tree('validator/src', /\.rs$/)].map(read).join('\n');
const TITLES = tree('tests', /\.test\.mjs$/).map((path) => (path.endsWith('documents.test.mjs') ? '' : read(path))).join('\n');

/** @typedef {{ document: string, line: number, language: string, text: string }} Block */
/** The fenced blocks of a document, without their indentation. @param {string} document @param {string} [text] @returns {Block[]} */
function blocksOf(document, text = read(document)) {
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)\n\1```$/gm)].map(({ index, 1: indent, 2: language, 3: body }) => ({
    document,
    line: text.slice(0, index).split('\n').length,
    language,
    text: body.split('\n').map((line) => line.slice(indent.length)).join('\n'),
  }));
}
const dedent = (text) => {
  const lines = text.split('\n').filter((line) => line.trim());
  const indent = Math.min(...lines.map((line) => /^ */.exec(line)[0].length));
  return lines.map((line) => line.slice(indent)).join('\n');
};
/** Whether code is part of a file, whatever its indentation. */
const isPartOf = (code, source) => {
  const wanted = dedent(code).split('\n');
  const lines = source.split('\n').filter((line) => line.trim());
  return lines.some((_, at) => at + wanted.length <= lines.length && dedent(lines.slice(at, at + wanted.length).join('\n')) === wanted.join('\n'));
};

const { scripts } = JSON.parse(read('package.json'));
/** What `npm run` starts, to find its options. */
const scriptFile = (name) => (name === 'agent' ? 'examples/agent/options.mjs' : `tools/${name}.mjs`);
/** What wrangler is asked to do here. */
const WRANGLER = ['secret put NAME', 'secret put', 'dev', 'tail --format json'];
const SECRETS = [...read('docs/settings.md').matchAll(/^\| `(\w+)` \(secret\)/gm)].map(([, name]) => name);
const SETTINGS = [...read('docs/settings.md').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name);

/** A package that an example has, or that other people's clients need. @param {string} word */
function packageFault(word) {
  const [, name] = /^"?([^"[]+)/.exec(word);
  if (name.startsWith('http') || name === 'mcp-remote') return undefined;
  if (word.startsWith('-')) return undefined;
  if (word.startsWith('./')) return existsSync(join(root, word, 'package.json')) ? undefined : `there is no package ${word}`;
  const manifests = tree('examples', /(package\.json|requirements\.txt)$/).map(read);
  return manifests.some((text) => text.includes(name)) ? undefined : `no example needs ${name}`;
}

/** What is wrong with a command, or undefined. @param {string} line */
function commandFault(line) {
  const [, assignments, command] = /^((?:[A-Z0-9_]+=\S+ )*)(.*)$/.exec(line);
  for (const [, name] of assignments.matchAll(/([A-Z0-9_]+)=/g)) {
    const known = [...EXAMPLES, ...Object.keys(scripts).map(scriptFile).filter((path) => existsSync(join(root, path))).map(read)];
    if (!known.some((source) => source.includes(name))) return `nothing reads ${name}`;
  }
  const installed = /^(?:npm install|pip install|npx) (?!wrangler)(.*)$/.exec(command);
  if (installed) return installed[1].split(' ').map(packageFault).find(Boolean);
  const npm = /^npm (?:run (?:--silent )?)?([\w-]+)(?: -- (.*))?$/.exec(command);
  if (npm) {
    const [, name, options = ''] = npm;
    if (!(name in scripts)) return `there is no npm command ${name}`;
    const source = existsSync(join(root, scriptFile(name))) ? read(scriptFile(name)) : '';
    const passedOn = [];
    const unknown = [...options.matchAll(/(?:^|\s)(--?[a-z-]+)/g)].map(([, option]) => option).find((option) => !source.includes(`${option} `) && !passedOn.includes(option) && option !== '--help');
    if (unknown) return `npm run ${name} has no option ${unknown}`;
    const file = /--file (\S+)/.exec(options)?.[1];
    return file && !existsSync(join(root, file)) ? `there is no ${file}` : undefined;
  }
  const wrangler = /^npx wrangler (.*?)(?: < \S+)?$/.exec(command);
  if (wrangler) {
    const secret = /^secret put ([A-Z0-9_]+)$/.exec(wrangler[1])?.[1];
    if (secret && secret !== 'NAME') return SECRETS.includes(secret) ? undefined : `${secret} is no secret`;
    return WRANGLER.includes(wrangler[1]) ? undefined : `wrangler ${wrangler[1]} is not known`;
  }
  const node = /^(?:node|sh|python3?) ([\w-]+\.(?:mjs|sh|py))/.exec(command);
  if (node) return tree('examples', /\.(mjs|py|sh)$/).some((path) => path.endsWith(`/${node[1]}`)) ? undefined : `there is no ${node[1]}`;
  if (/^node -e "/.test(command) || /^curl /.test(command) || /^openssl (rand|genpkey|ecparam) /.test(command)) return undefined; // these run below
  if (/^echo whsec_\$\(openssl rand -base64 32\)$/.test(command) || /^cargo (test$|run -p key0-validator --example inspect( -- --secret-env \w+ --chain \d+)?$)/.test(command)) return undefined;
  return `what is "${command}"?`;
}

/** What is wrong with a block, a sentence each. @param {Block} block @returns {string[]} */
function blockFaults({ document, language, text }) {
  switch (language) {
    case 'js':
    case 'python':
      return EXAMPLES.some((source) => isPartOf(text, source)) ? [] : ['is not part of a file in examples/'];
    case 'rust':
      // The sketch of a door is compared by architecture.test.mjs.
      return EXAMPLES.some((source) => isPartOf(text, source)) || document === 'docs/architecture.md' ? [] : ['is not part of a file in examples/'];
    case 'json':
      return text.split(/\n\n/).flatMap((part) => {
        try {
          JSON.parse(part);
          return [];
        } catch (error) {
          return [error.message];
        }
      });
    case 'toml':
      return Object.keys(parseToml(text)).filter((name) => !SETTINGS.includes(name)).map((name) => `${name} is no setting`);
    case 'sh':
      return text.replaceAll('\\\n', '').split('\n').map(commandFault).filter(Boolean);
    case 'mermaid':
      return /^(sequenceDiagram|stateDiagram-v2)\n/.test(text) ? [] : ['is no diagram that is known here'];
    default:
      return [`has the language "${language}", which nothing checks`];
  }
}

const faultsOf = (document, text) =>
  blocksOf(document, text).flatMap((block) => blockFaults(block).map((fault) => `${document}:${block.line}: ${fault}`));

describe('code blocks', () => {
  for (const document of DOCUMENTS) {
    test(document, () => {
      assert.deepEqual(faultsOf(document), []);
      const text = read(document);
      const fenced = text.replace(/^( *)```\w*\n[\s\S]*?\n\1```$/gm, '');
      assert.doesNotMatch(fenced, /```|~~~/, 'a fence that is not closed, or of another kind');
      assert.doesNotMatch(fenced.replace(/^(?:[-*]|\d+\.) [\s\S]*?(?=\n\S)/gm, ''), /^(?: {4}|\t)\S/m, 'code that is indented, and not fenced');
    });
  }

  test('what cannot be checked, or is wrong, is named', () => {
    for (const [block, fault] of [
      ['```\nhello\n```', /nothing checks/],
      ['```ruby\nputs 1\n```', /nothing checks/],
      ['```js\nconst pay = () => 1;\n```', /not part of a file/],
      ['```json\n{"a": 1,}\n```', /JSON/],
      ['```toml\nKEY0_WALET = "0x"\n```', /KEY0_WALET is no setting/],
      ['```sh\nnpm run buy\n```', /no npm command buy/],
      ['```sh\nnpm run doctor -- --everything\n```', /no option --everything/],
      ['```sh\nnpx wrangler secret put KEY0_NETWORK\n```', /KEY0_NETWORK is no secret/],
      ['```sh\nNO_SUCH_NAME=1 npm start\n```', /nothing reads NO_SUCH_NAME/],
      ['```sh\nrm -rf /\n```', /what is "rm/],
    ]) {
      assert.match(faultsOf('docs/x.md', block).join(), fault, block);
    }
  });
});

/** As GitHub names headings. @param {string} text */
function anchorsOf(text) {
  const seen = new Map();
  return [...text.replace(/^( *)```[\s\S]*?^\1```$/gm, '').matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const slug = plain.toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    return count ? `${slug}-${count}` : slug;
  });
}

/** Links that lead nowhere. @param {string} document @param {string} [text] */
function linkFaults(document, text = read(document)) {
  const prose = text.replace(/^( *)```[\s\S]*?^\1```$/gm, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target]) => {
    if (/^https:\/\//.test(target)) return [];
    if (/^\w+:/.test(target)) return [`${target}: only https`];
    const [path, anchor] = target.split('#');
    const file = path ? normalize(join(dirname(document), path)) : document;
    if (!existsSync(join(root, file))) return [`${target}: there is no ${file}`];
    if (anchor !== undefined && !anchorsOf(path ? read(file) : text).includes(anchor)) return [`${target}: there is no such heading`];
    return [];
  });
}

test('every link leads to a file and to a heading in it', () => {
  for (const document of LINKED) assert.deepEqual(linkFaults(document), [], document);
  for (const wrong of ['[a](docs/nowhere.md)', '[a](docs/errors.md#nothing)', '[a](#nothing)', '[a](http://example.com)']) {
    assert.equal(linkFaults('README.md', wrong).length, 1, wrong);
  }
});

test('no example has lines that only rustdoc hides', () => {
  const hidden = (text) => [...text.matchAll(/^```rust[^\n]*\n([^]*?)^```$/gm)].flatMap(([, code]) => code.match(/^\s*# .*$/gm) ?? []);
  for (const document of LINKED) assert.deepEqual(hidden(read(document)), [], document);
  assert.deepEqual(hidden('```rust\n# fn main() {\nlet a = 1;\n# }\n```'), ['# fn main() {', '# }']);
});

/** Sentences and rows of tables, as far as they say something. @param {string} text */
function sentencesOf(text) {
  const prose = text.replace(/^( *)```[\s\S]*?^\1```$/gm, '').replace(/\]\([^)]*\)/g, ']');
  const cells = prose.split('\n').map((line) => (line.startsWith('|') ? line.split('|').join('\n\n') : line.replace(/^ *(?:[-*]|\d+\.|#+) /, '\n\n'))).join('\n');
  return cells.split(/\n\s*\n|(?<=[.!?:])\s+/).map((sentence) => sentence.replace(/[\s*[\]]+/g, ' ').trim()).filter((sentence) => sentence.length >= 60);
}

test('no sentence stands twice', () => {
  const where = new Map();
  const twice = [];
  for (const document of DOCUMENTS) {
    for (const sentence of sentencesOf(read(document))) {
      if (where.has(sentence)) twice.push(`${where.get(sentence)} and ${document}: ${sentence}`);
      where.set(sentence, document);
    }
  }
  assert.deepEqual(twice, []);
});

test('no document is too long', () => {
  for (const document of DOCUMENTS) {
    const lines = read(document).trimEnd().split('\n').length;
    assert.ok(lines <= (MAX_LINES[document] ?? 250), `${document} has ${lines} lines`);
  }
});

/** What a document names that does not exist. @param {string} document @param {string} [text] */
function nameFaults(document, text = read(document)) {
  const prose = text.replace(/^( *)```[\s\S]*?^\1```$/gm, '');
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].flatMap(([, span]) => {
    if (/^(?:docs|worker|validator|simulation|tests|tools|examples|contracts)\/[\w./-]*$/.test(span)) return existsSync(join(root, span)) ? [] : [`there is no ${span}`];
    if (/^(?:npm|npx|openssl|cargo) /.test(span)) return [commandFault(span)].filter(Boolean);
    // A setting, an error code or a state.
    if (/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/.test(span)) return SETTINGS.includes(span) || SOURCES.includes(`"${span}"`) ? [] : [`nothing is called ${span}`];
    return [];
  });
  if (document !== 'docs/security.md') return spans;
  const titles = [...prose.matchAll(/^\|.*\|([^|\n]*)\|$/gm)].flatMap(([, cell]) => [...cell.matchAll(/"([^"]+)"/g)].map(([, title]) => title));
  return [...spans, ...titles.filter((title) => !TITLES.includes(title)).map((title) => `no test has the title "${title}"`)];
}

describe('what a document names exists', () => {
  for (const document of DOCUMENTS.filter((name) => name !== 'docs/architecture.md')) {
    test(document, () => assert.deepEqual(nameFaults(document), []));
  }

  test('what does not exist is named', () => {
    const wrong = 'See `docs/nowhere.md`, `npm run nothing` and `KEY0_NO_SUCH_NAME`.\n\n| a | "a title of no test" |\n';
    assert.equal(nameFaults('docs/security.md', wrong).length, 4);
  });

  test('docs/operating.md: each event of the log', () => {
    const table = /## Alerts worth having\n([\s\S]*?)\n## /.exec(read('docs/operating.md'))[1];
    const events = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell]) => [...cell.matchAll(/`([a-z]+_[a-z_]+)`/g)].map(([, event]) => event));
    assert.ok(events.length > 8);
    for (const event of events) assert.match(SOURCES, new RegExp(`"${event}"`), event);
  });
});

describe('a seller who follows README.md', () => {
  // The wallet is the reader's own: copied as it stands the address is refused, and no stranger is paid.
  const { KEY0_WALLET_ADDRESS, ...vars } = parseToml(blocksOf('README.md').find(({ language }) => language === 'toml').text);
  const catalog = blocksOf('README.md').find(({ language }) => language === 'json').text;
  // As `npm start` does, it also sells a call, which nobody here pays.
  const route = { routeId: 'weather', method: 'GET', path: '/weather/:city', unitAmount: '$0.01' };
  const world = useWorld({ backend: false, vars: { ...vars, ROUTES: JSON.stringify([route]), PROXY_TO_BASE_URL: 'http://127.0.0.1:9' }, catalog });

  test('sells these plans', async () => {
    assert.equal(KEY0_WALLET_ADDRESS, '0x…');
    const { plans } = await (await fetch(`${world.url}/discover`)).json();
    assert.deepEqual(plans.map(({ planId, unitAmount }) => [planId, unitAmount]), [['hour', '$0.015'], ['month', '$15.00']]);
    const health = await (await fetch(`${world.url}/health`)).json();
    assert.notEqual(health.status, 'misconfigured');
  });

  for (const { document, line, text } of DOCUMENTS.flatMap((name) => blocksOf(name)).filter(({ language }) => language === 'sh')) {
    const commands = text.replaceAll('\\\n', '').split('\n');
    for (const command of commands.filter((command) => command.startsWith('curl '))) {
      test(`${document}:${line}: ${command.slice(0, 60)}`, async () => {
        const here = command.replaceAll('https://YOUR-WORKER', world.url).replaceAll('http://127.0.0.1:8787', world.url).replaceAll('"basic"', '"hour"');
        const { stdout } = await run('sh', ['-c', here.replace(/^curl/, 'curl -s -o /dev/null -w "%{http_code}"')], { env: { ...process.env, KEY0_ADMIN_SECRET: world.adminSecret } });
        // There is no purchase of that name, and the path is right.
        const expected = here.includes('REQUEST-ID') ? ['400', '404'] : /\/x402\/access|\/weather\//.test(here) ? ['402'] : ['200'];
        assert.ok(expected.includes(stdout), `${here}: ${stdout}`);
      });
    }
    for (const command of commands.filter((command) => /^(node -e|openssl rand|echo whsec_)/.test(command))) {
      test(`${document}:${line}: ${command.slice(0, 60)}`, async () => {
        const { stdout } = await run('sh', ['-c', command], { cwd: root, env: { ...process.env, NODE_PATH: nodeModules } });
        assert.match(stdout, /^(0x[0-9a-f]{64} 0x[0-9a-fA-F]{40}|[0-9a-f]{64}|whsec_[A-Za-z0-9+/]{43}=)\n$/);
      });
    }
  }
});
