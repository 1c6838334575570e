// Promises: a table as docs/benchmarks.md has it, so that what is printed can stand there as it is.

/** @param {string[]} head @param {string[][]} rows @returns {string} */
export function table(head, rows) {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n');
}

/** A number with one decimal, or with what makes a small one more than nothing. @param {number} value */
export function figure(value) {
  if (value === 0) return '0';
  return value < 0.095 ? value.toPrecision(1) : value.toFixed(1);
}
