"""Sweeps: the parts of a plan, in processes of this machine or on a Dask cluster, each a Parquet file.

Every worker gives the same bytes for a part. A finished part is a file, and a later run takes the rest.
"""

from __future__ import annotations

import io
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cm384.grid import Plan, by_words, inputs, plan, varies
from cm384.physics import fused
from cm384.show.tables import as_csv
from cm384.table.errors import EXAMPLES, InputError
from cm384.table.frames import pd
from cm384.table.specs import load_specs

MANIFEST = "_sweep.json"  # readers of Parquet pass over names that begin so
COST = ["rows", "refused", "why", "cpu", "memory", "bytes"]
NEEDS = (
    "a sweep needs the extra `cluster` of cm384 (dask, distributed, pyarrow): pip install 'cm384[cluster]'"
)


# --- a part --------------------------------------------------------------------------------------


def table(found: Plan, index: int) -> pd.DataFrame:
    """The rows of a part: the grid, the draw if there are any, what comes out, and why a row was refused.

    What some configurations cannot have (ranks that do not divide, memory, a figure that no source
    states) leaves theirs empty, with the reason in `refused`.
    """
    specs, rows, kind = found.specs, found.part(index), found.kind
    draws = max(found.draws, 1)
    columns: dict[str, np.ndarray] = {n: np.full((len(rows), draws), np.nan) for n in kind.outputs}
    refused = np.full((len(rows), draws), "", dtype=object)

    def fill(part: pd.DataFrame) -> None:
        try:
            outcome = kind.run(specs, part, draws)
        except InputError as error:
            apart = (n for n in map(str, part) if n not in kind.together and varies(part, n))
            if (name := next(apart, None)) is None:
                refused[part.index] = str(error)
                return
            for _, group in part.groupby(name, observed=True, sort=False, dropna=False):
                fill(group)
            return
        for name, values in outcome.items():
            column = columns.setdefault(name, np.full((len(rows), draws), "", dtype=object))
            column[part.index] = np.reshape(values, (len(part), draws))

    for group in by_words(rows, kind):
        fill(group)
    for name in kind.outputs:
        refused[(refused == "") & np.isnan(columns[name])] = kind.empty
    wide = rows.iloc[np.repeat(np.arange(len(rows)), draws)].reset_index(drop=True)
    if found.draws:
        wide["draw"] = np.tile(np.arange(draws, dtype=np.int32), len(rows))
    return wide.assign(**{name: values.ravel() for name, values in columns.items()}, refused=refused.ravel())


def part(found: Plan, index: int) -> tuple[dict[str, bytes], tuple[Any, ...]]:
    """The files of a part by name, its Parquet last, and its line of `COST`: for a worker to give back."""
    import pyarrow as pa
    from pyarrow import parquet

    if found.inputs != inputs(found.target, found.read):
        raise InputError("a worker has other data, code or numpy than the sweep that asks it")
    start = time.process_time()
    with fused.compiled(found.configurations >= fused.MANY):
        rows = table(found, index)
    made: dict[str, bytes] = {}
    if "notebook" in rows:
        name = f"_{_stem(index)}.ipynb"
        made[name] = rows["notebook"].iloc[0].encode()
        rows["notebook"] = name
    units = {name: unit for name, unit in found.kind.outputs.items() if name in rows}
    written = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(units)
    sink = pa.BufferOutputStream()
    parquet.write_table(written, sink, compression="zstd")
    made[f"{_stem(index)}.parquet"] = sink.getvalue().to_pybytes()
    why = rows.loc[rows["refused"] != "", "refused"]
    cost = len(rows), len(why), why.iloc[0] if len(why) else "", time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return made, (*cost, memory, sum(map(len, made.values())))


def _stem(index: int) -> str:
    return f"part-{index:06d}"


# --- all parts -----------------------------------------------------------------------------------


def sweep(
    found: Plan,
    out: Path,
    workers: int | None = None,
    scheduler: str = "",
    progress: Callable[[int], object] = lambda rows: None,
) -> pd.DataFrame:
    """Compute the parts of a plan that are not in the folder `out` yet; what each of them cost, one a line.

    In `workers` processes of this machine (None: one a core), or on the Dask cluster of a `scheduler`.
    `progress` is told the rows of each part, those that were there included. A worker that dies loses
    nothing: its parts are computed again. InputError where the folder holds another sweep.
    """
    _claim(found, out)
    todo = [i for i in range(found.parts) if not (out / f"{_stem(i)}.parquet").exists()]
    progress(found.rows - sum(len(found.numbers(i)) for i in todo) * max(found.draws, 1))
    left, costs = iter(todo), []
    if not todo:
        return pd.DataFrame(columns=COST)
    with _client(workers, scheduler) as client:
        from distributed import as_completed

        def submit(count: int) -> list[Any]:
            return [client.submit(part, found, i, pure=False) for i in islice(left, count)]

        # No more than what keeps every worker busy is under way, so that memory stays bounded here too.
        running = as_completed(submit(2 * max(sum(client.nthreads().values()), 1)))
        for future in running:
            made, cost = future.result()
            for name, content in made.items():
                _write(out / name, content)
            costs.append(cost)
            progress(cost[0])
            future.release()
            running.update(submit(1))
    return pd.DataFrame(costs, columns=COST)


def in_words(found: Plan, costs: pd.DataFrame) -> str:
    """What a sweep did; InputError where every row that it computed was refused."""
    new, refused = (int(costs[name].sum()) for name in ("rows", "refused"))
    why = next(filter(None, costs["why"]), "") if refused else ""
    if refused and refused == new:
        raise InputError(f"all {new:,} rows were refused, the first as: {why}")
    told = f"{found.rows:,} rows in {found.parts:,} parts, {len(costs):,} of them new"
    return f"{told}; {refused:,} rows refused, the first as: {why}" if refused else told


