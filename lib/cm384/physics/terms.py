"""Each term of the model against benchmarks of its own kernel, chip by chip.

A row of `kernels.csv` names the term that it is a benchmark of, or says why none is. Times and gains
are never averaged together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cm384.physics import kernels, layers
from cm384.physics.check import predict, spread
from cm384.physics.kernels import eight_bits
from cm384.physics.layers import ATTENTION
from cm384.physics.models import load_model
from cm384.table import units
from cm384.table.errors import InputError, NotStated
from cm384.table.frames import pd
from cm384.table.records import KERNELS, Deployment, Kernel, Measurement
from cm384.table.specs import Specs

# The quantities whose rows are the constants of a term; what is measured in a step uses them all.
CONSTANTS = {
    "matrix products": ("gemm_rate", "gemm_bandwidth", "gemm_fixed_time"),
    "absorption": ("gemm_rate", "gemm_bandwidth", "gemm_fixed_time"),
    "latent attention": ("attention_rate", "attention_fixed_time", "attention_bandwidth"),
    "grouped-query attention": ("attention_rate", "attention_fixed_time", "attention_bandwidth"),
    "sparse attention": ("attention_rate", "attention_fixed_time", "attention_bandwidth"),
    "indexer": ("index_rate", "index_fixed_time"),
    "DSA block": ("attention_rate", "attention_fixed_time", "index_fixed_time", "gemm_rate"),
    "experts, exchanged": ("gemm_rate", "gemm_bandwidth", "gemm_fixed_time"),
    "experts, fused": ("gemm_rate", "gemm_bandwidth", "gemm_fixed_time"),
    "exchanges": ("exchange_fixed_time", "exchange_bandwidth"),
    "all-reduce": ("all_reduce_latency", "all_reduce_bandwidth"),
}


def check_terms(rows: Iterable[Kernel], specs: Specs) -> pd.DataFrame:
    """One line a benchmark that names a term: measured, predicted and predicted ÷ measured − 1.

    `kind` is time or gain, a gain being a change of throughput in percent; `own` says whether the
    document also gave the term one of its constants for that chip. A row whose chip has no kernels of
    that kind has no prediction, and the `reason`.
    """
    found = []
    for row in rows:
        if not row.term:
            continue
        predicted, reason = float("nan"), ""
        try:
            predicted = _term(row, specs)
        except NotStated as error:
            reason = str(error)
        kind = "gain" if row.unit == "percent" else "time"
        found.append({"id": row.id, "accelerator": row.accelerator, "kernel": row.kernel, "term": row.term,
                      "kind": kind, "own": row.source in _sources(row, specs), "unit": row.unit,
                      "measured": float(row.value), "predicted": predicted,
                      "error": predicted / float(row.value) - 1, "reason": reason})  # fmt: skip
    return pd.DataFrame(found)


def term_errors(lines: pd.DataFrame) -> pd.DataFrame:
    """Number, median, nine in ten and bias of the errors by kind, term and chip."""
    names = ["kind", "term", "accelerator"]
    known = lines[lines["reason"] == ""].groupby(names, sort=False)
    found = [(*key, int(part["own"].sum()), *spread(part).values()) for key, part in known]
    return pd.DataFrame(found, columns=[*names, "of its own document", *spread(lines)])


def _sources(row: Kernel, specs: Specs) -> set[str]:
    """The documents of the central constants that a term has for a chip."""
    wanted = CONSTANTS.get(row.term, KERNELS)
    keys = [key for name in wanted for key in specs.stated.get((row.accelerator, name), ())]
    return {specs.rows[key][0].source for key in keys}


def _term(row: Kernel, specs: Specs) -> float:
    """What the model says of a benchmark in its unit."""
    given = row.given
    if "measurement" in given:
        return _in_service(row, specs, specs.measurements[given["measurement"]])
    return float({"gemm_throughput": _gemm, "gemm_time": _gemm, "attention_time": _attention,
            "exchange_latency": _experts, "expert_time": _experts, "fused_time": _experts,
            "all_reduce_time": _all_reduce}[row.quantity](row, specs))  # fmt: skip


def _in(unit: str, value: Any, base: str) -> float:
    return float(units.Q(float(value), base).to(unit).m)


def _gemm(row: Kernel, specs: Specs) -> float:
    given = row.given
    m, n, k, groups = (float(given.get(x, 1)) for x in ("m", "n", "k", "groups"))
    precision = given["precision"].replace("fp16", "bf16")
    machine = kernels.machine(specs, row.accelerator, kernels.Asked("decode", precision, "bf16"))
    gemm = machine.expert_gemm if "masked" in row.kernel else machine.gemm[precision]
    seconds = gemm.time(m * groups, k, n, groups) - machine.launch_gap  # kernels are timed alone
    if row.quantity == "gemm_throughput":
        return _in(row.unit, 2 * m * n * k * groups / seconds, "FLOP/s")
    return _in(row.unit, seconds, "s")


def _layers(row: Kernel, specs: Specs, model: str, phase: str, **given: Any) -> layers.Layers:
    """The layers of a model on one rank, or on as many ranks as a benchmark was run on."""
    ranks = float(given.pop("ranks", 1.0))
    packages = ranks / float(specs.get(row.accelerator, "ranks_per_package").m)
    given = {"expert_parallel": ranks, "batch": 1.0, "context": 4096.0} | given
    known, found = load_model(specs.models[model]), Deployment(row.accelerator, packages, **given)
    return layers.Layers(specs, known, found, phase)


def _attention(row: Kernel, specs: Specs) -> float:
    """The core of one layer's attention, its indexer, or a block of them with the products around."""
    given = row.given
    length, precision = float(given["length"]), given.get("precision", "bf16")
    phase = "prefill" if given.get("causal") == "yes" else "decode"
    # Where no model is named: Llama 3.1 70B, whose 64 heads share 8 of keys and values, or DeepSeek-R1.
    usual = "llama-3.1-70b" if row.term == "grouped-query attention" else "deepseek-r1"
    name = given.get("model", usual)
    whole = load_model(specs.models[name]).attention.heads
    named = row.term not in ("latent attention", "indexer")
    tensor = whole / float(given["heads"]) if named else 1.0
    batch = float(given.get("batch", float(given.get("tokens", length)) / length))
    taken = batch * length if phase == "prefill" else batch
    attention = given.get("attention", "bf16" if row.term == "indexer" else precision)
    step = _layers(row, specs, name, phase, ranks=tensor, expert_parallel=tensor, tensor_parallel=tensor,
                   batch=taken / tensor, context=length, matrix_precision=precision,
                   attention_precision=attention, kv_precision=given.get("kv", precision))  # fmt: skip
    if row.term == "indexer":
        return _in(row.unit, step.indexer(step.batch, 1.0, 1.0), "s")
    if "block" not in row.kernel:
        return _in(row.unit, step.attention_core(step.batch, 1.0, 1.0), "s")
    terms = step.attention(step.batch, 1.0, 1.0)
    left_out = {"attention_vector", "attention_reduce"} | ({"indexer"} if "without" in row.kernel else set())
    return _in(row.unit, sum(time for term, time in terms.items() if term not in left_out), "s")


