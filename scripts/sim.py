"""The simulator on many seeds: laptops, links and faults made up from a seed, around the core that ships.

    scripts/sim                            every scenario with one seed that nobody chose
    scripts/sim --seeds 20                 … with twenty, one after the other
    scripts/sim --scenario storm --seed 7  one run, the same each time
    scripts/sim --nodes 12                 with so many laptops instead of the scenario's own number

Rule: the seed and every option are printed before anything runs, a failure ends with the command that repeats it, and
the exit status is 1 if any run failed. A run prints one line: how many posts, how many events of all cores, how long
(virtual time) it took from healing until everybody had everything, how many envelopes were sent for each one that was
new, the bytes on all links, and the trace, which is the same for the same seed on every machine. The scenario `away`
has no links: a run is one schedule of a group's members, and its two figures are added up over all seeds. Nor has
`plans`: a run is one plan among honest and hostile people, and what came of it is added up too, as for `arranged`,
which is a plan on real cores, some of them hostile members'. A run of `direct` prints when what two wrote to each other
was read, answered and acknowledged.
"""

import argparse
import random
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from tests.simulation import away, cores, directs, plans  # noqa: E402
from tests.simulation.away import Away, Schedule  # noqa: E402  (found through the line above)
from tests.simulation.cores import Cores  # noqa: E402
from tests.simulation.directs import Direct  # noqa: E402
from tests.simulation.plans import Plans  # noqa: E402
from tests.simulation.scenarios import SCENARIOS, Scenario, run, scratch_folder  # noqa: E402

ALL: dict[str, Scenario | Away | Direct | Plans | Cores] = {
    **SCENARIOS,
    "away": Away(),
    "direct": Direct(),
    "plans": Plans(),
    "arranged": Cores(),
}


def main(arguments: list[str]) -> int:
    known = "\n".join(f"  {name:9}{scenario.about}" for name, scenario in ALL.items())
    parser = argparse.ArgumentParser(
        prog="scripts/sim",
        description="Run the simulator; exit status 1 if anything that must hold does not.",
        epilog=f"scenarios:\n{known}\n\nexample: scripts/sim --scenario crash --seeds 10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="how many seeds, from the first on")
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed (default: drawn, and printed)")
    parser.add_argument("--nodes", type=int, metavar="N", help="how many laptops (default: the scenario's)")
    parser.add_argument("--scenario", choices=ALL, metavar="NAME", help="which one (default: all)")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1 or (chosen.nodes is not None and chosen.nodes < 2):
        parser.error("at least one seed, and at least two laptops")
    first = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    names = [chosen.scenario] if chosen.scenario else list(ALL)
    print(f"seeds {first} to {first + chosen.seeds - 1}; scenarios {', '.join(names)}")
    failed = 0
    for name in names:
        scenario = replace(ALL[name], nodes=chosen.nodes or ALL[name].nodes)
        options = {key: value for key, value in asdict(scenario).items() if value and key != "about"}
        print(f"{name}: {', '.join(f'{key}={value}' for key, value in options.items())}", flush=True)
        if isinstance(scenario, Away | Plans | Cores):
            failed += _added_up(name, scenario, range(first, first + chosen.seeds))
            continue
        for seed in range(first, first + chosen.seeds):
            if isinstance(scenario, Direct):
                failed += not _direct(name, scenario, seed)
            else:
                failed += not _one(name, scenario, seed)
    if failed:
        print(f"{failed} of {len(names) * chosen.seeds} runs failed")
    return 1 if failed else 0


def _one(name: str, scenario: Scenario, seed: int) -> bool:
    """Run one seed and print its line; whether everything held."""
    began = time.perf_counter()
    repeat = f"scripts/sim --scenario {name} --seed {seed} --nodes {scenario.nodes}"
    try:
        outcome = run(scenario, seed)
    except AssertionError as error:
        print(f"  seed {seed}: FAILED: {error}\n  to repeat: {repeat}", flush=True)
        return False
    except BaseException:
        print(f"  seed {seed}: broken off; to repeat: {repeat}", flush=True)
        raise
    print(
        f"  seed {seed}: {outcome.posts} posts, {outcome.events} events,"
        f" everybody has everything {outcome.converge_ms / 1000:.2f} s after healing,"
        f" 99 % of deliveries within {outcome.slow_ms} ms,"
        f" partitions healed in {', '.join(f'{each / 1000:.1f}' for each in outcome.heals_ms) or '-'} s,"
        f" {outcome.copies:.2f} copies each, {outcome.size} bytes, trace {outcome.trace},"
        f" took {time.perf_counter() - began:.1f} s",
        flush=True,
    )
    return True


def _direct(name: str, scenario: Direct, seed: int) -> bool:
    """Run one seed of a direct and print what came of it; whether everything held."""
    try:
        with scratch_folder() as folder:
            print(f"  seed {seed}: {directs.run(scenario, seed, folder)}", flush=True)
    except AssertionError as error:
        repeat = f"scripts/sim --scenario {name} --seed {seed} --nodes {scenario.nodes}"
        print(f"  seed {seed}: FAILED: {error}\n  to repeat: {repeat}", flush=True)
        return False
    return True


def _added_up(name: str, scenario: Away | Plans | Cores, seeds: range) -> int:
    """Run these seeds, print a line for each and their sum; how many failed."""
    done: list[away.Figures | plans.Figures | cores.Figures] = []
    for seed in seeds:
        try:
            done.append(_figures(scenario, seed))
        except AssertionError as error:
            repeat = f"scripts/sim --scenario {name} --seed {seed} --nodes {scenario.nodes}"
            print(f"  seed {seed}: FAILED: {error}\n  to repeat: {repeat}", flush=True)
            continue
        print(f"  seed {seed}: {done[-1]}", flush=True)
    if done:
        print(f"  {len(done)} runs: {type(done[0])(*map(sum, zip(*done, strict=True)))}", flush=True)
    return len(seeds) - len(done)


def _figures(scenario: Away | Plans | Cores, seed: int) -> away.Figures | plans.Figures | cores.Figures:
    """What came of one seed; AssertionError if anything that must hold does not."""
    if isinstance(scenario, Cores):
        with scratch_folder() as folder:
            return cores.Run(scenario, seed, folder).run()
    return (Schedule(scenario, seed) if isinstance(scenario, Away) else plans.Run(scenario, seed)).run()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