@contextmanager
def _client(workers: int | None, scheduler: str) -> Iterator[Any]:
    """The workers of a sweep: those of a scheduler, or processes here that end with it."""
    try:
        import pyarrow.parquet  # noqa: F401
        from distributed import Client, KilledWorker
    except ImportError:
        raise InputError(NEEDS) from None
    here = {"n_workers": workers or len(os.sched_getaffinity(0)), "threads_per_worker": 1,
            "dashboard_address": None, "silence_logs": 50}  # fmt: skip
    try:
        opened = Client(scheduler, timeout=10) if scheduler else Client(**here)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler {scheduler}: {str(error).splitlines()[0]}") from None
    with opened as client:
        try:
            yield client
        except KilledWorker as error:
            told = str(error).splitlines()[0]
            raise InputError(f"workers died over and over; what is done is kept: {told}") from None


def _claim(found: Plan, out: Path) -> None:
    """Take a folder for a sweep, or go on with it; refuses one of other inputs."""
    path, named = out / MANIFEST, found.named()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write(path, json.dumps(named, indent=1).encode())
        there = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{out}: no folder of a sweep ({error})") from None
    if other := [name for name in named if there.get(name) != named[name]]:
        raise InputError(f"{out}: holds a sweep of another {' and '.join(other)}; name another folder")


def _write(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    temporary.replace(path)


# --- the sweep of page 15 ------------------------------------------------------------------------

CHIPS = "ascend-910c", "h800-sxm"
CONTEXTS = ("1024,1280,1536,1792,2048,2560,3072,3584,4096,5120,6144,7168,8192,9216,10240,12288,14336,16384,"
            "18432,20480,22528,24576,26624,28672,32768")  # fmt: skip
DRAFTS = "0,1,2,3"


def rivals(contexts: str = CONTEXTS, drafts: str = DRAFTS) -> Plan:
    """Deployments of two chips that decode the same model: each part is one context and number of drafts.

    Published ranks, one microbatch and two, 50 batches, a hundred draws of the sources; as many drafts are
    kept as is published.
    """
    work = load_specs().workloads["decode"]
    same = f"output={work.output}", f"routing={work.routing}", "tokens_per_step=nan"
    varied = str(EXAMPLES / "deployments.csv"), "microbatches=1,2", "batch=8:400:50"
    return plan("decode", [work.model], [f"context={contexts}", f"draft_tokens={drafts}", *same, *varied],
                draws=100)  # fmt: skip


def beats(rows: pd.DataFrame) -> dict[str, Any]:
    """How the deployments of the first chip stand to the best of the second, within the time per token.

    Of a part of `rivals`. A deployment keeps the time, or beats, if it does in most draws; `ratio` is best
    over best, with nine in ten draws from `low` to `high`, and `share` that of the draws in which it is
    above one.
    """
    limit, draws = float(load_specs().workloads["decode"].tpot), int(rows["draw"].max()) + 1
    kept = rows["throughput"].where(rows["tpot"] <= limit, 0.0).to_numpy().reshape(-1, draws)
    grid = rows.iloc[::draws].reset_index(drop=True)
    ours, theirs = (kept[grid["accelerator"] == chip] for chip in CHIPS)
    best, bar = ours.max(axis=0), theirs.max(axis=0)
    low, ratio, high = np.quantile(best / np.where(bar > 0, bar, np.nan), [0.05, 0.5, 0.95])
    line = {name: grid[name][0] for name in ("context", "draft_tokens")} | {
        "deployments": len(ours),
        "keep": int((np.mean(ours > 0, axis=1) > 0.5).sum()),
        "beat": int((np.mean(ours > bar, axis=1) > 0.5).sum()),
        "best": np.median(best), "reference": np.median(bar),
        "low": low, "ratio": ratio, "high": high, "share": np.mean(best > bar),
    }  # fmt: skip
    for prefix, chip, found in zip(("", "reference_"), CHIPS, (ours, theirs), strict=True):
        winner = grid[grid["accelerator"] == chip].iloc[np.median(found, axis=1).argmax()]
        line |= {prefix + name: winner[name] for name in ("expert_parallel", "microbatches", "batch")}
    return line


def remake(folder: Path) -> None:
    """Sweep what page 15 rests on; its summary, and what that cost on one worker and two, into `folder`."""
    from tqdm import tqdm

    contexts, costs, tables = CONTEXTS.split(","), [], []
    for length, workers in ((1, 1), (5, 1), (len(contexts), 1), (len(contexts), 2)):
        found = rivals(",".join(contexts[:length]))
        with tempfile.TemporaryDirectory() as place, tqdm(total=found.rows, unit_scale=True) as bar:
            start = time.perf_counter()
            spent = sweep(found, Path(place), workers, progress=bar.update)
            seconds = time.perf_counter() - start
            tables.append({path.name: path.read_bytes() for path in Path(place).glob("*.parquet")})
        used = {"seconds": seconds, "cpu_seconds": spent["cpu"].sum(), "bytes": spent["bytes"].sum()}
        costs.append({"rows": found.rows, "workers": workers, **used, "worker_memory": spent["memory"].max()})
    if tables[-1] != tables[-2]:
        raise InputError("the tables of one worker and of two differ")
    lines = [beats(pd.read_parquet(io.BytesIO(table))) for _, table in sorted(tables[-1].items())]
    for name, content in (("sweep", lines), ("sweep_cost", costs)):
        _write(folder / f"{name}.csv", as_csv(pd.DataFrame(content)).encode())
