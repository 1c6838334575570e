// Promises: buys with the tools of the seller's MCP server. One lists the plans, the other sells: its first answer is the offer,
// and the same call, made again with the payment, gets the grant. The published MCP client speaks, the published x402 client
// signs.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { comeAgain, isOpen, refused, whyBroken } from './refusal.mjs';
import { plain, seconds, stop, tell } from './say.mjs';

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
  for (const { name, description } of tools) tell(plain(`  ${name.padEnd(18)} ${description}`));
  tell();
  const { structuredContent: catalog } = await client.callTool({ name: 'discover_plans' });
  return {
    catalog,
    buy: (order, wallet) =>
      buy(client, catalog, order, wallet)
        .catch((error) => {
          const broken = whyBroken(error) ?? (error.code === 'REQUEST_TIMEOUT' ? 'The seller has not answered in time.' : undefined);
          if (broken) stop(`${broken} ${comeAgain(order.requestId)}`);
          throw error;
        })
        .finally(() => client.close()),
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
  const { structuredContent: offer } = await call();
  if (!offer?.accepts) return refused(errorIn(offer), order.requestId);
  const payment = await wallet.client(catalog.chainId).createPaymentPayload(offer).catch(wallet.explain);
  const { structuredContent: grant, _meta } = await untilOver(() => call(payment), order.requestId);
  const receipt = _meta?.['x402/payment-response'];
  return { grant, receipt: receipt ?? { transaction: grant.txHash, network: payment.accepted.network } };
}

/** Pays, and repeats the same call with the same payment while its outcome is open. */
async function untilOver(pay, requestId) {
  const end = Date.now() + PATIENCE_SECONDS * 1000;
  for (;;) {
    const result = await pay();
    const said = result.structuredContent;
    if (!result.isError && said?.accessToken !== undefined) return result;
    const error = errorIn(said);
    if (!isOpen(error) && error.details?.state !== 'PAID') return refused(error, requestId);
    const pause = Math.max(Number(error.details?.retryAfterSeconds) || PAUSE_SECONDS, 1);
    if (Date.now() + pause * 1000 > end) stop(`The purchase is still open, and the agent waits no longer. ${comeAgain(requestId)}`);
    tell(`  not over yet, asking again in ${pause} s`);
    await seconds(pause);
  }
}

/** The seller's error; an offer that comes back after a payment says in `error` why that did not count. */
const errorIn = (said) => (said?.type === 'Error' ? said : { code: 'PAYMENT_FAILED', message: `the payment did not count: ${said?.error ?? 'no reason was given'}` });
