"""What `encode` and `encode_seed` write, `decode` reads with the same specification; other kinds are refused."""

import dataclasses

import numpy as np
import pytest
from codec_examples import assert_equal, random_held, random_message, random_update, spec_of, update_spec
from hypothesis import given, settings
from hypothesis import strategies as st

import tfc

SPEC = spec_of([(3, 4), (2, 2, 3)], [(5,), (4, 3)], 16, 2)
KINDS = st.lists(st.sampled_from(tfc.Kind), unique=True).map(tuple)


def payload_of(kind, seed, spec):
    """A random message of a kind, and the model that it refers to."""
    held = random_held(seed, spec, min(7, spec.ranks))
    if kind == tfc.Kind.SEED:
        return tfc.encode_seed(seed, 7, np.ones(2), spec), None
    if kind == tfc.Kind.UPDATE:
        return tfc.encode(random_update(seed, spec, held), spec, held, update=True), held
    given_model = held if kind != tfc.Kind.KEY_FRAME else None
    catch_up = kind == tfc.Kind.CATCH_UP
    return tfc.encode(
        random_message(seed, spec, 7, given_model, 0.3), spec, given_model, catch_up=catch_up
    ), given_model


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(tfc.Kind), st.integers(0, 999), KINDS)
def test_every_kind_is_read_back_with_the_same_specification_or_refused(kind, seed, kinds):
    spec = SPEC if kind != tfc.Kind.UPDATE else update_spec(SPEC, 9)
    spec = dataclasses.replace(spec, kinds=kinds, remembers_moves=kind != tfc.Kind.CATCH_UP)
    if kind not in kinds:
        with pytest.raises(tfc.CodecError, match=f"not {kind.name}: .*kinds"):
            payload_of(kind, seed, spec)
        return
    payload, held = payload_of(kind, seed, spec)
    assert payload[3] == kind
    decoded = tfc.decode(payload, spec, held)
    assert decoded.message.scalars.shape == (2,)
    # Whatever was rounded on the way is not rounded again.
    if kind != tfc.Kind.SEED:
        options = {"update": kind == tfc.Kind.UPDATE, "catch_up": kind == tfc.Kind.CATCH_UP}
        again = tfc.encode(decoded.message, spec, held, **options)
        assert_equal(tfc.decode(again, spec, held).message.palettes, decoded.message.palettes)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 16), st.integers(1, 16), st.sampled_from([0.0, 0.1, 1.0]))
def test_a_catch_up_message_is_exact_and_its_indices_cost_what_changed(seed, before, clusters, change):
    spec = spec_of([(30, 40)], [(5,), (4, 3)], 16, 2, kinds=(tfc.Kind.CATCH_UP,), remembers_moves=False)
    held = random_held(seed, spec, before)
    message = random_message(seed + 1, spec, clusters, held, change)
    payload = tfc.encode(message, spec, held, catch_up=True)
    found = tfc.decode(payload, spec, held)
    assert_equal(found.message.others, message.others)
    palette, sent = found.message.palettes[0], message.palettes[0]
    np.testing.assert_array_equal(palette.indices, sent.indices)
    assert palette.codebook[:clusters].tobytes() == sent.codebook[:clusters].tobytes()
    assert not any(move.any() for move in found.moves)
    # Indices that did not change cost a table and the coder's states; what is left are the floats.
    same = message._replace(num_clusters=held.num_clusters, palettes=held.palettes)
    floats = 4 * (before + 17 + 2)
    assert len(tfc.encode(same, spec, held, catch_up=True)) < floats + 60 + 2 * before


