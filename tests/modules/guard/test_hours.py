from datetime import UTC, datetime, timedelta

import numpy as np

from yamori.model.ids import VMId
from yamori.modules.guard.hours import keep, usual_at

NIGHT = datetime(2026, 1, 1, 2, 0, tzinfo=UTC)
VMS = (VMId("a"), VMId("b"))


def taken(a, b):
    return np.array([[a, b]] * 4, float)


def after_a_night():
    hours = {}
    for minute in range(60):
        hours = keep(hours, NIGHT + timedelta(minutes=minute), VMS, taken(2.0, 0.1), 60.0)
    return hours


def test_today_tells_nothing_about_today():
    assert np.isnan(usual_at(after_a_night(), NIGHT, VMS, 0, 0))


def test_the_next_day_the_same_hour_is_known():
    assert usual_at(after_a_night(), NIGHT + timedelta(days=1), VMS, 0, 0) == 2.0
    assert np.isnan(usual_at(after_a_night(), NIGHT + timedelta(days=1, hours=5), VMS, 0, 0))


def test_what_is_known_follows_the_vm_to_another_row():
    hours, moved = after_a_night(), (VMId("new"), VMId("b"), VMId("a"))
    tomorrow = NIGHT + timedelta(days=1)
    assert usual_at(hours, tomorrow, moved, 2, 0) == 2.0
    assert np.isnan(usual_at(hours, tomorrow, moved, 0, 0))
    hours = keep(hours, tomorrow, moved, np.array([[0.5, 0.1, 1.0]] * 4), 60.0)
    assert usual_at(hours, tomorrow, moved, 2, 0) == 2.0


def test_old_nights_fade():
    hours = after_a_night()
    for day in range(1, 4):
        hours = keep(hours, NIGHT + timedelta(days=day), VMS, taken(0.1, 0.1), 1.0)
    assert 0.5 < usual_at(hours, NIGHT + timedelta(days=3), VMS, 0, 0) < 2.0


def test_an_unknown_reading_is_skipped():
    hours = keep(after_a_night(), NIGHT + timedelta(minutes=59), VMS, taken(float("nan"), 0.1), 60.0)
    assert usual_at(hours, NIGHT + timedelta(days=1), VMS, 0, 0) == 2.0
