// Promises: what a check-up finds, in the order in which it looks, for a person and for a program. Each finding is good, a
// warning or a fault; what is not good says in one sentence what to do next.

import { wrap } from '../say.mjs';

const MARKS = { ok: '✓', warning: '!', fault: '✗' };
const COLOURS = { ok: '32', warning: '33', fault: '31' };

/**
 * @typedef {'ok' | 'warning' | 'fault'} Result
 * @typedef {{section: string, check: string, result: Result, message: string, todo?: string}} Finding
 * @typedef {ReturnType<typeof newReport>} Report
 */

export function newReport() {
  /** @type {Finding[]} */
  const findings = [];
  let section = '';
  const add = (result) => (check, message, todo) => {
    findings.push({ section, check, result, message, ...(todo && { todo }) });
  };
  const [ok, warning, fault] = [add('ok'), add('warning'), add('fault')];
  return {
    findings,
    /** What the next findings are about. @param {string} name */
    about(name) {
      section = name;
    },
    /** @type {(check: string, message: string) => void} */
    ok,
    /** @type {(check: string, message: string, todo: string) => void} */
    warning,
    /** @type {(check: string, message: string, todo: string) => void} */
    fault,
    /**
     * One thing that must hold; nothing more is said when it does.
     * @param {unknown} holds @param {string} check @param {string} message @param {string} todo
     */
    must(holds, check, message, todo) {
      if (!holds) fault(check, message, todo);
      return Boolean(holds);
    },
    /** How many there are of a kind so far. @param {Result} result */
    count: (result) => findings.filter((finding) => finding.result === result).length,
    /** Says that a group of `must` was good, if it was. @param {string} check @param {string} message @param {() => void} group */
    group(check, message, group) {
      const before = findings.length;
      group();
      if (findings.length === before) ok(check, message);
    },
  };
}

/** @param {Report} report @param {NodeJS.WriteStream} out */
export function print(report, out) {
  const colour = out.isTTY && !process.env.NO_COLOR;
  const paint = (code, text) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  let section = '';
  report.findings.forEach((finding, at) => {
    if (finding.section !== section) out.write(`\n${paint('1', finding.section)}\n`);
    section = finding.section;
    out.write(`  ${paint(COLOURS[finding.result], MARKS[finding.result])} ${wrap(finding.message, 4, out)}\n`);
    // The same advice for several in a row is read once, below the last.
    const next = report.findings[at + 1];
    const isRepeated = next?.section === finding.section && next.todo === finding.todo;
    if (finding.todo && !isRepeated) out.write(`    ${paint('2', '→')} ${wrap(finding.todo, 6, out)}\n`);
  });
  const counted = (result, word) => {
    const count = report.count(result);
    return count ? paint(COLOURS[result], `${count} ${word}${count === 1 ? '' : 's'}`) : `no ${word}s`;
  };
  out.write(`\n${counted('fault', 'fault')}, ${counted('warning', 'warning')}\n`);
}
