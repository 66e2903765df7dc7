"""Old broadcasts: whoever catches up by one message holds what whoever followed every broadcast holds, bit for bit."""

import dataclasses

import numpy as np
import pytest
from codec_examples import assert_equal, random_held, random_message, spec_of

from tfc.codec.message import decode, encode
from tfc.codec.message_spec import Kind
from tfc.federated.kept_broadcasts import KeptBroadcasts, as_arrays

SPEC = spec_of([(8, 9), (3, 3, 2, 4)], [(5,), (4, 3)], 16, 1)
SPEC = dataclasses.replace(SPEC, kinds=(*SPEC.kinds, Kind.CATCH_UP), remembers_moves=False)


@pytest.fixture(scope="module")
def chain():
    """What a client that follows every broadcast holds after each of six rounds."""
    held = random_held(0, SPEC, 7)
    held = held._replace(moves=tuple(np.zeros_like(move) for move in held.moves))
    models = [held]
    for number in range(1, 6):
        sent = encode(random_message(number, SPEC, 7 + number // 3, held, 0.2), SPEC, held)
        held = decode(sent, SPEC, held).held
        models.append(held)
    return models


def test_catch_up_messages_end_in_the_model_of_whoever_followed_all_broadcasts(chain):
    kept = KeptBroadcasts(SPEC, 10)
    for number, model in enumerate(chain, 1):
        kept.add(number, model, np.array([0.5 * number]))
        for since in range(1, number):
            payload = kept.message(since)
            assert payload[3] == Kind.CATCH_UP and kept.message(since) is payload
            found = decode(payload, SPEC, chain[since - 1])
            assert_equal(found.held, model)
            assert found.message.scalars == np.float32(0.5 * number)
    assert kept.message(6) == b"" and kept.message(7) == b""  # who has the present broadcast needs nothing


def test_only_what_a_client_holds_is_kept_and_of_that_the_newest(chain):
    kept = KeptBroadcasts(SPEC, 2)
    for number, model in enumerate(chain, 1):
        kept.add(number, model, np.zeros(1))
    assert list(kept.keep({0: 1, 1: 4, 2: 4, 3: 5, 4: 99})) == [4, 5]
    assert kept.message(1) == b""
    kept.add(7, chain[0], np.zeros(1))
    assert decode(kept.message(4), SPEC, chain[3]).held.palettes[0].indices.tobytes() == (
        chain[0].palettes[0].indices.tobytes()
    )
    assert kept.keep({}) == {}
    nothing = KeptBroadcasts(SPEC, 0)
    nothing.add(1, chain[0], np.zeros(1))
    assert nothing.keep({0: 1}) == {}


def test_a_model_from_tff_becomes_arrays_of_the_same_values(chain):
    model = chain[3]
    plain = (model.num_clusters, [list(palette) for palette in model.palettes], list(model.moves), list(model.others))
    assert_equal(as_arrays(plain), model)
