"""What anybody asks on the command line, `predict`, `list` and `new`, and how every command prints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np

import cm384
from cm384.show import tables
from cm384.table import units
from cm384.table.errors import InputError, meant
from cm384.table.files import columns, is_ordinary
from cm384.table.frames import pd
from cm384.table.reading import NAME
from cm384.table.records import BYTES_PER_ELEMENT, MATRIX_PRECISIONS, ROUTINGS, SERVINGS, Deployment, Row
from cm384.table.specs import Specs, load_specs


class _Path(click.Path):
    """A path, which is not empty: that would be the folder where one stands."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("expected a path, got nothing", param, ctx)
        return super().convert(value, param, ctx)


PATH = _Path(path_type=Path)
STYLE = click.Choice(["table", "csv", "json"])
FORMAT = click.option(
    "--format", "style", type=STYLE, default="table", show_default=True, help="How rows are printed."
)
SPECS = click.option(
    "--specs", "more", multiple=True, type=PATH, help="A CSV file of specs rows to add or replace by key."
)


def print_rows(lines: pd.DataFrame, style: str) -> None:
    """Rows, and nothing else, on standard output."""
    if style == "csv":
        click.echo(tables.as_csv(lines), nl=False)
    elif style == "json":
        click.echo(lines.to_json(orient="records", double_precision=6, force_ascii=False, indent=1))
    else:
        click.echo(tables.as_text(lines))


# --- predict -------------------------------------------------------------------------------------

# The fields of a deployment as flags: what each is where none is given.
FIELDS = {
    "accelerators": "Chips of an instance; default: the fewest that hold the model.",
    "expert_parallel": "Ranks that the experts are spread over; default: all of an instance.",
    "tensor_parallel": "Ranks that split a layer; default: the fastest.",
    "batch": "Requests on a chip; default: all that fit and keep --tpot.",
    "context": "Tokens in the cache of a request, on average; default: prompt + half of the output.",
    "microbatches": "1 or 2 half batches; default: 1.",
    "draft_tokens": "Tokens that are drafted a step; default: 0.",
    "tokens_per_step": "Tokens that a request gets a step; default: 1, of drafts as published.",
    "matrix_precision": "Default: 8 bits where the chip has them, 4-bit experts as kept.",
    "attention_precision": "Default: bf16.",
    "kv_precision": "Default: bf16.",
    "routing": "balanced, eplb or unbalanced; default: unbalanced, as real traffic.",
    "drafter": "A model that drafts, by name or path.",
    "software": "A stack whose settings the data have; default: one for all.",
}
# Those that are words, and the words that each takes.
WORDS: dict[str, Iterable[str]] = {
    "matrix_precision": MATRIX_PRECISIONS,
    **dict.fromkeys(("attention_precision", "kv_precision"), BYTES_PER_ELEMENT),
    "routing": ROUTINGS,
    "drafter": (),
    "software": (),
}


