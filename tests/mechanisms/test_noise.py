"""The sampler: the right law by chi-square, nothing told by errors, nothing shared by children."""

from __future__ import annotations

import ast
import importlib.util
import math
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import opendp.prelude as dp
import pytest

from mechanisms import noise as noise_module
from mechanisms.calibration import Noise, NoiseKind
from mechanisms.noise import NoiseFailed, add_noise
from tests.mechanisms.exact import exact_law, gaussian, label, laplace

ROOT = Path(__file__).resolve().parents[2]
SCALES = [0.5, 1.5, 2.5, 20.0]
LAWS = [*map(laplace, SCALES), *map(gaussian, SCALES)]


def chi_square(draws: list[int], noise: Noise) -> tuple[float, float]:
    """Pearson's statistic against the exact law, and a value it passes once in ten million times.

    Cells are single integers where 50 draws are expected, and the two tails beyond. The critical
    value is Laurent and Massart's (2000, Lemma 1) bound of a chi-square variable:
    ``P(X >= k + 2 sqrt(k x) + 2 x) <= exp(-x)``.
    """
    law, count, seen = exact_law(noise), len(draws), Counter(draws)
    edge = next(z for z in range(10**6) if count * law.tail(z + 1) < 50)
    cells = {z: float(count * law.pmf(z)) for z in range(-edge, edge + 1)}
    statistic = sum((seen[z] - expected) ** 2 / expected for z, expected in cells.items())
    outside = float(count * 2 * law.tail(edge + 1))
    freedom = len(cells) - 1
    if outside >= 5:
        beyond = sum(times for z, times in seen.items() if abs(z) > edge)
        statistic += (beyond - outside) ** 2 / outside
        freedom += 1
    x = math.log(1e7)
    return statistic, freedom + 2 * math.sqrt(freedom * x) + 2 * x


@pytest.mark.parametrize("noise", LAWS, ids=label)
def test_draws_follow_the_law(noise: Noise) -> None:
    statistic, critical = chi_square(add_noise([0] * 60_000, noise), noise)
    assert statistic < critical


@pytest.mark.slow
@pytest.mark.parametrize(
    "noise", [*LAWS, *(k(s) for k in (laplace, gaussian) for s in (1.0, 6.0, 333.3))], ids=label
)
def test_many_draws_follow_the_law(noise: Noise) -> None:
    statistic, critical = chi_square(add_noise([0] * 400_000, noise), noise)
    assert statistic < critical


@pytest.mark.parametrize(
    "true, claimed",
    [
        (laplace(1.5), laplace(3.0)),
        (laplace(20.0), laplace(23.0)),
        (gaussian(2.5), gaussian(2.7)),
        (gaussian(20.0), gaussian(10.0)),
        (laplace(2.0), gaussian(2.0 * math.sqrt(2))),  # the same variance, about
        (gaussian(1.5), laplace(1.5 / math.sqrt(2))),
    ],
    ids=label,
)
def test_chi_square_sees_a_wrong_law(true: Noise, claimed: Noise) -> None:
    """The test of the test: draws of a near law do not pass (expected beyond 9 sd of the limit)."""
    statistic, critical = chi_square(add_noise([0] * 60_000, true), claimed)
    assert statistic > critical


@pytest.mark.parametrize("noise", [laplace(2.5), gaussian(2.5)], ids=label)
def test_noise_is_added_to_each_value_in_its_place(noise: Noise) -> None:
    values = [1000 * i - 50_000 for i in range(101)]
    noisy = add_noise(values, noise)
    assert all(abs(a - b) < 200 for a, b in zip(values, noisy, strict=True))  # 1e-34
    differences = [b - a for a, b in zip(values, noisy, strict=True)]
    assert len(set(differences)) > 3  # one draw for each cell, not one for all
    assert all(type(value) is int for value in noisy)


@pytest.mark.parametrize("noise", [laplace(3.0), gaussian(3.0)], ids=label)
def test_a_call_is_a_fresh_draw(noise: Noise) -> None:
    assert add_noise([0] * 100, noise) != add_noise([0] * 100, noise)


def test_no_values_need_no_noise() -> None:
    assert add_noise([], laplace(1.0)) == []
    with pytest.raises(ValueError, match="scale"):  # but the scale is looked at all the same
        add_noise([], Noise(NoiseKind.LAPLACE, Fraction(0)))


@pytest.mark.parametrize("kind", [laplace, gaussian])
@pytest.mark.parametrize("value", [2**62, 2**63 - 1, 2**63, 10**40, -(2**62), -(2**63), -(10**40)])
def test_huge_values_are_clamped_and_still_blurred(kind: type, value: int) -> None:
    limit = 2**62 if value > 0 else -(2**62)
    noisy = add_noise([value] * 50, kind(10.0))
    assert all(abs(cell - limit) < 10_000 for cell in noisy)
    assert len(set(noisy)) > 5


