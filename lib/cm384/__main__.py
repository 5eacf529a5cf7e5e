"""The command line: `cm384 predict | list | new | run | check | validate | explain | report | refresh`.

Rows go to standard output, summaries to standard error. Bad input is one line and exit code 2.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import cm384
from cm384.commands import FORMAT, PATH, SPECS, list_names, new, predict, print_rows, version
from cm384.show import tables
from cm384.table.errors import InputError, meant
from cm384.table.frames import pd
from cm384.table.records import read_conditions
from cm384.table.specs import Specs, load_measurements, load_specs

if TYPE_CHECKING:
    from cm384.ledger.claims import Claim


class OneLine(click.Group):
    """A group whose commands report what stops them in one line, and exit with 2; with 130 by Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # a terminal may lack the marks of answers
            stream.reconfigure(errors="backslashreplace")
        status = 2
        try:
            if sys.stdout is None:
                raise InputError("standard output is closed")
            return super().invoke(ctx)
        except InputError as error:
            told = error
        except click.UsageError as error:
            told = InputError(error.format_message())
        except BrokenPipeError:  # who reads has enough
            raise
        except OSError as error:
            told = InputError(": ".join(str(x) for x in (error.filename, error.strerror or error) if x))
            if sys.stdout and sys.__stdout__ is sys.stdout:  # what could not be written is not tried again
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        except MemoryError:
            told = InputError("not enough memory")
        except KeyboardInterrupt:
            told, status = InputError("interrupted"), 130
        click.echo(f"cm384: {told}", err=True)
        ctx.exit(status)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=version,
              help="Print the version and the date of the data.")  # fmt: skip
def main() -> None:
    """CloudMatrix 384 from first principles: derive the published figures and check the claims."""


@main.command()
def report() -> None:
    """Run every notebook, build the site, print the scorecard and where the page is."""
    from cm384 import notebooks

    page = notebooks.report(_progress("notebooks"))
    specs = load_specs()
    lines = cm384.scorecard(cm384.load_claims(specs=specs), specs)
    print_rows(_short(lines), "table")
    _summary(lines)
    click.echo(f"open {page.relative_to(Path.cwd()) if page.is_relative_to(Path.cwd()) else page}")


