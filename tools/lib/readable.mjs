// Promises: what the worker logs, as a person wants to read it: one line for each thing that happened to a purchase, one
// sentence for what failed. Steps in between are left out; `--verbose` shows every line as it is.

/** The runtime's own lines about a call that failed, with the stack. The worker says it too, and knows whom it called. */
const RUNTIME_NOISE = /^workerd\/jsg\/util\.c\+\+|^workerd\/.*Error: the answer was cut$|^stack: /;

/** Keeps in mind when each purchase began. @returns {(line: string) => string | undefined} `undefined`: not for people */
export function newReader() {
  const begun = new Map();
  return (line) => {
    const fact = factIn(line);
    if (!fact) return RUNTIME_NOISE.test(line) ? undefined : line;
    if (fact.event !== 'purchase') return failure(fact);
    const { requestId } = fact;
    const known = begun.get(requestId) ?? { at: Date.now() };
    if (fact.change === 'settled' && fact.status === 'PAID') known.transaction = fact.transaction;
    if (fact.change === 'calling' || fact.change === 'answered') known.calls = fact.change === 'calling';
    begun.set(requestId, known);
    const said = sentence(fact, known);
    if (/^(DELIVERED|REFUNDED|EXPIRED|CANCELLED)$/.test(fact.status)) begun.delete(requestId);
    return said;
  };
}

function factIn(line) {
  if (!line.startsWith('{')) return undefined;
  try {
    const fact = JSON.parse(line);
    return typeof fact?.event === 'string' ? fact : undefined;
  } catch {
    return undefined;
  }
}

function sentence({ change, status, target, amount, payer, transaction }, { at, transaction: paid, calls }) {
  const who = short(payer);
  switch (change) {
    case 'issued':
    case 'streamed':
    case 'buyer_left': {
      const took = `${((Date.now() - at) / 1000).toFixed(1)} s`;
      return [`${target} ${amount} by ${who}`, paid && `paid ${short(paid)}`, `delivered in ${took}`].filter(Boolean).join(' · ');
    }
    case 'attempt_failed':
      if (status !== 'PENDING') return undefined;
      return calls ? `${target} by ${who}: your API gave no answer that is charged for` : `${target} ${amount}: the payment by ${who} was not settled`;
    case 'issue_failed':
      return `${target} ${amount} paid by ${who}: ${calls ? 'your API gave no answer that is charged for' : 'the backend did not deliver it'}`;
    case 'stream_cut':
    case 'stream_too_long':
    case 'stream_silent':
    case 'stream_lost':
      return `${target} ${amount} paid by ${who}: the answer was cut`;
    case 'refund_begun':
      return `${target} ${amount}: the money goes back to ${who}`;
    case 'refund_blocked':
      return `${target} ${amount}: the refund to ${who} failed`;
    case 'settled':
      return status === 'REFUNDED' ? `${target} ${amount} went back to ${who} · ${short(transaction)}` : undefined;
    case 'notice_given_up':
      return `${target} ${amount} of ${who}: the backend was not told, it did not answer`;
    default:
      return undefined;
  }
}

/** What the purchase's own line, or that of the call, says already. */
const REPEATED = (event, detail) => event === 'issue_failed' || (event === 'notice_failed' && detail === 'no answer');

const FAILURES = {
  backend_call_failed: 'the backend does not answer',
  notice_failed: 'the backend does not take a notification',
  rpc_endpoint_skipped: 'an RPC endpoint does not answer',
  facilitator_moved: 'the facilitator has moved',
  sweep_failed: 'the hourly sweep failed',
  unsafe_setting: 'a setting is unsafe',
};

function failure({ event, detail, url, ...rest }) {
  if (REPEATED(event, detail)) return undefined;
  const what = `${FAILURES[event] ?? event.replaceAll('_', ' ')}${url ? ` at ${url}` : ''}`;
  return `${what}${detail ? `: ${String(detail).replace(/^Error: /, '')}` : Object.keys(rest).length ? ` ${JSON.stringify(rest)}` : ''}`;
}

const short = (text) => `${String(text).slice(0, 6)}…`;
