// Promises: the doctor as a user runs it, and a meddling proxy for it to find out about.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { root } from '../../tools/lib/paths.mjs';

/**
 * @param {string[]} args
 * @returns {Promise<{code: number | null, stdout: string, stderr: string, report: any}>} `report` with --json
 */
export function runDoctor(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'tools/doctor.mjs'), ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } });
    const told = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr']) child[name].on('data', (chunk) => (told[name] += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...told, report: args.includes('--json') && told.stdout ? JSON.parse(told.stdout) : undefined }));
  });
}

/**
 * Stands in front of a worker and changes what it answers.
 * @param {() => string} target  the worker's address
 */
export async function startMeddler(target) {
  /** @type {((answer: {status: number, headers: Record<string, string>, body: string}, path: string, sent?: string) => void) | undefined} */
  let change;
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !['host', 'connection', 'content-length', 'transfer-encoding'].includes(name)));
    const body = chunks.length ? Buffer.concat(chunks) : undefined;
    const given = await fetch(target() + request.url, { method: request.method, headers, body, redirect: 'manual' });
    const answer = { status: given.status, headers: Object.fromEntries(given.headers), body: await given.text() };
    for (const name of ['content-length', 'content-encoding', 'transfer-encoding', 'connection']) delete answer.headers[name];
    change?.(answer, request.url, body?.toString());
    response.writeHead(answer.status, answer.headers).end(answer.body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** What to do with answers from now on. @param {typeof change} [how] */
    meddle: (how) => (change = how),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Changes the offer in a 402. @param {{headers: Record<string, string>}} answer @param {(offer: any) => void} change */
export function changeOffer({ headers }, change) {
  if (!headers['payment-required']) return;
  const offer = JSON.parse(Buffer.from(headers['payment-required'], 'base64').toString());
  change(offer);
  headers['payment-required'] = Buffer.from(JSON.stringify(offer)).toString('base64');
}
