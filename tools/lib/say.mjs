// Promises: everything a person reads while tools work goes to stderr, so that stdout stays free for results.
// A long step shows that it is alive; a failed step shows the last lines of what failed.
// Runs on Node 18 and newer, before anything is installed.

const tty = Boolean(process.stderr.isTTY) && !process.env.CI;
const colour = tty && !process.env.NO_COLOR;
const paint = (code) => (text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : String(text));

export const bold = paint('1');
export const dim = paint('2');
export const red = paint('31');
export const green = paint('32');

/** An error whose message is the whole story: it is printed without a stack. */
export class Stop extends Error {}

/** @param {string} text */
export function say(text = '') {
  process.stderr.write(`${text}\n`);
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/**
 * One long step with a heartbeat. `fn` receives `note`, which takes the latest line of output.
 * @template T
 * @param {string} title
 * @param {(note: (line: string) => void) => Promise<T>} fn
 * @returns {Promise<T>}
 */
export async function step(title, fn) {
  const started = Date.now();
  let last = '';
  const elapsed = () => duration(Date.now() - started);
  const width = () => (process.stderr.columns || 80) - 1;
  const draw = () => {
    const text = `  ${title} … ${elapsed()}  ${last}`;
    process.stderr.write(`\r\u001b[2K${text.slice(0, width())}`);
  };
  if (tty) draw();
  else say(`- ${title} …`);
  const beat = setInterval(() => (tty ? draw() : say(`    ${elapsed()}: ${last}`)), tty ? 250 : 20_000);
  try {
    const result = await fn((line) => {
      if (line.trim()) last = line.trim();
    });
    if (tty) process.stderr.write('\r\u001b[2K');
    say(`${green('✓')} ${title} ${dim(`(${elapsed()})`)}`);
    return result;
  } catch (error) {
    if (tty) process.stderr.write('\r\u001b[2K');
    say(`${red('✗')} ${title} ${dim(`(${elapsed()})`)}`);
    throw error;
  } finally {
    clearInterval(beat);
  }
}

/** Ends the process the way every tool ends on an error. @param {unknown} error @returns {never} */
export function fail(error) {
  if (error instanceof Stop) say(red(error.message));
  else say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(1);
}
