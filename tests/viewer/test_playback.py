"""What is on show depends on the frames' own times, the speed and the clock, nothing else."""

import numpy as np
import pytest

from viewer.playback import Playback

UNEVEN = np.array([10.0, 10.1, 10.15, 10.5, 10.6])


def played(playback, moments):
    playback.play(moments[0])
    return [playback.tick(now) for now in moments]


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
def test_frames_come_at_their_own_times(speed):
    playback = Playback(times=UNEVEN, speed=speed)
    moments = 100 + np.array([0.0, 0.05, 0.1, 0.14, 0.16, 0.49, 0.51, 0.6]) / speed
    assert played(playback, moments) == [0, 0, 1, 1, 2, 2, 3, 4]


def test_it_starts_again_when_the_last_frame_was_on_long_enough():
    playback = Playback(times=np.arange(4) / 10)
    assert played(playback, [0.0, 0.39, 0.41, 0.51, 0.81, 4.11]) == [0, 3, 0, 1, 0, 1]
    assert playback.playing


def test_without_a_loop_it_ends_on_the_last_frame_and_plays_from_the_start_again():
    playback = Playback(times=np.arange(4) / 10, loop=False)
    assert played(playback, [0.0, 0.35, 9.0]) == [0, 3, 3]
    assert not playback.playing
    playback.play(20.0)
    assert (playback.tick(20.0), playback.tick(20.11)) == (0, 1)


def test_seeking_speed_and_pausing_keep_the_place():
    playback = Playback(times=np.arange(100) / 10)
    playback.play(0.0)
    playback.seek(50, 3.0)
    assert playback.tick(3.11) == 51
    playback.change_speed(2.0, 3.2)
    assert playback.tick(3.31) == 54
    playback.pause()
    assert playback.tick(99.0) == 54
    playback.seek(1000, 99.0)
    assert playback.tick(99.0) == 99


def test_a_single_frame_plays_without_an_end():
    assert played(Playback(times=np.array([7.0])), [0.0, 5.0]) == [0, 0]
