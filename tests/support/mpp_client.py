"""Pays with the published client of the Machine Payments Protocol: one JSON job per line on standard input, one JSON answer
per line.
"""

import asyncio
import json
import sys

from eth_account import Account
from mpp import Receipt
from mpp.client import Mpp
from mpp.methods.evm import BASE_SEPOLIA_USDC
from mpp.methods.evm import client as evm


async def answer_to(job):
    method = evm.charge(currency=BASE_SEPOLIA_USDC, account=Account.from_key(job["key"]))
    more = {"headers": job.get("headers", {})}
    if "body" in job:
        more["json"] = job["body"]
    async with Mpp(methods=[method]) as mpp:
        response = await mpp.fetch(job["url"], method=job.get("method", "GET"), **more)
    header = response.headers.get("payment-receipt")
    return {
        "status": response.status_code,
        "headers": dict(response.headers),
        "text": response.text,
        "reference": Receipt.from_payment_receipt(header).reference if header else None,
    }


async def main():
    for line in sys.stdin:
        try:
            answer = await answer_to(json.loads(line))
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


asyncio.run(main())
