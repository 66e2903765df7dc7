"""Palettes of a kernel: each step makes the outputs' error on correlated inputs smaller."""

import numpy as np
import pytest

from edge.palettes.compensated_weights import CompensatedWeights, damped
from edge.palettes.palettize import PaletteMethod, palettize
from edge.palettes.second_moments import MomentsSum
from edge.palettes.separate_weights import SeparateWeights

PLAIN = PaletteMethod(weighted=False, compensated=False)
WEIGHTED = PaletteMethod(compensated=False)


@pytest.fixture(scope="module")
def case():
    """Weights (2 groups, 12 rows, 20 columns), correlated inputs, and rows of different importance."""
    rng = np.random.default_rng(0)
    weights = np.clip(np.round(rng.laplace(0, 25, (2, 12, 20))), -127, 127).astype(np.int8)
    mixing = rng.normal(size=(2, 20, 20)) * rng.uniform(0.1, 3, (2, 1, 20))
    x = np.einsum("gkl,ngl->ngk", mixing, rng.normal(size=(500, 2, 20))) + 4.0
    sums = MomentsSum(2, 20)
    sums.add(x[:200])
    sums.add(x[200:])
    return weights, x, sums.moments, rng.uniform(0.2, 2.0, (2, 12))


def output_error(case, codes):
    """Importance times the variance of the outputs' errors, computed from the inputs themselves."""
    weights, x, _, importance = case
    errors = np.einsum("grk,ngk->ngr", weights.astype(float) - codes, x)
    return float((importance * errors.var(axis=0)).sum())


def test_moments_are_those_of_the_inputs(case):
    _, x, moments, _ = case
    for group in range(2):
        np.testing.assert_allclose(moments.mean[group], x[:, group].mean(axis=0))
        np.testing.assert_allclose(moments.covariance[group], np.cov(x[:, group].T, bias=True), atol=1e-9)
    np.testing.assert_allclose(moments.variance, x.var(axis=0), atol=1e-9)


def test_variances_alone_are_the_same():
    x = np.random.default_rng(0).normal(size=(50, 3, 7))
    full, alone = MomentsSum(3, 7), MomentsSum(3, 7, covariances=False)
    full.add(x)
    alone.add(x)
    np.testing.assert_allclose(full.moments.variance, alone.moments.variance)
    assert alone.moments.covariance is None


def test_no_patches_have_no_moments():
    with pytest.raises(ValueError, match="no patches"):
        assert MomentsSum(1, 2).moments


@pytest.mark.parametrize("clusters", [4, 8, 16])
def test_the_error_is_the_measured_one_and_falls_with_each_step(case, clusters):
    weights, _, moments, importance = case
    errors = []
    for method in (PLAIN, WEIGHTED, PaletteMethod()):
        found = palettize(weights, moments, importance, clusters, method=method)
        assert found.codes.dtype == np.int8 and len(np.unique(found.codes)) <= clusters
        assert found.squared_error == pytest.approx(output_error(case, found.codes))
        errors.append(found.squared_error)
    assert errors[1] < errors[0] and errors[2] < 0.6 * errors[1]


def test_a_price_buys_bits(case):
    weights, _, moments, importance = case
    free = palettize(weights, moments, importance, 16)
    paid = [
        palettize(weights, moments, importance, 16, price)
        for price in np.array([1, 4, 16]) * free.squared_error / weights.size
    ]
    bits = [free.bits, *(each.bits for each in paid)]
    errors = [free.squared_error, *(each.squared_error for each in paid)]
    assert bits == sorted(bits, reverse=True) and bits[-1] < bits[0] - 0.5
    assert errors == sorted(errors)


def test_a_kernel_in_its_palette_stays(case):
    weights, _, moments, importance = case
    few = (weights // 32 * 32).clip(-127, 127).astype(np.int8)
    assert (palettize(few, moments, importance, 16).codes == few).all()
    assert (palettize(few, None, importance, 16).codes == few).all()


def test_inputs_that_never_vary_are_no_error(case):
    weights, x, _, importance = case
    sums = MomentsSum(2, 20)
    sums.add(np.zeros_like(x))
    found = palettize(weights, sums.moments, importance, 8)
    assert np.isfinite(found.squared_error) and len(np.unique(found.codes)) <= 8


@pytest.mark.parametrize("coupled", [True, False])
def test_the_best_values_of_an_assignment_have_no_slope(case, coupled):
    weights, _, moments, importance = case
    rng = np.random.default_rng(1)
    assigned = rng.integers(0, 5, weights.shape)
    assigned[assigned == 3] = 2  # nothing has value 3
    kernel = weights.astype(float)
    objective = (
        CompensatedWeights(kernel, damped(moments.covariance), importance)
        if coupled
        else SeparateWeights(kernel, importance[:, :, None] * moments.variance[:, None, :])
    )
    values = objective.best_values(assigned, 5)
    assert np.isnan(values[3]) and not np.isnan(values[[0, 1, 2, 4]]).any()
    best = objective.squared_error(values[assigned])
    for place in (0, 1, 2, 4):
        for step in (-0.01, 0.01):
            moved = values.copy()
            moved[place] += step
            assert objective.squared_error(moved[assigned]) > best
