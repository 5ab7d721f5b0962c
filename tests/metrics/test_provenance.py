"""Digests of settings."""

from __future__ import annotations

from segearth_ov3.metrics.provenance import settings_digest


def test_digest_ignores_the_order_of_keys_and_sees_every_value() -> None:
    one = settings_digest({"a": [1, {"b": None}], "c": 0.5})
    assert one == settings_digest({"c": 0.5, "a": [1, {"b": None}]})
    assert len({one, settings_digest({"a": [1, {"b": False}], "c": 0.5}), settings_digest({})}) == 3


def test_digest_takes_names_that_are_not_unicode() -> None:
    assert len(settings_digest(["a\udcff.png"])) == 16
