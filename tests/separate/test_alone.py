"""Seconds of one talker: what is heard goes to this talker's output, and outputs add up as before."""

import numpy as np
import pytest

from contrasep_lib.separate.alone import given_to_talkers

RATE = 100


def test_a_second_in_the_wrong_output_is_moved():
    rng = np.random.default_rng(0)
    outputs = np.zeros((3, 4 * RATE), np.float32)
    outputs[0, :200] = rng.standard_normal(200)
    # the second of talker 1 lies in output 2, that of talker 2 mostly in its own
    outputs[2, 200:] = rng.standard_normal(200)
    outputs[0, 300:] = 0.3 * rng.standard_normal(100)
    got = given_to_talkers(outputs, np.arange(4), np.array([0, -1, 1, 2]), RATE)
    assert got.sum(axis=0) == pytest.approx(outputs.sum(axis=0), abs=1e-6)
    inside = slice(202, 298)
    assert got[1, inside] == pytest.approx(outputs[2, inside]) and not got[2, inside].any()
    kept = np.r_[0:198, 302:400]
    assert np.array_equal(got[:, kept], outputs[:, kept])


def test_what_needs_no_change_is_the_same_array():
    outputs = np.eye(2, dtype=np.float32).repeat(150, axis=1)
    assert given_to_talkers(outputs, np.array([0, 2]), np.array([0, 1]), RATE) is outputs
    # several talkers, and a block that begins behind the last sample
    assert given_to_talkers(outputs, np.array([0, 3]), np.array([-1, 0]), RATE) is outputs
    silence = np.zeros_like(outputs)
    assert not given_to_talkers(silence, np.array([0, 1]), np.array([1, 0]), RATE).any()
