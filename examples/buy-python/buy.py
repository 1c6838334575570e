"""Buys a plan with the published x402 client, and prints the token.

SELLER_URL=http://127.0.0.1:8787 AGENT_PRIVATE_KEY=0x… python buy.py

PLAN=starter-monthly buys another plan than "basic".
"""

import asyncio
import os
import sys
import uuid

from eth_account import Account
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.register import register_exact_evm_client


async def main() -> None:
    client = x402Client()
    client.set_spend_controls({"max_amount_per_payment": "$20"})  # without this line the client pays at most $1
    register_exact_evm_client(client, EthAccountSigner(Account.from_key(os.environ["AGENT_PRIVATE_KEY"])))
    order = {"planId": os.environ.get("PLAN", "basic"), "requestId": str(uuid.uuid4())}  # keep the requestId secret
    async with x402HttpxClient(client, timeout=40) as http:
        answer = await http.post(os.environ["SELLER_URL"] + "/x402/access", json=order)
        for _ in range(20):
            if answer.status_code < 500:
                break
            # The outcome is not known yet. The same requestId is charged once, however often it is asked.
            await asyncio.sleep(int(answer.headers.get("retry-after", "2")))
            answer = await http.post(os.environ["SELLER_URL"] + "/x402/access", json=order)
    grant = answer.json()
    if answer.status_code != 200:
        sys.exit(f"{answer.status_code} {grant['code']}: {grant['message']}")
    print(grant["accessToken"])
    print(f"paid in {grant['txHash']}", file=sys.stderr)


asyncio.run(main())
