// Promises: which part of a process's CPU time is spent in the JavaScript and WebAssembly that it runs, where Linux's perf
// is installed and may look. The rest is the runtime's: sockets, databases, compiling, the kernel.

import { spawn, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';

const SAMPLES_PER_SECOND = '499';

/**
 * Watches a process until the function that is returned is called.
 * @param {number} pid @param {string} file  for what is recorded
 * @returns {Promise<() => Promise<number | undefined>>} tells the part, 0 to 1; nothing when perf cannot
 */
export async function watch(pid, file) {
  const record = spawn('perf', ['record', '-q', '-F', SAMPLES_PER_SECOND, '-o', file, '-p', String(pid)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => record.once('error', resolve).once('close', resolve));
  return async () => {
    record.kill('SIGINT');
    await ended;
    const { status, stdout } = spawnSync('perf', ['report', '-i', file, '--sort', 'dso,symbol', '--stdio'], { encoding: 'utf8', maxBuffer: 64 << 20 });
    rmSync(file, { force: true });
    if (status !== 0) return undefined;
    const lines = [...stdout.matchAll(/^\s*([\d.]+)%\s+(\S+).*\[[.k]\] (\S+)/gm)];
    const sum = (some) => some.reduce((total, [, percent]) => total + Number(percent), 0);
    const own = lines.filter(([, , object, symbol]) => object.startsWith('[JIT]') || symbol.startsWith('Builtins_'));
    return lines.length ? sum(own) / sum(lines) : undefined;
  };
}
