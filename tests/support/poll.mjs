// Promises: waiting for a state instead of sleeping for luck, with a message that says what never came.

const EVERY_MS = 25;

/**
 * Calls `fn` until it gives something truthy, and returns that.
 * @template T
 * @param {() => T | Promise<T>} fn  what it throws counts as "not yet" and is told at the end
 * @param {string} what  the state waited for, for the message
 * @param {number} [deadlineMs]
 * @returns {Promise<NonNullable<T>>}
 */
export async function poll(fn, what, deadlineMs = 15_000) {
  const deadline = Date.now() + deadlineMs;
  let last;
  for (;;) {
    try {
      const value = await fn();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}
