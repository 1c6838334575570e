// Promises: how the agent talks to its owner. Results go to stdout; what ends it is one sentence on stderr. What a
// seller says cannot move the cursor or colour the terminal.

/** Where words go: stdout belongs to the result alone when a program reads it. */
let words = process.stdout;
export const wordsToStderr = () => void (words = process.stderr);

const painter = (stream) => (code) => (text) => (stream().isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text);
const red = painter(() => process.stderr)('31');
export const bold = painter(() => words)('1');

/** One thing that happened, for a person. @param {string} [text] */
export const tell = (text = '') => void words.write(`${text}\n`);

/** An error whose message is the whole story: it is printed without a stack. `answer`: what the seller sent, for programs. */
export class Stop extends Error {
  /** @param {string} message @param {unknown} [answer] */
  constructor(message, answer) {
    super(message);
    this.answer = answer;
  }
}

/** Ends the agent with one sentence. @param {string} message @param {unknown} [answer] @returns {never} */
export function stop(message, answer) {
  throw new Stop(message, answer);
}

/** @param {unknown} error @returns {never} */
export function fail(error) {
  if (error instanceof Stop) console.error(red(process.stderr.isTTY ? wrap(plain(error.message), '', process.stderr) : plain(error.message)));
  else console.error(error);
  process.exit(1);
}

/** A stranger's text without control characters; only line ends stay. */
export const plain = (text) => String(text).replace(/[^\P{Cc}\n]/gu, '');

/** JSON reads better over several lines. */
export function indent(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2).replace(/^/gm, '  ');
  } catch {
    return text.replace(/^/gm, '  ');
  }
}

/**
 * Breaks a text between words, so that each line fits beside its margin. The first line begins where the cursor is when
 * `hangs`: only later ones are indented.
 */
export function wrap(text, margin, out = words, hangs = false) {
  const width = Math.max(40, Math.min(out.columns || 110, 110) - margin.length);
  const lines = text.split('\n').flatMap((line) => {
    const rows = [''];
    for (const word of line.split(/ +/)) {
      const row = rows.at(-1);
      if (row && row.length + 1 + word.length > width) rows.push(word);
      else rows[rows.length - 1] = row ? `${row} ${word}` : word;
    }
    return rows;
  });
  return lines.map((line, at) => (hangs && !at ? line : margin + line)).join('\n');
}

export const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000));
