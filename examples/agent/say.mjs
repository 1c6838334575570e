// Promises: how the agent talks to its owner. Results go to stdout; what ends it is one sentence on stderr. What a
// seller says cannot move the cursor or colour the terminal.

const painter = (stream) => (code) => (text) => (stream.isTTY && !process.env.NO_COLOR ? `\u001b[${code}m${text}\u001b[0m` : text);
const red = painter(process.stderr)('31');
export const bold = painter(process.stdout)('1');

/** An error whose message is the whole story: it is printed without a stack. */
export class Stop extends Error {}

/** Ends the agent with one sentence. @returns {never} */
export function stop(message) {
  throw new Stop(message);
}

/** @param {unknown} error @returns {never} */
export function fail(error) {
  if (error instanceof Stop) console.error(red(plain(error.message)));
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

/** Breaks a text between words, so that each line fits beside its margin. */
export function wrap(text, margin) {
  const width = Math.max(40, Math.min(process.stdout.columns || 110, 110) - margin.length);
  const lines = text.split('\n').flatMap((line) => {
    const rows = [''];
    for (const word of line.split(/ +/)) {
      const row = rows.at(-1);
      if (row && row.length + 1 + word.length > width) rows.push(word);
      else rows[rows.length - 1] = row ? `${row} ${word}` : word;
    }
    return rows;
  });
  return lines.map((line) => margin + line).join('\n');
}

export const seconds = (count) => new Promise((resolve) => setTimeout(resolve, count * 1000));