def deployment_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The fields of a deployment as options of a command."""
    for name, told in reversed(FIELDS.items()):
        flag, kind = f"--{name.replace('_', '-')}", str if name in WORDS else float
        command = click.option(flag, type=kind, default=None, help=told)(command)
    return command


def dollars(value: str) -> float:
    """A price, or one over the chips that it buys: 85/8."""
    try:
        return float(Fraction(value))
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"expected a price such as 2.5 or 85/8, got {value!r}") from None


@click.command()
@click.argument("model")
@click.argument("chip")
@click.option("--prompt", type=float, default=4096, show_default=True, help="Tokens of a prompt.")
@click.option("--output", type=float, default=1024, show_default=True, help="Tokens of an answer.")
@click.option("--users", type=float, default=np.nan, help="Users at a time: how many chips do they take?")
@click.option("--tpot", type=float, default=np.nan, metavar="MS", help="The longest time per token.")
@click.option("--ttft", type=float, default=np.nan, metavar="MS", help="The longest time to the first token.")
@click.option("--serving", type=click.Choice(SERVINGS), default="disaggregated", show_default=True,
              help="Whether prefill shares the steps of decode or has chips of its own.")  # fmt: skip
@click.option("--prefill-on", default="", metavar="CHIP", help="The chip that prefills; default: CHIP.")
@click.option("--usd-per-hour", "usd", type=dollars, metavar="USD",
              help="For one chip, such as 85/8; default: its purchase over a server's life.")  # fmt: skip
@click.option("--sizes", is_flag=True, help="Only what fits: needs the memory of a chip and nothing else.")
@deployment_flags
@SPECS
@FORMAT
def predict(model: str, chip: str, prompt: float, output: float, users: float, tpot: float, ttft: float,
            serving: str, prefill_on: str, usd: float | None, sizes: bool, more: tuple[Path, ...], style: str,
            **given: Any) -> None:  # fmt: skip
    """Forecast MODEL (a name or a config.json) on CHIP: speed, memory, bounds, error, span and price."""
    from cm384.physics import forecast

    specs = load_specs(*more)
    limits = {"prompt": prompt, "users": users, "tpot": tpot, "ttft": ttft, "usd-per-hour": usd}
    numbers = {name.replace("_", "-"): value for name, value in given.items() if isinstance(value, float)}
    for name, value in (limits | numbers).items():
        if value is not None and not is_ordinary(value) and not (name in limits and np.isnan(value)):
            raise InputError(f"{name}: expected a number of ordinary size, not {value:g}")
        if value is not None and value <= 0 and name not in ("draft-tokens", "output"):
            raise InputError(f"{name.replace('-', '_')}: expected more than 0, not {value:g}")
    if not np.isnan(users) and given["batch"] is not None:
        raise InputError("batch: users are spread over the chips; expected --users or --batch, not both")
    chip, held = chip_of(specs, chip)
    stated = {
        name: meant(name, value, taken) if (taken := [*WORDS.get(name, ())]) else value
        for name, value in given.items()
        if value is not None
    }
    left = dict.fromkeys(("accelerators", "expert_parallel", "batch", "tensor_parallel"), np.nan)
    found = cm384.load_model(model)
    fields: dict[str, Any] = {**left, **held, "context": prompt + output / 2, "output": output,
                              "matrix_precision": forecast.precision_of(specs, chip, found),
                              "routing": "unbalanced",
        "tokens_per_step": np.nan if stated.get("draft_tokens") else 1, **stated}  # fmt: skip
    other = chip_of(specs, prefill_on)[0] if prefill_on else ""
    paid = np.nan if usd is None else usd
    shared = serving == SERVINGS[0]
    asked = forecast.Asked(found, Deployment(chip, **fields), prompt, users, tpot, ttft, other, shared, paid)
    if sizes:
        lines = forecast.sizes_alone(specs, asked)
    else:
        try:
            lines = forecast.forecast(specs, asked)
        except InputError:
            for name in filter(None, (chip, other)):
                _paste(specs, name)
            raise
    print_rows(_shown(lines) if style == "table" else lines, style)


def _paste(specs: Specs, chip: str) -> None:
    """Print all rows at once that a chip lacks for a forecast, and say so instead of naming the first."""
    from cm384.physics import estimate

    if estimate.lacks_kernels(specs, chip) and (rows := estimate.lacking(specs, chip, ranks=True)):
        click.echo("\n".join(row.strip("'") for row in rows))
        told = f"a forecast on {chip} needs what is printed above, completed, in a file of --specs"
        raise InputError(f"{told}; --sizes needs the capacity alone") from None


def chip_of(specs: Specs, name: str) -> tuple[str, dict[str, float]]:
    """The chip that a name means, and the accelerators of a system of it."""
    try:
        found = meant("chip", name, [*specs.chips, *specs.systems])
    except InputError as error:
        raise InputError(f"{error}; `cm384 new chip {name}` writes a file for one of your own") from None
    if parts := specs.parts(found):
        return parts[0], {"accelerators": specs.get(found, "count", part=parts[0]).m}
    return found, {}


def _shown(lines: pd.DataFrame) -> pd.DataFrame:
    """A forecast as a terminal shows it."""
    ends = [f"{units.number(low)} to {units.number(high)}" if low == low else ""
            for low, high in zip(lines["low"], lines["high"], strict=True)]  # fmt: skip
    value = tables.with_units(lines["value"], lines["unit"])
    part = lines["part"].where(lines["part"] != lines["part"].shift(), "")
    return lines.assign(part=part, value=value, span=ends)[["part", "figure", "value", "span", "note"]]


# --- list and new --------------------------------------------------------------------------------


def _chips(specs: Specs) -> Iterator[tuple[Any, ...]]:
    from cm384.physics import estimate

    yield "name", "vendor", "BF16 peak", "memory", "bandwidth", "kernels"

    def stated(name: str, quantity: str, **given: str) -> str:
        return str(tables.attempt(lambda: units.text(specs.get(name, quantity, **given)), "–"))

    for name in specs.chips:
        kernels = "estimated" if estimate.lacks_kernels(specs, name) else "stated"
        figures = (stated(name, quantity) for quantity in ("hbm_capacity", "hbm_bandwidth"))
        yield name, specs.vendor(name), stated(name, "peak", precision="bf16"), *figures, kernels


def _systems(specs: Specs) -> Iterator[tuple[Any, ...]]:
    yield "name", "vendor", "accelerators"
    for name in specs.systems:
        held = (f"{specs.get(name, 'count', part=part).m:g} {part}" for part in specs.parts(name))
        yield name, specs.vendor(name), ", ".join(held)


def _models(specs: Specs) -> Iterator[tuple[Any, ...]]:
    yield "name", "parameters", "attention"
    for name, config in specs.models.items():
        model = cm384.load_model(config)
        yield name, f"{units.number(model.parameters / 1e9)} billion", model.attention.kernel


def _quantities(specs: Specs) -> Iterator[tuple[Any, ...]]:
    yield "name", "unit", "kind", "meaning"
    yield from ((kind.quantity, kind.unit, kind.kind, kind.meaning) for kind in specs.kinds.values())


def _notebooks(_: Specs) -> Iterator[tuple[Any, ...]]:
    from cm384 import notebooks

    yield "notebook", "parameter", "default", "takes"
    for path in notebooks.notebooks():
        for name, value in notebooks.defaults(path).items():
            yield path.stem, name, value, notebooks.takes(name)


def _claims(specs: Specs) -> Iterator[tuple[Any, ...]]:
    yield "id", "article", "claim"
    yield from ((claim.id, claim.article, claim.statement) for claim in cm384.load_claims(specs=specs))


KINDS = {"chips": _chips, "systems": _systems, "models": _models, "quantities": _quantities,
         "notebooks": _notebooks, "claims": _claims}  # fmt: skip


@click.command("list")
@click.argument("kind", required=False)
@SPECS
@FORMAT
def list_names(kind: str | None, more: tuple[Path, ...], style: str) -> None:
    """List what can be asked about: chips, systems, models, quantities, notebooks or claims."""
    specs = load_specs(*more)
    if kind:
        head, *rows = KINDS[meant("kind of thing", kind, KINDS)](specs)
    else:
        head = "list", "how many"
        rows = [(name, len({line[0] for line in found(specs)}) - 1) for name, found in KINDS.items()]
    print_rows(pd.DataFrame(rows, columns=list(head)), style)


TEMPLATE = {
    "peak,precision=bf16,VALUE,TFLOP/s,matrix": "needed: dense rate of one package",
    "peak,precision=fp8,VALUE,TFLOP/s,matrix": "where it has one; int8 and fp4 likewise",
    "hbm_capacity,,VALUE,GB,nominal": "needed",
    "hbm_bandwidth,,VALUE,TB/s,nominal": "needed",
    "scale_up_bandwidth,,VALUE,GB/s,one-way": "for several ranks: bytes in one direction",
    "scale_out_bandwidth,,VALUE,Gbit/s,one-way": "for the cache that is sent to other chips",
    "price,,VALUE,USD,nominal": "for a price of tokens",
}


@click.command()
@click.argument("what", metavar="chip", type=click.Choice(["chip"]))
@click.argument("name")
def new(what: str, name: str) -> None:
    """Write NAME.csv, a file for --specs in which only the values of a chip are missing."""
    path = Path(f"{name}.csv")
    if not re.fullmatch(NAME[0], name):
        raise InputError(f"{what} {name!r}; expected {NAME[1]}")
    if name in load_specs().subjects or path.exists():
        raise InputError(f"{path if path.exists() else name}: is there already")
    rows = [f"{name},{row},central,,SOURCE,PLACE,{note}" for row, note in TEMPLATE.items()]
    path.write_text("\n".join([",".join(columns(Row)), *rows, ""]), encoding="utf-8")
    click.echo(f"{path}: write the values over VALUE and delete the lines that have none; then\n"
               f"cm384 predict deepseek-r1 {name} --specs {path}", err=True)  # fmt: skip


def version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    """Print the version, and that of the data: the day of the newest answer and a digest of the tables."""
    if asked:
        from cm384.ledger.record import data_version

        click.echo(f"cm384 {cm384.__version__}, data of {data_version()}")
        ctx.exit()
