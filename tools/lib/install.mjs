// Promises: nothing is installed outside this folder that a person has not agreed to: at a terminal it is asked for, CI=true or
// --yes counts as agreed, and otherwise the commands are shown. What has begun is finished, whatever signal comes: a package
// manager that is cut in half leaves the system broken for everybody.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { memory } from './paths.mjs';
import { Stop, say, step, wrap } from './say.mjs';
import { hold } from './shutdown.mjs';

/** What `--yes` sets, for whatever is started from here as well. */
export const YES = 'KEY0_YES';
const SIGNALS = /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']);
const LAST_LINES = 20;

const isAgreed = () => Boolean(process.env[YES]) || !['', '0', 'false'].includes(process.env.CI ?? '');

/**
 * @param {string} what        for people: "4 Debian packages: …"
 * @param {string[][]} commands  program and arguments each
 */
export async function installOutside(what, commands) {
  const shown = commands.map((command) => `  ${command.join(' ')}`).join('\n');
  if (!isAgreed() && !(await agrees(what, shown))) {
    throw new Stop(`This needs ${what}. Install that with\n${shown}\nor run this again with --yes.`);
  }
  for (const command of commands) await whole(command);
}

async function agrees(what, shown) {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  say(wrap(`This installs ${what}:`));
  say(shown);
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C or Ctrl-D at the question is a no; without these the question would stay open for ever.
  const left = new Promise((resolve) => asking.once('SIGINT', () => resolve('n')).once('close', () => resolve('n')));
  const answer = await Promise.race([asking.question('Go ahead? [Y/n] '), left]);
  asking.close();
  return /^(y|yes|)$/i.test(answer.trim());
}

/** Runs one command to its end, in a process group of its own, so that Ctrl-C in the terminal does not reach it. */
async function whole([program, ...args]) {
  mkdirSync(memory, { recursive: true });
  // A file and no pipe: it goes on when we are gone.
  const log = join(memory, `${program}.log`);
  const file = openSync(log, 'w', 0o600);
  let signalled = false;
  const onSignal = () => {
    if (!signalled) say(`\nfinishing ${program}, then stopping …`);
    signalled = true;
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  const lines = () => readFileSync(log, 'utf8').trim().split('\n');
  try {
    await hold(
      step(`${program} ${args[0]}`, async (note) => {
        const child = spawn(program, args, { detached: true, stdio: ['ignore', file, file], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
        const latest = setInterval(() => note(lines().at(-1) ?? ''), 500);
        const failure = await new Promise((resolve) => {
          child.once('error', (error) => resolve(`cannot be started (${/** @type {NodeJS.ErrnoException} */ (error).code})`));
          child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `failed (${signal ?? `exit code ${code}`})`));
        });
        clearInterval(latest);
        if (failure) throw new Stop(`${lines().slice(-LAST_LINES).join('\n')}\n${program} ${failure}.`);
      }),
    );
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    closeSync(file);
  }
  if (signalled) throw new Stop(`Stopped, after ${program} was done.`);
}
