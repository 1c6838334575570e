"""Speaks MCP with the published SDK: one JSON job per line on standard input, one JSON answer per line.

An answer has what was asked for, or an error.
"""

import asyncio
import json
import sys

from mcp import Client


async def main():
    clients = []
    client = None
    for line in sys.stdin:
        job = json.loads(line)
        try:
            if job["do"] == "open":
                client = await Client(job["url"]).__aenter__()
                clients.append(client)
                answer = {"version": client.protocol_version, "server": client.server_info.model_dump(mode="json", by_alias=True)}
            elif job["do"] == "list":
                listed = await client.list_tools()
                answer = {"tools": [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools]}
            else:
                result = await client.call_tool(job["name"], job.get("arguments"), meta=job.get("meta"))
                answer = {"result": result.model_dump(mode="json", by_alias=True, exclude_none=True)}
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)
    for client in clients:
        await client.__aexit__(None, None, None)


asyncio.run(main())
