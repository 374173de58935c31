"""A client over HTTP, and models that answer with whatever JSON a test wants."""

import json
from contextlib import asynccontextmanager

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.inference.metadata import ModelMetadata, TensorMetadata
from headrace.inference.protocols import client_of
from headrace.testing.oip_server import Garbage, OipServer, in_turn

TEXT = Input("text", "text", datatype="BYTES", shape=())
TRANSLATION = OutputField("translation", "translation")
UPPER = ModelMetadata(
    "upper",
    inputs=(TensorMetadata("text", "BYTES", (-1,)),),
    outputs=(TensorMetadata("translation", "BYTES", (-1,)),),
)
EVERY = ("json", "binary", "v1")
TENSORS = ("json", "binary")


@asynccontextmanager
async def client_at(*servers, inputs=(TEXT,), outputs=(TRANSLATION,), profile="json", **settings):
    urls = tuple(each if isinstance(each, str) else each.http_url for each in servers)
    settings = {"timeout_s": 10.0, "profile": Profile(profile), **settings}
    client = client_of(Model("up", urls, "upper", **settings), inputs, outputs)
    try:
        yield client
    finally:
        await client.close()


def saying(**answer):
    """A model that answers with this JSON, whatever it is asked."""
    return in_turn([Garbage(json.dumps(answer).encode())])


def output(datatype, shape, data, **more):
    return {"name": "translation", "datatype": datatype, "shape": shape, "data": data, **more}


async def read(server_model, rows=2, *, profile="json", field=TRANSLATION):
    async with (
        OipServer(server_model) as server,
        client_at(server, outputs=[field], profile=profile) as client,
    ):
        return await client.infer([["a"] * rows])
