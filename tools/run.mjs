// Promises: `node tools/run.mjs <command> …` works on a fresh clone with any Node from 18 on. It installs the
// packages, then runs tools/<command>.mjs under a Node that is new enough, passing on signals and the exit code.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { COMMANDS, help, sayUnknown } from './lib/commands.mjs';
import { nodeModules, root } from './lib/paths.mjs';
import { installPackages, modernNode } from './lib/packages.mjs';
import { Stop, fail, say } from './lib/say.mjs';
import { watchParent } from './lib/shutdown.mjs';

async function main() {
  const [command, ...args] = process.argv.slice(2);
  if (['help', '--help', '-h', undefined].includes(command)) {
    process.stdout.write(help());
    process.exit(0);
  }
  if (!Object.hasOwn(COMMANDS, command)) {
    sayUnknown(command);
    process.exit(1);
  }
  const file = COMMANDS[command];
  if (Number(process.versions.node.split('.')[0]) < 18) {
    throw new Stop(`Node 18 or newer is needed to begin with, this is ${process.versions.node}.`);
  }
  const script = join(root, file);
  if (!existsSync(script)) throw new Stop(`"${command}" is not there yet (${file}).`);
  await installPackages();
  const node = modernNode();
  process.env.PATH = [dirname(node), join(nodeModules, '.bin'), process.env.PATH].join(':');
  process.env.WRANGLER_SEND_METRICS = 'false';
  if (node === process.execPath) {
    process.argv = [node, script, ...args];
    await import(pathToFileURL(script).href);
  } else {
    relay(node, script, args);
  }
}

/** Runs the command as a child that ends when this process does, however it ends. */
function relay(node, script, args) {
  const child = spawn(node, [script, ...args], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  if (process.env.npm_lifecycle_event) watchParent(() => child.kill('SIGTERM'));
  child.on('error', fail);
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

main().catch(fail);
