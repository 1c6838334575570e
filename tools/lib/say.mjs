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
export const yellow = paint('33');

/** An error whose message is the whole story: it is printed without a stack. */
export class Stop extends Error {}

/** @param {string} text */
export function say(text = '') {
  process.stderr.write(`${text}\n`);
}

/** Shorter steps are not worth a line. */
const WORTH_A_LINE_MS = 1_000;
/** What is read on a wider terminal is still read in lines. */
const WIDEST = 100;

/**
 * Breaks a text between words, so that it fits the terminal; later lines are indented. Line ends of the text
 * stay, and so does a line that is indented: it is a command to be copied.
 * @param {string} text @param {number} [indent] @param {{columns?: number}} [out]
 */
export function wrap(text, indent = 0, out = process.stderr) {
  const width = Math.min(out.columns || 80, WIDEST) - indent;
  const lines = text.split('\n').flatMap((line) => {
    if (line.startsWith('  ')) return [line];
    const rows = [''];
    for (const word of line.split(' ')) {
      const row = rows.at(-1);
      if (row && row.length + 1 + word.length > width) rows.push(word);
      else rows[rows.length - 1] = row ? `${row} ${word}` : word;
    }
    return rows;
  });
  return lines.join(`\n${' '.repeat(indent)}`);
}

/** @param {number} ms */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/**
 * One long step with a heartbeat; nothing is said of a step that was over at once. `fn` receives `note`, which takes the latest line of output.
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
  const begin = tty ? undefined : setTimeout(() => say(`- ${title} …`), WORTH_A_LINE_MS);
  const beat = setInterval(() => (tty ? draw() : say(`    ${elapsed()}: ${last}`)), tty ? 250 : 20_000);
  try {
    const result = await fn((line) => {
      if (line.trim()) last = line.trim();
    });
    if (tty) process.stderr.write('\r\u001b[2K');
    if (Date.now() - started >= WORTH_A_LINE_MS) say(`${green('✓')} ${title} ${dim(`(${elapsed()})`)}`);
    return result;
  } catch (error) {
    if (tty) process.stderr.write('\r\u001b[2K');
    say(`${red('✗')} ${title} ${dim(`(${elapsed()})`)}`);
    throw error;
  } finally {
    clearTimeout(begin);
    clearInterval(beat);
  }
}

/** Ends the process the way every tool ends on an error. @param {unknown} error @returns {never} */
export function fail(error) {
  if (error instanceof Stop) say(red(process.stderr.isTTY ? wrap(error.message) : error.message));
  else say(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exit(1);
}