@main.command()
@click.argument("notebook")
@click.option("-p", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter.")
@click.option("--out", type=PATH, help="Folder; default build/runs.")
def run(notebook: str, given: tuple[tuple[str, str], ...], out: Path | None) -> None:
    """Rerun NOTEBOOK (such as 02-supernode) with other parameters; writes .ipynb and .html."""
    from cm384 import notebooks

    path = notebooks.find_notebook(notebook)
    if twice := [name for name, _ in given if sum(name == other for other, _ in given) > 1]:
        raise InputError(f"parameter {twice[0]} is given twice")
    values = notebooks.values_of(path, dict(given))
    for written in notebooks.run(path, values, out or notebooks.BUILD / "runs"):
        click.echo(str(written))


@main.command()
@click.argument("claims_file", metavar="CLAIMS.csv", type=PATH)
@SPECS
@FORMAT
@click.option("--solve", "row", metavar="SUBJECT.QUANTITY",
              help="Instead of answers: the value of this row that would make each claim true.")  # fmt: skip
@click.option("--expect", type=PATH, metavar="FILE.csv",
              help="Answers that are expected, by id; exit with 1 if one of them is another.")  # fmt: skip
@click.option("--baseline", type=PATH, metavar="FILE.csv",
              help="An earlier scorecard of the same claims; exit with 1 if anything is new.")  # fmt: skip
def check(claims_file: Path, more: tuple[Path, ...], style: str, row: str | None, expect: Path | None,
          baseline: Path | None) -> None:  # fmt: skip
    """Give every claim of CLAIMS.csv its answer by the rule."""
    from cm384.ledger import compare

    specs = load_specs(*more)
    claims = cm384.load_claims(claims_file, specs)
    if row is not None:
        _solve(claims, row, specs, style)
        return
    wanted = [(compare.read(path), whole) for path, whole in ((expect, False), (baseline, True)) if path]
    lines = cm384.scorecard(claims, specs)
    print_rows(_short(lines) if style == "table" else lines, style)
    _summary(lines)
    if unknown := compare.unchecked(claims, specs):
        click.echo(f"not checked: {unknown}", err=True)
    changes = [change for table, whole in wanted for change in compare.changes(lines, table, whole)]
    for change in changes:
        click.echo(change, err=True)
    if wanted:
        click.echo(f"{len(changes)} changed" if changes else "as expected", err=True)
    if changes:
        sys.exit(1)


def _solve(claims: list[Claim], row: str, specs: Specs, style: str) -> None:
    """Print what a row would have to be for each claim."""
    from cm384.ledger.robustness import solve_ledger

    lines = solve_ledger(row, specs, claims)
    print_rows(_solutions(lines) if style == "table" else lines, style)
    read = lines.loc[lines["row"] != "", "id"].nunique()
    reached = lines.loc[lines["needed"] > 0, "id"].nunique()
    told = f"{read} of {len(claims)} claims read this row; some value of it reaches {reached}"
    click.echo(told, err=True)


@main.command()
@click.argument("measurements_file", metavar="MEASUREMENTS.csv", type=PATH)
@SPECS
@click.option("--kernels", multiple=True, type=PATH, metavar="KERNELS.csv",
              help="Specs rows of kernels that replace those of this project, for this run.")  # fmt: skip
@FORMAT
def validate(measurements_file: Path, more: tuple[Path, ...], kernels: tuple[Path, ...], style: str) -> None:
    """Compare the serving model with the measurements of MEASUREMENTS.csv.

    Throughputs, times per token, users in a closed loop, and times of a layer by term from a trace. The
    lines are of the one default for all software; the error with the settings of each stands below.
    """
    from cm384.physics import check as validation
    from cm384.physics import terms

    specs = load_specs(*more, kernels=kernels)
    rows = load_measurements(measurements_file, specs)
    lines, traced = validation.validate(rows, specs), terms.check_traces(rows, specs)
    if style != "table":
        print_rows(pd.concat([lines, traced], ignore_index=True) if len(traced) else lines, style)
    else:
        for table in (lines, traced):
            if len(table):
                print_rows(validation.shown(table), style)
    told = [validation.in_words(lines), validation.first_in_words(lines), terms.traces_in_words(traced)]
    if stacks := validation.stacks(rows, specs):
        again = validation.in_words(validation.validate(rows, specs, settings=True))
        told.append(f"with the settings of {', '.join(stacks)}: {again}")
    for line in filter(None, told):
        click.echo(line, err=True)


@main.command()
@click.argument("model")
@click.argument("subject", metavar="CHIP_OR_SYSTEM")
@click.option("--run", default="", help="One published run; without it every one of the model on the chip.")
@click.option("--precision", default="", help="Only runs in it; at an MFU the precision of the peak (bf16).")
@click.option("--mfu", type=float, help="The share of the peak in matrix units, such as 0.35: without a run.")
@click.option("--tokens", type=float, help="Tokens to train on; without it those of the model itself.")
@click.option("--sequence", type=float, default=4096, show_default=True, help="Its length, at an MFU.")
@SPECS
@FORMAT
def train(model: str, subject: str, more: tuple[Path, ...], style: str, **given: Any) -> None:
    """Tokens/s, MFU, days and energy to train MODEL, by each published run or at an MFU.

    What a system does is scaled from the chips that ran; 915 tokens/s of the 910C have their unit inferred.
    """
    from cm384.physics import training

    specs = load_specs(*more)
    lines = training.forecast(specs, model, subject, **given)
    numbers = {str(name): lines[name].map(tables.number_or_dash) for name in lines.select_dtypes("number")}
    print_rows(lines.assign(**numbers) if style == "table" else lines, style)
    click.echo("without a stop; mfu in % of the matrix units' peak in the precision", err=True)


@main.command()
@click.argument("quantity")
@click.argument("subject")
@click.option("-c", "--condition", "given", multiple=True, metavar="NAME=VALUE",
              help="A condition, such as precision=bf16 or basis=matrix.")  # fmt: skip
@SPECS
@FORMAT
def explain(quantity: str, subject: str, given: tuple[str, ...], more: tuple[Path, ...], style: str) -> None:
    """Print one figure with its formula and every row it was read from."""
    pairs = [pair for text in given for pair in text.split(";")]
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise InputError(f"condition {wrong[0]!r}; expected NAME=VALUE, such as precision=bf16")
    specs, conditions = load_specs(*more), read_conditions(";".join(pairs))
    quantity = meant("quantity", quantity, [*specs.kinds])
    subject = meant("subject", subject, specs.subjects)
    if "comparator" in conditions:
        conditions["comparator"] = meant("subject", conditions["comparator"], specs.subjects)
    found = cm384.explain(quantity, subject, specs, **conditions)
    if style == "table":
        click.echo(str(found))
    else:
        print_rows(found.table, style)


# --- cm384 sweep


@main.command()
@click.argument("target")
@click.argument("names", nargs=-1, metavar="[MODEL CHIP | SUBJECT]")
@click.option(
    "--grid",
    multiple=True,
    metavar="NAME=VALUES | FILE.csv",
    help="An axis: 8,16,32 or 1:384:12 or 1:384:log8, or a file, whose columns go together.",
)
@click.option("-c", "--condition", "given", multiple=True, metavar="NAME=VALUE", help="What stays the same.")
@click.option("--draws", type=int, default=0, help="Draws of the sources for each row; 0: central values.")
@click.option("--out", type=PATH, required=True, help="Folder; goes on with a sweep that was broken off.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes of this machine; default one a core.")
@click.option("--scheduler", default="", metavar="ADDRESS", help="A Dask cluster instead of this machine.")
@SPECS
def sweep(target: str, names: tuple[str, ...], grid: tuple[str, ...], given: tuple[str, ...], draws: int,
          out: Path, workers: int | None, scheduler: str, more: tuple[Path, ...]) -> None:  # fmt: skip
    """Evaluate TARGET over a grid, times draws of the sources, into Parquet files.

    TARGET is `decode` or `prefill` (of MODEL on CHIP), a quantity (of SUBJECT), or a notebook.
    """
    from tqdm import tqdm

    from cm384 import grid as grids
    from cm384 import sweep as sweeps

    found = grids.plan(target, names, (*given, *grid), draws=draws, more=more)
    with tqdm(total=found.rows, unit=" rows", unit_scale=True, file=sys.stderr, delay=0.1) as bar:
        costs = sweeps.sweep(found, out, workers, scheduler, bar.update)
    click.echo(f"{sweeps.in_words(found, costs)}, in {out}", err=True)


@main.command()
def refresh() -> None:
    """Write data/derived anew and re-execute the notebooks of the checkout in place."""
    from cm384 import notebooks

    paths = notebooks.notebooks()
    notebooks.write_derived()
    for path in _progress("notebooks")(paths, len(paths)):
        notebooks.refresh(path)


for command in (predict, list_names, new):
    main.add_command(command)


def _progress(unit: str) -> Any:
    from tqdm import tqdm

    return lambda items, total: tqdm(items, total=total, desc=unit, file=sys.stderr)


def _short(lines: pd.DataFrame) -> pd.DataFrame:
    """The scorecard as a terminal shows it."""
    from cm384.ledger.board import MARKS

    derived = list(map(tables.beside, lines["claimed"], lines["derived"]))
    answer = [f"{MARKS[answer]} {answer}" for answer in lines["answer"]]
    shown = lines.assign(claim=lines["id"], derived=derived, answer=answer)
    return shown.assign(why=lines["plain"])[["claim", "claimed", "derived", "answer", "settled", "why"]]


def _solutions(lines: pd.DataFrame) -> pd.DataFrame:
    """What a row would have to be, as a terminal shows it."""
    needed = tables.with_units(lines["needed"], lines["unit"])
    return lines.assign(claim=lines["id"], needed=needed)[["claim", "claimed", "needed", "why"]]


def _summary(lines: pd.DataFrame) -> None:
    counts = lines["answer"].value_counts()
    text = ", ".join(f"{count} {answer}" for answer, count in counts.items())
    click.echo(f"{len(lines)} claims: {text}", err=True)


if __name__ == "__main__":
    main(prog_name="python -m cm384")
