// Promises: a real EVM chain of our own on loopback that looks like Base Sepolia to the worker, or like Base: its chain id,
// and stand-ins for USDC and Multicall3 at the addresses of the real ones. Accounts hold what `mint` and `fund` give them.

import { createRequire } from 'node:module';
import { createTestClient, encodeDeployData, encodeFunctionData, http, parseEther, publicActions, walletActions } from 'viem';
import { base, baseSepolia } from 'viem/chains';
import { compileContracts } from './contracts.mjs';
import { choosePort } from './ports.mjs';
import { startProcess } from './process.mjs';
import { Stop } from './say.mjs';

/** The chains that key0 sells on, by the words of KEY0_NETWORK, and what is fixed about USDC there. */
export const NETWORKS = /** @type {const} */ ({
  testnet: {
    chainId: 84532,
    caip2: 'eip155:84532',
    usdc: '0x036CbD53842c5426634e7929541eC2318f3dCF7e',
    usdcName: 'USDC',
    domainSeparator: '0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818',
  },
  mainnet: {
    chainId: 8453,
    caip2: 'eip155:8453',
    usdc: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913',
    usdcName: 'USD Coin',
    domainSeparator: '0x02fa7265e7c5d81118673727957699e4d68f74cd74b7db77da710fe8a2c7834f',
  },
});
export const { chainId: CHAIN_ID, caip2: NETWORK, usdc: USDC_ADDRESS, domainSeparator: USDC_DOMAIN_SEPARATOR } = NETWORKS.testnet;
export const MULTICALL3_ADDRESS = '0xcA11bde05977b3631167028862bE2a173976CA11';
const READY_WITHIN_MS = 20_000;
const PULSE_MS = 1_000;

/** @typedef {Awaited<ReturnType<typeof startChain>>} Chain */

/**
 * Starts anvil with the token in place. Every transaction gets its own block at once, until `setBlockTime`; while nothing happens,
 * blocks come all the same, as on every chain.
 * @param {{port?: number, network?: keyof typeof NETWORKS, blockTime?: number, onLine?: (line: string) => void}} [options]
 *        `port` 0 or absent: any free one · `network`: which chain it looks like, absent: testnet · `blockTime`: seconds
 *        between blocks, absent: a block per transaction
 */
