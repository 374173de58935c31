"""gRPC, REST with binary tensors and REST with JSON beside each other, client side only.

    python benchmarks/protocols.py                      # the table in benchmarks/README.md
    python benchmarks/protocols.py --rows 256 --slots 1 4 16 --rounds 5 --floats 64

The scripted server of `headrace.testing` runs in a process of its own and does the same work for
every protocol; protocols take turns, so ratios hold on a noisy machine. The median is printed.
"""

import argparse
import asyncio
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time

import uvloop

from headrace.core.models import Input, Model, OutputField, Profile
from headrace.inference.protocols import client_of
from headrace.testing.oip_server import Answer, OipServer, Tensor

WORDS = "the quick brown fox jumps over the lazy dog and keeps on running"


def answer(request):
    """Answer with what was asked, as cheaply as it goes."""
    values = request.columns["x"]
    if request.datatypes["x"] == "BYTES":
        return Answer((Tensor("y", values),))
    flat = list(itertools.chain.from_iterable(values))
    return Answer((Tensor("y", flat, datatype="FP32", shape=request.shapes["x"]),))


async def serve():
    async with OipServer(answer) as server:
        print(json.dumps([server.direct_url, server.direct_http_url]), flush=True)
        await asyncio.Event().wait()


async def drive(url, profile, slots, args):
    """Return rows/s, CPU microseconds per row, and the 50th and 99th percentile in ms."""
    model = Model("m", (url,), "m", profile=Profile(profile))
    if args.floats:
        x = Input("x", "x", datatype="FP32", shape=(args.floats,))
        column = [[[1 / (n + m + 1) for m in range(args.floats)] for n in range(args.rows)]]
    else:
        x = Input("x", "x", datatype="BYTES", shape=())
        column = [[f"{number}: {WORDS}" for number in range(args.rows)]]
    client = client_of(model, [x], [OutputField("y", "y")])
    taken = []

    async def call_until(end):
        while (begun := time.perf_counter()) < end:
            await client.infer(column)
            taken.append(time.perf_counter() - begun)

    await client.infer(column)
    cpu, begun = cpu_s(), time.perf_counter()
    await asyncio.gather(*(call_until(begun + args.seconds) for _ in range(slots)))
    elapsed = time.perf_counter() - begun
    cpu = cpu_s() - cpu
    await client.close()
    done = len(taken) * args.rows
    percentiles = statistics.quantiles(taken, n=100)
    return done / elapsed, cpu / done * 1e6, percentiles[49] * 1e3, percentiles[98] * 1e3


def cpu_s():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def compare(grpc, http, args):
    ways = {"gRPC": (grpc, "auto"), "REST binary": (http, "binary"), "REST JSON": (http, "json")}
    print("| slots | protocol | rows/s | of gRPC | client CPU per row | p50 | p99 |")
    print("|---|---|---|---|---|---|---|")
    for slots in args.slots:
        seen = {way: [] for way in ways}
        for _ in range(args.rounds):
            for way, (url, profile) in ways.items():
                seen[way].append(await drive(url, profile, slots, args))
        ratios = {
            way: statistics.median(a[0] / b[0] for a, b in zip(runs, seen["gRPC"], strict=True))
            for way, runs in seen.items()
        }
        for way, runs in seen.items():
            rate, cpu, p50, p99 = (
                statistics.median(figures) for figures in zip(*runs, strict=True)
            )
            print(
                f"| {slots} | {way} | {rate:,.0f} | {ratios[way]:.0%} | {cpu:.2f} us"
                f" | {p50:.2f} ms | {p99:.2f} ms |"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--floats", type=int, default=0, help="numbers a row, instead of a text")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        uvloop.run(serve())
        return
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE)
    try:
        grpc, http = json.loads(server.stdout.readline())
        uvloop.run(compare(grpc, http, args))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
