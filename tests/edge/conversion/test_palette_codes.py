"""When few values are a palette, and when codes per channel are the better ones; dead channels."""

import numpy as np
from export_zoo import build, data_for

from edge.conversion.channels import channels_last
from edge.conversion.keras_conversion import KerasConversion
from edge.conversion.palette_codes import CodedKernel, is_worth_it, palette_step, plain_codes

rng = np.random.default_rng(0)


def in_palette(kernel):
    step = palette_step(kernel)
    return CodedKernel(np.round(kernel / step).astype(np.int8), np.full(len(kernel), step, np.float32), 0)


def test_a_palette_of_a_large_kernel_is_worth_it():
    kernel = rng.choice(rng.normal(size=8), (32, 200)).astype(np.float32)
    folded = kernel * rng.uniform(0.1, 2, (32, 1)).astype(np.float32)
    factors = folded[:, 0] / kernel[:, 0]
    coded = in_palette(kernel)
    assert is_worth_it(coded._replace(scales=coded.scales * factors), plain_codes(folded, 0), folded)


def test_quiet_channels_with_few_values_are_no_palette():
    """A pruned kernel: hardly any value is there twice, and the last channels are a thousandth of the first ones."""
    kernel = rng.normal(size=(16, 9)) * np.geomspace(1, 1e-3, 16)[:, None]
    kernel = np.where(rng.random(kernel.shape) < 0.6, 0, kernel).astype(np.float32)
    assert len(np.unique(kernel)) <= kernel.size / 2
    coded = in_palette(kernel)
    assert np.abs(coded.codes[-1]).max() == 0 < np.abs(kernel[-1]).max()
    assert not is_worth_it(coded, plain_codes(kernel, 0), kernel)


def test_dead_channels_get_no_codes():
    kernel = rng.normal(size=(4, 30)).astype(np.float32)
    kernel[1] *= 1e-30
    kernel[2] = 0
    coded = plain_codes(kernel, 0)
    assert not coded.codes[1:3].any() and np.abs(coded.codes[0]).max() == 127
    assert coded.scales.min() > 1e-6


def kernels(conversion, model):
    """Each kernel of the float model, with its name in another one: a float operator's int8 kernel is dequantised."""
    ours = conversion.reference.kernel_uses()
    return zip(ours, [use.kernel for use in model.kernel_uses()] or [use.kernel for use in ours], strict=True)


def errors_of_channels(conversion, model):
    """Relative error of each channel of each kernel."""
    found = []
    for use, kernel in kernels(conversion, model):
        exact = channels_last(conversion.reference.constant(use.kernel), use.channel_axis)
        ours = channels_last(model.constant(kernel), use.channel_axis) * model.scales(kernel)
        sizes = np.sqrt((exact**2).sum(axis=0))
        found.append((np.sqrt(((ours - exact) ** 2).sum(axis=0)) / np.maximum(sizes, 1e-20), sizes))
    return found


def test_pruned_kernels_keep_their_quiet_channels():
    model = build("pruned")
    conversion = KerasConversion(model, data_for(model)["x"])
    assert conversion.folded  # they do have few values
    for made in (conversion.weight_only, conversion.integer):
        found = errors_of_channels(conversion, made)
        assert len(found) == 3
        for errors, sizes in found[:2]:
            assert errors[sizes > 0].max() < 0.02
    assert conversion.plain_kernels


def test_dead_channels_have_no_full_range_in_any_variant():
    model = build("dead_channels")
    conversion = KerasConversion(model, data_for(model)["x"])
    for made in (conversion.weight_only, conversion.integer):
        _, kernel = next(kernels(conversion, made))
        codes, scales = made.constant(kernel), made.scales(kernel)
        assert not codes[1::4].any() and codes[0].any()
        assert scales.min() > 1e-9
