// Promises: the published MCP conformance suites, held against a running worker. Every scenario for servers that a suite knows is
// either run, or left out for a reason that stands here; a new one must be decided on before the suite passes. Of a scenario that
// is run, every check must succeed but for those that stand here with their reason.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeModules } from './paths.mjs';
import { Stop } from './say.mjs';

const SCENARIO_SECONDS = 30;
const NO_TOOL = 'calls a tool of the suite’s own example server, which a shop does not have';
const NO_CAPABILITY = 'is about a capability that is not declared: there are tools only';
const NO_STREAM = 'is about event streams: every answer is one JSON object';
const NO_EXTENSION = 'is about an extension that is not declared';

/** Left out in both suites. @type {[RegExp, string][]} */
const LEFT_OUT = [
  [/^(logging-|completion-|resources-|prompts-|sep-2164-)/, NO_CAPABILITY],
  [/^(tools-call-|json-schema-2020-12$|elicitation-)/, NO_TOOL],
  [/^server-sse-polling$/, NO_STREAM],
  [/^input-required-result-(?!unsupported-methods$)/, NO_TOOL],
  [/^http-custom-header-server-validation$/, 'needs a tool whose arguments are repeated in headers, which is optional'],
  [/^(tasks-|sep-2640-)/, NO_EXTENSION],
];

/**
 * @typedef {{name: string, package: string, versions: Record<string, string[]>, without: Record<string, string>, except: Record<string, string>}} Suite
 * `without`: scenarios left out in this suite alone · `except`: checks that may fail; both by name, with the reason
 */

/** What is run, by the version of the protocol that is spoken. @type {Suite[]} */
export const SUITES = [
  {
    name: 'the conformance suite',
    package: '@modelcontextprotocol/conformance',
    versions: {
      '2025-06-18': ['server-initialize', 'ping', 'tools-list'],
      '2025-11-25': ['server-initialize', 'ping', 'tools-list', 'dns-rebinding-protection'],
    },
    without: { 'server-sse-multiple-streams': 'wants a session; the next suite runs it without one' },
    except: {},
  },
  {
    name: 'the next conformance suite',
    package: 'mcp-conformance-next',
    versions: {
      '2025-11-25': ['server-initialize', 'server-session-lifecycle', 'ping', 'tools-list', 'dns-rebinding-protection'],
      '2026-07-28': [
        'server-stateless',
        'tools-list',
        'dns-rebinding-protection',
        'caching',
        'http-header-validation',
        'input-required-result-unsupported-methods',
        'server-sse-multiple-streams',
      ],
    },
    without: {},
    except: {
      'sep-2575-server-rejects-undeclared-capability': NO_TOOL,
      'sep-2575-missing-capability-http-400': NO_TOOL,
      'sep-2575-http-server-no-independent-requests-on-stream': NO_STREAM,
      'sep-2575-server-no-log-without-loglevel': NO_TOOL,
      'sep-2549-prompts-list-caching-hints': NO_CAPABILITY,
      'sep-2549-resources-list-caching-hints': NO_CAPABILITY,
      'sep-2549-resources-templates-list-caching-hints': NO_CAPABILITY,
    },
  },
];

/** The scenarios of a suite that nobody has decided on. @param {Suite} suite @returns {Promise<string[]>} */
export async function undecided(suite) {
  const { out } = await run(suite, ['list', '--server']);
  const known = [...out.split('Client scenarios')[0].matchAll(/^ {2}- (\S+)/gm)].map(([, name]) => name);
  if (!known.length) throw new Stop(`${suite.name} lists no scenarios:\n${out}`);
  const isRun = new Set(Object.values(suite.versions).flat());
  return known.filter((name) => !isRun.has(name) && !(name in suite.without) && !LEFT_OUT.some(([pattern]) => pattern.test(name)));
}

/**
 * Runs one scenario. @param {Suite} suite @param {string} version @param {string} scenario @param {string} url the MCP door
 * @returns {Promise<{passed: number, failed: string[]}>} how many checks succeeded, and what is wrong with the others
 */
export async function runScenario(suite, version, scenario, url) {
  const folder = mkdtempSync(join(tmpdir(), 'key0-conformance-'));
  try {
    const { out } = await run(suite, ['server', '--url', url, '--scenario', scenario, '--spec-version', version, '--output-dir', folder]);
    const file = readdirSync(folder, { recursive: true }).find((name) => String(name).endsWith('checks.json'));
    if (!file) return { passed: 0, failed: [`it did not run: ${out.trim()}`] };
    const checks = JSON.parse(readFileSync(join(folder, String(file)), 'utf8'));
    const failed = checks.filter(({ id, status }) => (status === 'FAILURE' || status === 'WARNING') && !(id in suite.except));
    return {
      passed: checks.filter(({ status }) => status === 'SUCCESS').length,
      failed: failed.map(({ id, errorMessage, description }) => `${id}: ${errorMessage ?? description}`),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {Suite} suite @param {string[]} args @returns {Promise<{out: string}>} */
function run(suite, args) {
  return new Promise((resolve, reject) => {
    const script = join(nodeModules, suite.package, 'dist', 'index.js');
    const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: SCENARIO_SECONDS * 1000 });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk));
    child.on('error', (error) => reject(new Stop(`${suite.name} cannot be started (${error.message}).`)));
    child.on('close', () => resolve({ out }));
  });
}