export async function startChain({ port: asked = 0, network = 'testnet', blockTime, onLine } = {}) {
  const { chainId, caip2, usdc: address, usdcName, domainSeparator } = NETWORKS[network];
  const contracts = await compileContracts();
  const port = await choosePort({ asked, what: 'chain', flag: '--rpc-port' });
  const url = `http://127.0.0.1:${port}`;
  const args = ['--host', '127.0.0.1', '--port', String(port), '--chain-id', String(chainId), '--color', 'never'];
  const anvil = await startProcess(anvilBinary(), args, { name: 'chain', onLine });

  const transport = http(url, { retryCount: 0, timeout: 10_000 });
  const client = createTestClient({ chain: network === 'mainnet' ? base : baseSepolia, mode: 'anvil', transport, pollingInterval: 50, cacheTime: 0 })
    .extend(publicActions)
    .extend(walletActions);
  await answering(anvil, client);
  const [banker] = await client.getAddresses();

  // One send at a time: anvil counts nonces for its own accounts, and two at once would get the same.
  let sending = Promise.resolve();
  const inTurn = (send) => {
    const sent = sending.then(send);
    sending = sent.catch(() => {});
    return sent;
  };
  /** Sends from an account that anvil holds the key of, and waits for success. */
  const transact = async (request) => {
    const hash = await inTurn(() => client.sendTransaction({ account: banker, ...request }));
    const receipt = await client.waitForTransactionReceipt({ hash, timeout: 30_000 });
    if (receipt.status !== 'success') throw new Error(`transaction ${hash} reverted`);
    return receipt;
  };
  const { abi, bytecode } = contracts.LocalUsdc;
  const usdc = { address, abi };
  const writeUsdc = (functionName, args) =>
    transact({ to: address, data: encodeFunctionData({ abi, functionName, args }) });
  // No block is less than a second later than the one before, so a chain that is ahead of the clock beats half as often.
  let pulse;
  let beating = Promise.resolve();
  let beats = 0;
  const beat = async () => {
    const { timestamp } = await client.getBlock();
    const isAhead = Number(timestamp) >= Math.floor(Date.now() / 1000);
    beats += 1;
    if (pulse && (!isAhead || beats % 2 === 0)) await client.mine({ blocks: 1 });
  };
  const setPulse = async (on) => {
    clearInterval(pulse);
    pulse = on ? setInterval(() => (beating = beating.then(beat).catch(() => {})), PULSE_MS).unref() : undefined;
    await beating;
  };
  const setBlockTime = async (seconds) => {
    await setPulse(seconds === 0);
    // An interval of 0 means no blocks at all, so a block per transaction is asked for after it.
    await client.setIntervalMining({ interval: seconds });
    await client.request({ method: 'evm_setAutomine', params: [seconds === 0] });
  };

  const standIns = [
    [address, encodeDeployData({ abi, bytecode, args: [usdcName] })],
    [MULTICALL3_ADDRESS, contracts.LocalMulticall3.bytecode],
  ];
  for (const [at, data] of standIns) {
    const { data: code } = await client.call({ data });
    await client.setCode({ address: at, bytecode: code });
  }
  const separator = await client.readContract({ ...usdc, functionName: 'DOMAIN_SEPARATOR' });
  if (separator !== domainSeparator) throw new Stop(`The USDC stand-in has the wrong domain separator ${separator}.`);
  if (blockTime) await setBlockTime(blockTime);
  else await setPulse(true);

  return {
    ...anvil,
    stop: async () => {
      await setPulse(false);
      await anvil.stop();
    },
    url,
    port,
    chainId,
    network: caip2,
    usdc,
    contracts,
    /** viem client with public, wallet and test actions; also sends for anvil's own accounts. */
    client,
    transact,
    /** @param {string} to @param {bigint} microUsdc */
    mint: (to, microUsdc) => writeUsdc('mint', [to, microUsdc]),
    /** @param {string} account @param {boolean} blocked */
    blacklist: (account, blocked = true) => writeUsdc('setBlacklisted', [account, blocked]),
    /** @param {string} address @param {string} eth decimal, replaces the balance */
    fund: (address, eth) => client.setBalance({ address, value: parseEther(eth) }),
    /** @param {string} address @returns {Promise<bigint>} micro-USDC */
    usdcBalance: (address) => client.readContract({ ...usdc, functionName: 'balanceOf', args: [address] }),
    /** Every USDC transfer on this chain, oldest first. @param {{from?: string, to?: string}} [args] */
    transfers: (args) =>
      client.getContractEvents({ ...usdc, eventName: 'Transfer', args, fromBlock: 0n, toBlock: 'latest', strict: true }),
    /** @param {number} seconds 0: a block per transaction */
    setBlockTime,
    /** One block, and then none but those asked for with `mine`. */
    holdBlocks: async () => {
      await setPulse(false);
      await client.mine({ blocks: 1 });
      await client.setIntervalMining({ interval: 0 });
      await client.request({ method: 'evm_setAutomine', params: [false] });
    },
    mine: (blocks = 1) => client.mine({ blocks }),
    /** @param {keyof typeof contracts} name @param {unknown[]} args @returns {Promise<`0x${string}`>} address */
    deploy: async (name, args = []) => {
      const { abi, bytecode } = contracts[name];
      const receipt = await transact({ data: encodeDeployData({ abi, bytecode, args }) });
      return receipt.contractAddress;
    },
  };
}

/** anvil's program inside the packages. */
function anvilBinary() {
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${arch}`;
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/anvil`);
  } catch {
    throw new Stop(`The chain program anvil is not packaged for ${process.platform}-${process.arch} (${name} is not installed).`);
  }
}

async function answering(anvil, client) {
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    if (!anvil.alive()) throw new Stop(`The chain ended at start (${await anvil.ended}): ${anvil.logs.at(-1) ?? 'it said nothing'}`);
    try {
      await client.getChainId();
      return;
    } catch (error) {
      if (Date.now() > deadline) {
        await anvil.kill();
        throw new Stop(`The chain did not answer within ${READY_WITHIN_MS / 1000} s: ${error.message.split('\n')[0]}`);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