def _experts(row: Kernel, specs: Specs) -> float:
    """A dispatch, a combine, or the products of the experts of DeepSeek-R1."""
    given, tokens = row.given, float(row.given["tokens"])
    if row.quantity == "fused_time":
        tensor, phase = float(given["tensor"]), "decode" if tokens <= 512 else "prefill"
        name = given.get("model", "deepseek-r1")
        step = _layers(row, specs, name, phase, ranks=tensor, tensor_parallel=tensor,
                       expert_parallel=float(given["experts"]), matrix_precision=given["precision"],
                       routing="unbalanced")  # fmt: skip
        if step.machine.fused_gemm is None:
            raise NotStated(f"no source states how fast fused experts run on {row.accelerator}")
        each = tokens / tensor
        return _in(row.unit, step.experts(each, step.load(each), 1.0)["routed_experts"], "s")
    # Copies of a token, where the benchmark says that they are not the routed experts alone.
    model = load_model(specs.models["deepseek-r1"])
    tokens *= float(given.get("copies", model.experts_per_token)) / model.experts_per_token
    phase = "prefill" if "normal" in row.kernel else "decode"
    step = _layers(row, specs, "deepseek-r1", phase, ranks=float(given["ranks"]), batch=tokens,
                   matrix_precision=eight_bits(specs, row.accelerator, given.get("payload", "")))  # fmt: skip
    if row.quantity == "expert_time":
        return _in(row.unit, step.experts(tokens, 1.0, 1.0)["routed_experts"], "s")
    return _in(row.unit, step.exchange(given["op"], tokens, 1.0)[0], "s")


