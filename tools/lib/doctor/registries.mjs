// Promises: what the registries of x402 find at a deployment, by the published checker of one of them: the document that lists
// what is sold, its size, and the offers of some operations as they are asked for.

import { ask } from './ask.mjs';

/** Registries read no more of a document. */
const MAX_DOCUMENT_BYTES = 64_000;
/** How many operations are asked for their price; each takes two requests. */
const MOST_ASKED = 5;
const UNREAD = 'Shorten the descriptions, schemas and examples of the catalog.';

/** @typedef {{code: string, severity: string, message: string, hint?: string}} Remark */

/** @param {import('./report.mjs').Report} report @param {string} url @param {{plans: unknown[], routes?: any[]}} list of /discover */
export async function checkRegistries(report, url, list) {
  report.about('Registries');
  const discovery = await import('@agentcash/discovery').catch(() => undefined);
  if (!discovery) {
    return void report.warning('registry', 'What registries find was not checked: the package @agentcash/discovery is not installed.', 'npm ci, and look again.');
  }
  const { origin } = new URL(url);
  const before = report.findings.length;
  const { status, failure, text = '' } = await ask(new URL('/openapi.json', url));
  const length = Buffer.byteLength(text);
  if (!report.must(status === 200, 'registry', `/openapi.json is answered with ${failure ?? status}, so registries find nothing here.`, 'Deploy an unchanged worker, and let no proxy answer in its place.')) return;
  report.must(length <= MAX_DOCUMENT_BYTES, 'registry-size', `/openapi.json has ${length} bytes; registries read ${MAX_DOCUMENT_BYTES}.`, UNREAD);
  const leftOut = parsed(text)?.info?.['x-left-out'];
  if (leftOut) report.warning('registry-size', `Registries do not find all that you sell. ${leftOut}`, 'Shorten paths, or list fewer routes.');
  const found = (await discovery.getOpenAPI(origin)).unwrapOr(null);
  tell(report, discovery.getWarningsForOpenAPI(found));
  if (!found?.routes) return;
  const listed = discovery.checkL2ForOpenAPI(found);
  tell(report, discovery.getWarningsForL2(listed));
  tell(report, discovery.getWarningsForL4(discovery.checkL4ForOpenAPI(found)));
  for (const { method, path } of asked(list)) {
    const checked = await discovery.checkEndpointSchema({ url: origin + path, probe: true });
    const advisory = checked.found && checked.advisories.find((each) => each.method === method);
    if (!report.must(advisory, 'registry', `Registries do not find ${method} ${path}.`, 'Deploy an unchanged worker.')) continue;
    tell(report, discovery.getWarningsForL3(advisory), `${method} ${path}: `);
    if (advisory.paymentRequiredBody) tell(report, discovery.validatePaymentRequiredDetailed(advisory.paymentRequiredBody).issues, `${method} ${path}: `);
  }
  if (report.findings.length === before) report.ok('registry', `Registries find ${listed.routes.length} operations with their prices, and nothing wrong with them.`);
}

/** The operations to ask: the one that sells plans, and the first routes that cost something, with any text for a parameter. */
function asked({ plans, routes = [] }) {
  const paid = routes.filter(({ unitAmount }) => unitAmount).slice(0, MOST_ASKED);
  const calls = paid.map(({ method, path }) => ({ method, path: path.replace(/:[^/]+/g, 'x') }));
  return plans.length ? [{ method: 'POST', path: '/x402/access' }, ...calls] : calls;
}

/** Passes the checker's remarks on. What it only mentions is left out. @param {import('./report.mjs').Report} report @param {Remark[]} remarks */
function tell(report, remarks, about = '') {
  for (const { code, severity, message, hint } of remarks) {
    const say = { error: report.fault, warn: report.warning }[severity];
    say?.('registry', `${about}${message} (${code})`, hint ?? 'Look at what the catalog says of it.');
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
