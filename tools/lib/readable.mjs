// Promises: the worker's log lines about purchases as a person reads them; every other line as it is.

/** @param {string} line @returns {string} like `6e5e477c… PAID settled 0x6b79d562…` */
export function readable(line) {
  const fact = purchase(line);
  if (!fact) return line;
  const { requestId, status, change, transaction } = fact;
  return [short(requestId, 8), status, change, ...(transaction ? [short(transaction, 10)] : [])].join(' ');
}

function purchase(line) {
  if (!line.startsWith('{')) return undefined;
  try {
    const fact = JSON.parse(line);
    return fact.event === 'purchase' && fact.requestId ? fact : undefined;
  } catch {
    return undefined;
  }
}

const short = (text, length) => `${String(text).slice(0, length)}…`;
