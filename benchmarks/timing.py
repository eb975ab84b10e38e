"""Whole processes, interleaved, timed by the operating system: wall, CPU and peak memory."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One finished process: seconds of wall and CPU, peak resident bytes."""

    wall: float
    cpu: float
    peak: int


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Sample:
    """Run a command to its end; its failure is ours, with what it said."""
    started = time.perf_counter()
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said.decode()}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def interleave(
    contestants: Mapping[str, Sequence[str]], runs: int, reset: Callable[[], None]
) -> dict[str, list[Sample]]:
    """Every contestant once, `runs` times over, after one round that is not counted."""
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    for number in range(runs + 1):
        for name, command in contestants.items():
            reset()
            sample = measure(command, {"HF_HUB_OFFLINE": "1"})
            print(f"{number}/{runs} {name}: {sample.wall:.2f} s", file=sys.stderr, flush=True)
            if number:
                samples[name].append(sample)
    return samples


def settle(folders: Sequence[Path]) -> None:
    """Remove outputs and wait for the disk, so that no run pays for the one before it."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    os.sync()


def summary(name: str, samples: Sequence[Sample], floor: Sequence[Sample]) -> dict[str, object]:
    """Medians, spread, and the median of the ratios to the floor's run of the same round."""
    walls = [sample.wall for sample in samples]
    cpus = [sample.cpu for sample in samples]
    rounds = list(zip(samples, floor, strict=False))
    return {
        "what": name,
        "runs": len(samples),
        "wall_s": round(statistics.median(walls), 3),
        "wall_min_max_s": f"{min(walls):.2f}–{max(walls):.2f}",
        "cpu_s": round(statistics.median(cpus), 3),
        "peak_MB": round(max(sample.peak for sample in samples) / 1e6, 1),
        "wall_over_floor": round(statistics.median(a.wall / b.wall for a, b in rounds), 3),
        "cpu_over_floor": round(statistics.median(a.cpu / b.cpu for a, b in rounds), 3),
    }


def machine() -> dict[str, object]:
    """The machine and the versions that a table is true for, and how busy it was."""
    packages = ("numpy", "blake3", "safetensors", "torch", "transformers")
    processor = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        **{package: version(package) for package in packages},
    }


def markdown(rows: Sequence[Mapping[str, object]]) -> str:
    """A table that GitHub draws."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([str(row[c]) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
