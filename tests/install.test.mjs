// Tools outside this folder are installed only after the user has agreed, and an installation is never cut short. The package
// manager is a stand-in that records its arguments and takes a while.
//
//  1. Without a terminal nothing is installed: one sentence says what is needed, and the commands.
//  2. At a terminal it is asked for; "n" installs nothing, "y" does.
//  3. --yes and CI=true count as agreed; CI=false does not.
//  4. Ctrl-C in the middle: the package manager comes to its end first, and then the tool ends.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { root } from '../tools/lib/paths.mjs';
import { poll } from './support/poll.mjs';

const folder = mkdtempSync(join(tmpdir(), 'key0-install-'));
const programs = join(folder, 'bin');
const told = join(folder, 'told');
const installed = join(folder, 'installed');
mkdirSync(programs);
after(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => [told, installed].forEach((file) => rmSync(file, { force: true })));

const stub = (name, script) => {
  writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(programs, name), 0o755);
};
stub('apt-get', `[ "$1" = --version ] && exit 0\necho "begin $*" >> '${told}'\nsleep 1\necho "end $1" >> '${told}'\n[ "$1" = update ] || touch '${installed}'`);
stub('dpkg', `[ -e '${installed}' ]`);
stub('id', 'echo 0');

const IS_ROOT = process.getuid?.() === 0;
const WHOLE = ['begin update -q', 'end update', 'begin install -yq --no-install-recommends rustc-web cargo-web rust-web-src lld-19', 'end install'];
const calls = () => (existsSync(told) ? readFileSync(told, 'utf8').trim().split('\n') : []);

/** The build, on a machine whose Rust cannot make WebAssembly yet. */
function build({ args = [], ci, terminal = false } = {}) {
  const { npm_lifecycle_event: _, CI: __, KEY0_YES: ___, ...env } = process.env;
  Object.assign(env, { PATH: `${programs}:${process.env.PATH}`, CARGO_TARGET_DIR: join(folder, 'target'), WASM_TOOLCHAIN_DIR: join(folder, 'cache'), WASM_TOOLCHAIN_NO_RUSTUP: '1' });
  if (ci !== undefined) env.CI = ci;
  const command = [process.execPath, join(root, 'tools/build.mjs'), ...args];
  const [program, ...rest] = terminal ? ['script', '-qec', command.join(' '), '/dev/null'] : command;
  // A group of its own, as a terminal gives it, so that Ctrl-C reaches all of it.
  const child = spawn(program, rest, { cwd: root, env, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  const said = { text: '' };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said.text += text));
  const ended = new Promise((resolve) => child.on('close', resolve));
  return { child, said, ended };
}

test('without a terminal nothing is installed, and the commands are shown', { skip: !IS_ROOT }, async () => {
  for (const ci of [undefined, 'false']) {
    const { said, ended } = build({ ci });
    assert.equal(await ended, 1);
    assert.match(said.text, /This needs 4 Debian packages and what they depend on, with\s+apt-get\./);
    assert.match(said.text, /^ {2}apt-get update -q$/m);
    assert.match(said.text, /or run this again with --yes\./);
    assert.deepEqual(calls(), []);
  }
});

test('at a terminal it is asked for', { skip: !IS_ROOT }, async () => {
  for (const [answer, expected] of [['n\n', []], ['\x03', []], ['y\n', WHOLE]]) {
    const { child, said, ended } = build({ terminal: true });
    await poll(() => said.text.includes('Go ahead? [Y/n]'), 'the question');
    child.stdin.write(answer);
    await poll(() => /again with --yes|\/usr\/bin\/rustc|sysroot|end install/.test(said.text + calls().join()), `an end after ${JSON.stringify(answer)}: ${said.text}`, 20_000);
    if (answer === 'y\n') process.kill(-child.pid, 'SIGKILL');
    await ended;
    assert.deepEqual(calls(), expected);
  }
});

test('--yes and CI=true count as agreed, and Ctrl-C cuts no installation in half', { skip: !IS_ROOT }, async () => {
  for (const options of [{ args: ['--yes'] }, { ci: 'true' }]) {
    [told, installed].forEach((file) => rmSync(file, { force: true }));
    const { child, said, ended } = build(options);
    await poll(() => calls().length === 3, `the installation begins: ${said.text}`, 20_000);
    process.kill(-child.pid, 'SIGINT');
    assert.equal(await ended, 1);
    assert.deepEqual(calls(), WHOLE);
    assert.match(said.text, /finishing apt-get, then stopping …/);
    assert.match(said.text, /Stopped, after apt-get was done\./);
  }
});
