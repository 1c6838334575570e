// Promises: buys with the tools of the seller's MCP server. One lists the plans, the other sells: its first answer is the offer,
// and the same call, made again with the payment, gets the grant. The published MCP client speaks, the published x402 client
// signs.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { comeAgain, isOpen, refused, tellWait, whyBroken } from './refusal.mjs';
import { Stop, plain, seconds, stop, tell, wrap } from './say.mjs';

/** How long a purchase may stay open before its owner is asked to come again. */
const PATIENCE_SECONDS = 120;
const PAUSE_SECONDS = 2;

export async function meet(url) {
  const server = await find(url);
  const client = new Client({ name: 'key0-agent', version: '0.1.0' }, { versionNegotiation: { mode: 'auto' } });
  const door = server.transport.url;
  await client.connect(new StreamableHTTPClientTransport(new URL(door))).catch((error) => stop(`The MCP server ${door} does not answer: ${error.message}`));
  tell(plain(`${server.name} speaks MCP ${client.getNegotiatedProtocolVersion()} at ${door}`));
  const { tools } = await client.listTools();
  for (const { name, description } of tools) {
    const row = plain(`  ${name.padEnd(16)}  `);
    tell(row + wrap(plain(description), ' '.repeat(row.length), undefined, true));
  }
  tell();
  const { structuredContent: catalog } = await client.callTool({ name: 'discover_plans' });
  return {
    catalog,
    buy: (order, wallet) => buy(client, catalog, order, wallet).finally(() => client.close()),
  };
}

/** Where the seller's MCP server is. */
async function find(url) {
  const answer = await fetch(`${url}/.well-known/mcp.json`).catch(() => stop(`Nothing answers at ${url}. Is the worker running?`));
  const server = answer.ok ? await answer.json().catch(() => undefined) : undefined;
  return server?.transport?.url ? server : stop(`${url} has no MCP server. Without --via mcp the agent buys over HTTP.`);
}

async function buy(client, catalog, order, wallet) {
  const call = (payment) =>
    client.callTool({ name: 'request_access', arguments: JSON.parse(JSON.stringify(order)), ...(payment && { _meta: { 'x402/payment': payment } }) });
  const asked = await call().catch((error) => stop(`The seller makes no offer. ${why(error)}`));
  const { structuredContent: offer } = asked;
  if (isAnswer(offer)) return { grant: offer };
  if (!offer?.accepts) return refused(errorIn(asked) ?? stop('The seller makes no offer, and does not say why.'), order.requestId);
  const payment = await wallet.client(catalog, order).createPaymentPayload(offer).catch(wallet.explain);
  const { structuredContent: grant, _meta } = await untilOver(() => call(payment), order.requestId).catch((error) => {
    if (error instanceof Stop) throw error;
    return stop(`${why(error)} What became of the payment is not known. ${comeAgain(order.requestId)}`);
  });
  const receipt = _meta?.['x402/payment-response'];
  return { grant, receipt: receipt ?? (grant.txHash && { transaction: grant.txHash, network: payment.accepted.network }) };
}

/** Whether this is an answer of the seller's API. */
const isAnswer = (said) => said?.type === 'ResourceResponse';

/** Pays, and repeats the same call with the same payment while its outcome is open. */
async function untilOver(pay, requestId) {
  const end = Date.now() + PATIENCE_SECONDS * 1000;
  for (;;) {
    const result = await pay().catch((error) => {
      if (!isBusy(error)) throw error;
      return { isError: true, structuredContent: { type: 'Error', code: 'SETTLEMENT_PENDING' } };
    });
    const said = result.structuredContent;
    if (isAnswer(said) || (!result.isError && said?.accessToken !== undefined)) return result;
    const error = errorIn(result) ?? stop(`The seller's answer is not understood, so what became of the payment is not known. ${comeAgain(requestId)}`);
    if (!isOpen(error) && error.details?.state !== 'PAID') return refused(error, requestId);
    const pause = Math.max(Number(error.details?.retryAfterSeconds) || PAUSE_SECONDS, 1);
    if (Date.now() + pause * 1000 > end) stop(`The purchase is still open, and the agent waits no longer. ${comeAgain(requestId)}`);
    tellWait(error, pause);
    await seconds(pause);
  }
}

/**
 * The seller's error. An offer that comes back after a payment says in `error` why that did not count, and sellers like this one
 * say it in words in a second text. With an offer nothing is open, whatever that text says.
 */
function errorIn({ structuredContent: said, content }) {
  if (said?.type === 'Error') return said;
  if (!said?.accepts) return undefined;
  const told = content?.slice(1).map(({ text }) => parsed(text)).find((error) => error?.type === 'Error' && !isOpen(error));
  return told ?? { code: 'PAYMENT_FAILED', message: `the payment did not count: ${said.error}` };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether the seller, or a proxy before it, has answered without reading the call: it may be made again. */
const isBusy = ({ data }) => data?.status === 429 || data?.status >= 500;

/** Why a call has no result, in one sentence. */
function why(error) {
  if (error.code === 'REQUEST_TIMEOUT') return 'The seller has not answered in time.';
  return whyBroken(error) ?? `The seller's answer is not understood (${plain(error.message).split('\n', 1)[0].slice(0, 200)}).`;
}
