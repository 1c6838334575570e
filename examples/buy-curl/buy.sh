#!/bin/sh
# Buys a plan with curl and foundry's cast, by an ordinary USDC transfer, and prints the token.
#
#   SELLER_URL=http://127.0.0.1:8787 RPC_URL=http://127.0.0.1:8545 AGENT_PRIVATE_KEY=0x… sh buy.sh
#
# PLAN=starter-monthly buys another plan than "basic".
set -eu

post() { curl -sS "$SELLER_URL/x402/access" -H 'content-type: application/json' -d "$1"; }
stop() { echo "$1" >&2; exit 1; }
# The first member of this name with a text as its value; with jq this would be shorter.
member() { printf %s "$1" | grep -o "\"$2\":\"[^\"]*\"" | head -n 1 | cut -d '"' -f 4; }

# 1. Ask for the price: a 402 whose `transferInstead` says how to pay by a transfer.
offer=$(post "{\"planId\":\"${PLAN:-basic}\"}")
instead=${offer#*\"transferInstead\":}
challenge=$(member "$instead" sign)
[ -n "$challenge" ] || stop "$offer" # no offer: the seller says why

# 2. Send the transfer, and wait until it is on chain.
receipt=$(cast send --json --rpc-url "$RPC_URL" --private-key "$AGENT_PRIVATE_KEY" \
  "$(member "$instead" assetAddress)" 'transfer(address,uint256)' \
  "$(member "$instead" destination)" "$(member "$instead" amount)")
hash=$(member "${receipt#*\"logs\"}" transactionHash)
[ -n "$hash" ] || stop "The transfer is not on chain as expected: $receipt"

# 3. Sign the offer's id with the same wallet.
signature=$(cast wallet sign --private-key "$AGENT_PRIVATE_KEY" "$challenge")

# 4. Show both, until the transfer is confirmed.
proof="{\"proof\":{\"challengeId\":\"$challenge\",\"txHash\":\"$hash\",\"signature\":\"$signature\"}}"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  grant=$(post "$proof")
  case $(member "$grant" code) in
    TX_UNCONFIRMED | SETTLEMENT_PENDING | ADAPTER_ERROR) sleep 2 ;;
    *) break ;;
  esac
done
token=$(member "$grant" accessToken)
[ -n "$token" ] || stop "$grant"
echo "$token"