@pytest.mark.parametrize("kind", [laplace, gaussian])
def test_the_largest_scale_keeps_within_64_bits(kind: type) -> None:
    noisy = add_noise([2**62, -(2**62), 0] * 20, kind(2.0**53))
    assert all(-(2**63) < cell < 2**63 - 1 for cell in noisy)
    assert len(set(noisy)) == 60


@pytest.mark.parametrize(
    "scale",
    [
        Fraction(0),
        Fraction(-1),
        Fraction(1, 3),
        Fraction(10**400),
        Fraction(1, 10**400),
        math.inf,
        math.nan,
    ],
)
@pytest.mark.parametrize("kind", list(NoiseKind))
def test_no_scale_no_noise_no_answer(scale: Fraction, kind: NoiseKind) -> None:
    """OpenDP takes a scale of zero, and adds nothing."""
    with pytest.raises(ValueError, match="scale of noise is a finite float64"):
        add_noise([7], Noise(kind, scale))


@pytest.mark.parametrize("value", [4711.25, "4711", Decimal(4711), None, True, Fraction(4711)])
def test_what_is_no_integer_fails_without_being_quoted(value: object) -> None:
    for values in ([value], [1, value], [value, 1]):
        with pytest.raises(NoiseFailed) as caught:
            add_noise(values, laplace(1.0))  # type: ignore[arg-type]
        _tells_nothing(caught.value)


def test_an_error_of_opendp_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(values: list[int]) -> list[int]:
        raise ValueError(f"cannot add noise to {values}")

    monkeypatch.setattr(noise_module, "_measurement", lambda kind, scale: quoting)
    with pytest.raises(NoiseFailed) as caught:
        add_noise([4711], laplace(1.0))
    _tells_nothing(caught.value)


def test_a_short_answer_of_opendp_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise_module, "_measurement", lambda kind, scale: lambda values: values[1:])
    with pytest.raises(NoiseFailed):
        add_noise([1, 2], laplace(1.0))


def _tells_nothing(error: BaseException) -> None:
    assert str(error) == "the noise could not be added"
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("noise", [laplace(1e9), gaussian(1e9)], ids=label)
def test_children_of_a_fork_draw_distinct_noise(noise: Noise) -> None:
    add_noise([0], noise)  # the measurement, and any state of the generator, exist before the fork
    drawn = [_draw_in_a_child(noise) for _ in range(4)] + [add_noise([0] * 8, noise)]
    every = [cell for cells in drawn for cell in cells]
    assert len(every) == 40
    assert len(set(every)) == 40  # two of 40 alike by chance: below 1e-6


def _draw_in_a_child(noise: Noise) -> list[int]:
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writable, " ".join(map(str, add_noise([0] * 8, noise))).encode())
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return [int(word) for word in text.split()]


@pytest.mark.parametrize("noise", [laplace(1e9), gaussian(1e9)], ids=label)
def test_threads_draw_distinct_noise(noise: Noise) -> None:
    with ThreadPoolExecutor(8) as pool:
        drawn = pool.map(lambda _: add_noise([0] * 5, noise), range(8))
    assert len({cell for cells in drawn for cell in cells}) == 40


def test_noise_is_the_only_import_of_opendp_and_no_one_imports_another_generator() -> None:
    importers, generators = [], []
    for room in ("accountant", "analyzer", "mechanisms", "server"):
        for path in (ROOT / room).rglob("*.py"):
            modules = _imported(path)
            if any(module.split(".")[0] == "opendp" for module in modules):
                importers.append(path.relative_to(ROOT).as_posix())
            if room == "mechanisms" and modules & {"random", "numpy", "secrets", "numpy.random"}:
                generators.append(path.relative_to(ROOT).as_posix())
    assert importers == ["mechanisms/noise.py"]
    assert generators == []


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_calibrating_loads_no_opendp_and_noise_enables_contrib_alone() -> None:
    script = (
        "import sys, mechanisms.calibration\n"
        "assert 'opendp' not in sys.modules\n"
        "import mechanisms.noise, opendp.mod\n"
        "print(sorted(opendp.mod.GLOBAL_FEATURES))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("['contrib']", 0), done.stderr


def test_another_opendp_is_refused_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp, "__version__", "0.14.1")
    spec = importlib.util.spec_from_file_location("another_noise", noise_module.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=r"needs opendp 0\.16\.0.*installed is 0\.14\.1"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