def test_a_catch_up_message_that_could_not_be_understood_is_refused():
    spec = dataclasses.replace(SPEC, kinds=tuple(tfc.Kind), remembers_moves=False)
    held = random_held(0, spec, 7)
    assert "needs the older broadcast that the receiver holds" in refused(spec=spec, catch_up=True)
    assert "not both" in refused(spec=spec, held=held, catch_up=True, update=True)
    moving = dataclasses.replace(spec, remembers_moves=True)
    assert "needs remembers_moves = False" in refused(spec=moving, held=held, catch_up=True)
    plain = spec_of([], [(3,)], 1, 0)
    assert "needs clustered kernels" in refused(
        random_message(0, plain, 0), plain, random_held(0, plain, 0), catch_up=True
    )
    payload = tfc.encode(random_message(0, spec, 7), spec, held, catch_up=True)
    with pytest.raises(tfc.CodecError, match="this end holds none"):
        tfc.decode(payload, spec)
    with pytest.raises(tfc.CodecError, match="byte 4: the message refers to model"):
        tfc.decode(payload, spec, random_held(1, spec, 7))


@pytest.mark.parametrize("kind", [tfc.Kind.KEY_FRAME, tfc.Kind.DELTA])
def test_the_default_specification_takes_what_encode_makes_by_default(kind):
    spec = tfc.MessageSpec(SPEC.kernel_shapes, SPEC.other_shapes, 16, 2)
    payload, held = payload_of(kind, 0, spec)
    assert tfc.decode(payload, spec, held).message.num_clusters == 7


def test_a_model_without_clustered_kernels_has_one_kind():
    spec = spec_of([], [(3,)], 1, 0, kinds=())
    message = random_message(0, spec, 0)
    assert_equal(tfc.decode(tfc.encode(message, spec), spec).message, message)
    with pytest.raises(tfc.CodecError, match="an update needs clustered kernels"):
        tfc.encode(message, spec, random_held(0, spec, 0), update=True)


def refused(message=None, spec=SPEC, held=None, **options):
    with pytest.raises(tfc.CodecError) as error:
        tfc.encode(message or random_message(0, spec, 7), spec, held, **options)
    return str(error.value)


def test_what_could_not_be_read_back_is_refused():
    message, held = random_message(0, SPEC, 7), random_held(0, SPEC, 7)
    palette = message.palettes[0]

    def with_palette(**changes):
        return message._replace(palettes=(palette._replace(**changes), *message.palettes[1:]))

    updates = update_spec(SPEC, 9)
    assert "an update needs the model that it changes" in refused(update=True)
    assert "an update uses all 9 slots" in refused(
        random_update(0, updates, held)._replace(num_clusters=8), updates, held, update=True
    )
    assert "scalars must have shape (2,)" in refused(message._replace(scalars=np.zeros(3)))
    assert "scalars must be finite" in refused(message._replace(scalars=np.array([0, np.nan])))
    assert "other parameters must be finite" in refused(message._replace(others=(np.full(5, 1e39), message.others[1])))
    assert "centroids must be finite" in refused(with_palette(codebook=np.full(16, np.inf)))
    assert "3 slots for 7 clusters" in refused(with_palette(codebook=np.zeros(3)))
    assert "cluster index -1 is negative" in refused(with_palette(indices=np.full((3, 4), -1)))
    assert "num_clusters must be between 1 and 16" in refused(message._replace(num_clusters=17))
    assert "max_clusters must be 1 to 256" in refused(spec=dataclasses.replace(SPEC, max_clusters=257))
    assert "held model must have 1 to 16 clusters" in refused(held=held._replace(num_clusters=17))
    assert "held model's moves differ" in refused(held=held._replace(moves=()))


@pytest.mark.parametrize(
    "arguments, changes, words",
    [
        ((-1, 7, np.ones(2)), {}, "a seed must be between"),
        ((1 << 32, 7, np.ones(2)), {}, "a seed must be between"),
        ((1, 17, np.ones(2)), {}, "num_clusters must be between 1 and 16"),
        ((1, 7, np.ones(1)), {}, "scalars must have shape"),
        ((1, 7, np.ones(2)), {"initial_kernels": ()}, "an InitialValue per parameter; found 0 for 2 kernels"),
        ((1, 7, np.ones(2)), {"kernel_shapes": (), "initial_kernels": ()}, "a seed needs clustered kernels"),
    ],
)
def test_a_seed_that_could_not_be_expanded_is_refused(arguments, changes, words):
    with pytest.raises(tfc.CodecError, match=words):
        tfc.encode_seed(*arguments, dataclasses.replace(SPEC, **changes))
