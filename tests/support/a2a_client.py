"""Speaks A2A with the published SDK: one JSON job per line on standard input, one JSON answer per line.

An answer has what was asked for, or an error, and `sent`: the body that the SDK sent.
"""

import asyncio
import json
import sys

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types.a2a_pb2 import CancelTaskRequest, GetTaskRequest, ListTasksRequest, SendMessageRequest
from a2a.utils.errors import A2AError
from google.protobuf.json_format import MessageToDict, ParseDict

SECONDS = 60


class Buyer:
    """A client and what it has sent last."""

    async def open(self, job):
        async def note(request):
            self.sent = (await request.aread()).decode()

        http = httpx.AsyncClient(timeout=SECONDS, event_hooks={"request": [note]})
        factory = ClientFactory(ClientConfig(httpx_client=http))
        card = await A2ACardResolver(http, job["url"]).get_agent_card()
        self.client = factory.create(card)
        return {"card": MessageToDict(card)}

    async def send(self, job):
        request = ParseDict({"message": job["message"], "configuration": job["configuration"]}, SendMessageRequest())
        answers = [MessageToDict(event) async for event in self.client.send_message(request)]
        return answers[-1]

    async def get(self, job):
        return {"task": MessageToDict(await self.client.get_task(GetTaskRequest(id=job["id"])))}

    async def cancel(self, job):
        return {"task": MessageToDict(await self.client.cancel_task(CancelTaskRequest(id=job["id"])))}

    async def list(self, job):
        return MessageToDict(await self.client.list_tasks(ListTasksRequest(context_id=job["contextId"])))


async def main():
    buyer = Buyer()
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = await getattr(buyer, job["do"])(job)
        except A2AError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps({**answer, "sent": buyer.sent}), flush=True)


asyncio.run(main())
