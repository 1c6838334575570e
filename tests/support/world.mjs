// Promises: a world of its own for each test file: real chain, real runtime, real backend on free ports, with a
// fault proxy in front of the chain. Afterwards nothing is left, and no line of any worker's log is a panic.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { startWorker } from '../../tools/lib/worker.mjs';
import { startWorld, testAccount } from '../../tools/lib/world.mjs';
import { startRpcProxy } from './rpc-proxy.mjs';

/**
 * Call it at the top of a test file; what it returns is filled before the first test runs.
 * @param {Partial<Parameters<typeof startWorld>[0]>} [options]  as for `startWorld`; `vars` are the worker's settings
 * @param {(world: TestWorld) => Promise<void>} [prepare]  what else must have happened before the first test (node:test
 *        does not wait for one hook before it begins the next)
 */
export function useWorld(options = {}, prepare) {
  const world = new TestWorld(options);
  before(async () => {
    await world.start();
    await prepare?.(world);
  });
  after(() => world.end());
  return world;
}

/** A worker for which no test may find a panic in the log. */
export class TestWorld {
  #options;
  #world;
  #workers = [];
  #state = mkdtempSync(join(tmpdir(), 'key0-test-'));

  constructor(options) {
    this.#options = options;
  }

  async start() {
    const rpcUrl = async (chainUrl) => {
      this.rpc = await startRpcProxy(chainUrl);
      return this.rpc.url;
    };
    this.#world = await startWorld({ buyers: 1, ...this.#options, state: this.#state, rpcUrl });
    this.#workers.push(this.#world.worker);
  }

  /** The worker's address; stays the same across restarts. */
  get url() {
    return this.#world.worker.url;
  }
  get chain() {
    return this.#world.chain;
  }
  get backend() {
    return this.#world.backend;
  }
  get seller() {
    return this.#world.seller;
  }
  get gasWallet() {
    return this.#world.gasWallet;
  }
  get tokenSecret() {
    return this.#world.tokenSecret;
  }
  get adminSecret() {
    return this.#world.adminSecret;
  }
  /** Everything the worker was told, secrets included. */
  get settings() {
    return this.#world.settings;
  }
  /** The folder that holds the worker's storage. */
  get state() {
    return this.#state;
  }
  /** The runtime that runs now. */
  get worker() {
    return this.#workers.at(-1);
  }
  /** Every line that any worker of this world wrote. @returns {string[]} */
  get logs() {
    return this.#workers.flatMap(({ logs }) => logs);
  }

  /** A wallet of its own for one test. @param {bigint} [microUsdc] */
  async newBuyer(microUsdc = 1_000_000_000n) {
    const buyer = testAccount();
    if (microUsdc) await this.chain.mint(buyer.address, microUsdc);
    return buyer;
  }

  /** Leaves the gas wallet enough ether for a payment at today's base fee, and too little for the fee that it offers. */
  async starveGasWallet() {
    const { baseFeePerGas } = await this.chain.client.getBlock();
    await this.chain.client.setBalance({ address: this.gasWallet.address, value: baseFeePerGas * 150_000n });
  }

  /** SIGKILL: the runtime gets no chance to finish anything. */
  async killWorker() {
    await this.worker.kill();
  }

  /**
   * Starts the runtime again on the same storage and port.
   * @param {Record<string, string>} [vars] changed settings
   * @param {string} [outbound] host and port of a server that gets all of the worker's calls
   * @param {string} [entry] the text of a module that runs in place of the worker's own
   */
  async restartWorker(vars = {}, outbound, entry) {
    if (this.worker.alive()) await this.worker.stop();
    const env = { ...this.#world.settings, ...vars };
    this.#workers.push(await startWorker({ port: this.#world.worker.port, state: this.#state, env, outbound, entry }));
  }

  async end() {
    try {
      await this.worker?.stop();
      await this.#world?.stop();
      await this.rpc?.close();
    } finally {
      rmSync(this.#state, { recursive: true, force: true });
    }
    const panics = this.logs.filter((line) => line.includes('panicked at'));
    assert.deepEqual(panics, [], 'the worker panicked');
  }
}