def _all_reduce(row: Kernel, specs: Specs) -> float:
    ranks = float(row.given["ranks"])
    step = _layers(row, specs, "deepseek-r1", "decode", ranks=ranks, tensor_parallel=ranks,
                   matrix_precision=eight_bits(specs, row.accelerator))  # fmt: skip
    return _in(row.unit, step.all_reduce(float(row.given["elements"]) / step.model.hidden_size), "s")


def _in_service(row: Kernel, specs: Specs, measurement: Measurement) -> float:
    """The gain of a deployment over itself with one change, or the time of its layer, stream or operators.

    Conditions name the measurement, the fields in which it differs, and `versus` the change; or `terms`,
    the operators of a whole step that were timed together.
    """
    named = ("measurement", "stream", "terms", "versus")
    changes = {field: _value(text) for field, text in row.given.items() if field not in named}
    result = predict(measurement, specs, **changes)
    if versus := row.given.get("versus"):
        pairs = dict(pair.split(":") for pair in versus.split(","))
        base = predict(measurement, specs, **changes | {field: _value(text) for field, text in pairs.items()})
        return 100 * float((result.throughput / base.throughput).m - 1)
    if terms := row.given.get("terms"):
        drafts = float(measurement.draft_tokens or 0)
        return sum(_in(row.unit, operator_time(result, term, drafts), "s") for term in terms.split("+"))
    times = result.layer
    if stream := row.given.get("stream"):
        ours = [term for term in times if (term in ATTENTION) == (stream == "attention")]
        return _in(row.unit, sum(times[term] for term in ours if term != "overlap") / 2, "s")
    return _in(row.unit, sum(times.values()), "s")


def operator_time(result: Any, term: str, drafts: float) -> Any:
    """Seconds of one term in a whole step, that of the draft steps in it: a layer and a head each."""
    again = result.breakdown[term] if term == "lm_head" else result.layer.get(term, 0.0)
    return result.breakdown.get(term, 0.0) + drafts * again


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


# --- times by term of somebody's own trace ----------------------------------------------------------


def check_traces(rows: Iterable[Measurement], specs: Specs) -> pd.DataFrame:
    """One line for each time by term of a measurement: µs of one layer, measured and predicted."""
    found = []
    for row in (row for row in rows if row.terms):
        try:
            layer, reason = predict(row, specs).layer, ""
        except InputError as error:
            layer, reason = {}, str(error)
        for name, measured in row.by_term.items():
            unknown = [term for term in name.split("+") if layer and term not in layer]
            if unknown:
                told = f"no term {unknown[0]!r}; a layer has {', '.join(layer)}"
                raise InputError(f"{row.id}, column terms: {told}")
            predicted = 1e6 * sum(layer[term] for term in name.split("+")) if layer else float("nan")
            found.append({"id": row.id, "accelerator": row.accelerator, "phase": row.phase, "term": name,
                          "measured": measured, "predicted": float(predicted),
                          "error": float(predicted) / measured - 1, "reason": reason})  # fmt: skip
    return pd.DataFrame(found)


def traces_in_words(traced: pd.DataFrame) -> str:
    """The times by term in one line: how many, and how far off half of them and their sum are."""
    if traced.empty:
        return ""
    half = units.percent(float(traced["error"].abs().median()), 1)
    off = units.percent(float(traced["predicted"].sum() / traced["measured"].sum()) - 1, 1, "+")
    return f"{len(traced)} times by term, in µs of a layer: half within {half}, their sum {off} off"
