"""Simulation-based calibration: truths drawn from the prior, ranked among posterior draws."""

import bayescale as bs
from benchmarks.calibration.bench import Bench
from benchmarks.calibration.cards import POOLED, SEED, SIMULATED_CARDS
from benchmarks.calibration.tables import designs

SIMULATIONS = 200


def run(bench: Bench) -> None:
    rows: list[dict] = []
    pairs = [(name, card) for name in designs() for card in SIMULATED_CARDS]
    # The slowest posteriors last.
    for name, card in sorted(pairs, key=lambda pair: pair[1] == POOLED):
        # A set that does not look uniform is asked again, with more simulations of another seed;
        # both are shown.
        for seed, count in ((SEED, SIMULATIONS), (SEED + 1, 2 * SIMULATIONS)):
            result = bs.sbc(
                card,
                designs()[name],
                count,
                seed=seed,
                executor=bench.executor,
                store=bench.store,
                progress=False,
            )
            rows.append({"card": card, "design": name, **facts_of(result)})
            # Written as it grows: it takes longest, and may be stopped.
            bench.write("simulations", rows)
            if result.ok():
                break


def facts_of(result: bs.Sbc) -> dict:
    table = result.table()
    return {
        "simulations": len(result.ranks),
        "uniform": result.ok(),
        "least_p": float(table["p_value"].min()),
        "least_p_of": str(table["p_value"].idxmin()),
        "spread_min": float(table["spread"].min()),
        "spread_max": float(table["spread"].max()),
        "along_chain": int(result.sampler["along_chain"].sum()),
    }
