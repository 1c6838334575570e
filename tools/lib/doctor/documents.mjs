// Promises: the documents by which agents and backends find their way, and what browsers may do: each parses, has what its
// format requires, and points back to the address that was asked.

import { ask } from './ask.mjs';

const CARD_1_0 = ['name', 'description', 'version', 'supportedInterfaces', 'capabilities', 'defaultInputModes', 'defaultOutputModes', 'skills'];
const CARD_0_3 = ['name', 'description', 'version', 'url', 'protocolVersion', 'preferredTransport', 'capabilities', 'defaultInputModes', 'defaultOutputModes', 'skills'];
const REQUEST_HEADERS = ['content-type', 'authorization', 'payment-signature', 'x-payment', 'access-control-expose-headers'];
const EXPOSED_HEADERS = ['payment-required', 'payment-response', 'x-payment-response', 'retry-after'];
const UNCHANGED = 'Deploy an unchanged worker, and let no proxy in front of it change answers.';

/** @param {import('./report.mjs').Report} report @param {string} url @param {{tokenMode?: string}} [health] */
export async function checkDocuments(report, url, { tokenMode } = {}) {
  report.about('Documents');
  const { origin } = new URL(url);
  const get = async (path, headers = {}) => ({ path, ...(await ask(new URL(path, url), { headers })) });
  const card = (version, { path, status, body, failure }, members) => {
    if (!report.must(status === 200 && body && typeof body === 'object', 'agent-card', `${path} for A2A ${version} answers ${failure ?? status} without a card.`, UNCHANGED)) return;
    const missing = members.filter((member) => body[member] === undefined);
    report.must(!missing.length, 'agent-card', `${path} for A2A ${version} lacks ${missing.join(', ')}.`, UNCHANGED);
    const addresses = [body.url, ...(body.supportedInterfaces ?? []).map((entry) => entry.url)].filter(Boolean);
    const foreign = addresses.find((address) => !address.startsWith(`${origin}/`));
    report.must(!foreign, 'public-url', `${path} sends agents to ${foreign}, but was asked at ${origin}.`, 'Set KEY0_PUBLIC_URL to the address that buyers use, or leave it away.');
  };
  const paths = ['/.well-known/agent-card.json', '/.well-known/agent.json'];
  const cards = await Promise.all(paths.flatMap((path) => [get(path), get(path, { 'a2a-version': '1.0' })]));
  report.group('agent-card', 'The agent card is good for A2A 0.3 and 1.0.', () => {
    cards.forEach((answer, at) => (at % 2 ? card('1.0', answer, CARD_1_0) : card('0.3', answer, CARD_0_3)));
  });

  const [info, keys] = await Promise.all([get('/.well-known/token-info'), get('/.well-known/jwks.json')]);
  const { algorithm, issuer } = info.body ?? {};
  const tokens = tokenMode === 'remote' ? 'Your backend issues the credentials and checks them; the worker signs none for buyers.' : `Backends find out how to check tokens: ${algorithm}, issued by ${issuer}.`;
  report.group('token', tokens, () => {
    report.must(info.status === 200 && ['HS256', 'RS256'].includes(algorithm), 'token-info', `/.well-known/token-info answers ${info.failure ?? info.status} without an algorithm.`, UNCHANGED);
    report.must(issuer === undefined || issuer === origin, 'public-url', `Tokens say that ${issuer} issued them, but this is ${origin}: backends that check the issuer refuse them.`, 'Set KEY0_PUBLIC_URL to the address that buyers use, or leave it away.');
    const list = keys.body?.keys;
    report.must(keys.status === 200 && Array.isArray(list), 'jwks', `/.well-known/jwks.json answers ${keys.failure ?? keys.status} without keys.`, UNCHANGED);
    report.must(algorithm !== 'RS256' || (list?.length && list.every(({ kty, kid, n, e }) => kty === 'RSA' && kid && n && e)), 'jwks', 'Tokens are signed with RS256, and /.well-known/jwks.json has no usable key.', 'Look at KEY0_ACCESS_TOKEN_PRIVATE_KEY.');
  });
}

/** @param {import('./report.mjs').Report} report @param {string} url */
export async function checkBrowsers(report, url) {
  report.about('Browsers');
  const door = new URL('/x402/access', url);
  const origin = 'https://agent.example';
  const preflight = await ask(door, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'payment-signature' } });
  const answer = await ask(door, { json: [], headers: { origin } });
  const names = (headers, name) => (headers.get(name) ?? '').toLowerCase().split(/ *, */);
  const allows = ({ headers }) => ['*', origin].includes(headers.get('access-control-allow-origin') ?? '');
  const lacking = (list, wanted) => (list.includes('*') ? [] : wanted.filter((name) => !list.includes(name)));
  const todo = 'Let the proxy in front of the worker pass on the Access-Control-… headers, on errors and OPTIONS too.';
  report.group('cors', 'Agents in browsers may ask, pay and read the answers.', () => {
    report.must(preflight.status >= 200 && preflight.status < 300 && allows(preflight), 'cors', `A browser's preflight is answered with ${preflight.failure ?? preflight.status} and no Access-Control-Allow-Origin for it.`, todo);
    const refused = lacking(names(preflight.headers, 'access-control-allow-headers'), REQUEST_HEADERS);
    report.must(!refused.length, 'cors', `Browsers may not send ${refused.join(', ')}.`, todo);
    report.must(allows(answer), 'cors', 'Browsers may not read answers: no Access-Control-Allow-Origin.', todo);
    const hidden = lacking(names(answer.headers, 'access-control-expose-headers'), EXPOSED_HEADERS);
    report.must(!hidden.length, 'cors', `Browsers may not read the headers ${hidden.join(', ')}.`, todo);
  });
}
