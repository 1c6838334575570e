// Promises: what the chain says about a seller's USDC, from its logs alone: every transfer to and from the wallets in a
// range of blocks, single transfers anywhere, and which of them were made by a signed authorization.

import { createPublicClient, erc20Abi, getAbiItem, http, parseAbi, parseEventLogs } from 'viem';
import { Stop } from './say.mjs';

const AUTHORIZATION = parseAbi(['event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)']);
const TRANSFER = getAbiItem({ abi: erc20Abi, name: 'Transfer' });
const MOST_BLOCKS = 5_000n;

/**
 * @typedef {{hash: string, index: number, block: bigint, from: string, to: string, value: bigint}} Transfer  addresses in lower case
 * @typedef {ReturnType<typeof openChain>} ChainView
 */

/** @param {string} rpcUrl @param {string} usdc @param {string[]} wallets */
export function openChain(rpcUrl, usdc, wallets) {
  const client = createPublicClient({ transport: http(rpcUrl, { retryCount: 3, timeout: 20_000 }) });
  const lower = (text) => text.toLowerCase();
  const ours = wallets.map(lower);
  /** @returns {Transfer} */
  const transfer = ({ transactionHash, logIndex, blockNumber, args }) => ({
    hash: transactionHash,
    index: logIndex,
    block: blockNumber,
    from: lower(args.from),
    to: lower(args.to),
    value: args.value,
  });

  /** Providers limit ranges differently, so a refused range is halved. */
  const logs = async (args, fromBlock, toBlock) => {
    const found = [];
    let size = MOST_BLOCKS;
    for (let from = fromBlock; from <= toBlock; ) {
      const to = from + size - 1n < toBlock ? from + size - 1n : toBlock;
      try {
        found.push(...(await client.getLogs({ address: usdc, event: TRANSFER, args, fromBlock: from, toBlock: to, strict: true })));
        from = to + 1n;
      } catch (error) {
        if (size === 1n) throw new Stop(`The chain does not tell its logs: ${error.shortMessage ?? error.message}`);
        size = size > 8n ? size / 4n : 1n;
      }
    }
    return found.map(transfer);
  };
  const receiptLogs = async (hash) => {
    const receipt = await client.getTransactionReceipt({ hash }).catch((error) => {
      if (error.name === 'TransactionReceiptNotFoundError') return undefined;
      throw error;
    });
    return (receipt?.logs ?? []).filter(({ address }) => lower(address) === lower(usdc));
  };

  return {
    chainId: () => client.getChainId(),
    height: () => client.getBlockNumber(),
    /** Whether an address is one of the seller's. @param {string} address */
    isOurs: (address) => ours.includes(lower(address)),
    /** @param {bigint} from @param {bigint} to @returns {Promise<Transfer[]>} */
    incoming: (from, to) => logs({ to: wallets }, from, to),
    /** @param {bigint} from @param {bigint} to @returns {Promise<Transfer[]>} */
    outgoing: (from, to) => logs({ from: wallets }, from, to),
    /** The transfers of one transaction, wherever it is. @param {string} hash @returns {Promise<Transfer[]>} */
    async transfersIn(hash) {
      return parseEventLogs({ abi: erc20Abi, eventName: 'Transfer', logs: await receiptLogs(hash) }).map(transfer);
    },
    /** The nonce of the authorization that made a transfer; undefined for an ordinary one. @param {Transfer} made */
    async nonceOf({ hash, from, index }) {
      const used = parseEventLogs({ abi: AUTHORIZATION, logs: await receiptLogs(hash) });
      return used.findLast(({ args, logIndex }) => lower(args.authorizer) === from && logIndex < index)?.args.nonce;
    },
    /** The last block before a moment. @param {number} millis */
    async blockBefore(millis) {
      let [low, high] = [0n, await client.getBlockNumber()];
      const seconds = BigInt(Math.floor(millis / 1000));
      while (low < high) {
        const middle = (low + high + 1n) / 2n;
        const { timestamp } = await client.getBlock({ blockNumber: middle });
        if (timestamp < seconds) low = middle;
        else high = middle - 1n;
      }
      return low;
    },
  };
}
