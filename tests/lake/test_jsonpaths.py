"""Objects inside of objects: what is declared is found, what is not is named."""

from __future__ import annotations

import pytest

from lake.jsonpaths import leaves, parents_of, undeclared, value_at

DECLARED = ("a", "b/c", "b/d/e", "x.y")


def test_parents_are_the_objects_that_paths_lead_through():
    assert parents_of(DECLARED) == {"b", "b/d"}


def test_leaves_take_declared_objects_apart_and_no_others():
    found = {"a": {"kept": 1}, "b": {"c": 2, "d": {"e": 3, "f": 4}}, "g": {"h": 5}}
    assert dict(leaves(found, parents_of(DECLARED))) == {
        "a": {"kept": 1},
        "b/c": 2,
        "b/d/e": 3,
        "b/d/f": 4,
        "g": {"h": 5},
    }


@pytest.mark.parametrize("other", [None, 1, "text", [1]])
def test_where_an_object_is_declared_and_is_none_there_is_nothing(other):
    assert list(leaves({"b": other}, parents_of(DECLARED))) == []
    assert value_at({"b": other}, ("b", "c")) is None


def test_undeclared_paths_are_named_with_dots_where_an_object_is_declared():
    assert undeclared(["a", "b/c", "b/d/f", "b/new", "z"], DECLARED) == {"b.d.f", "b.new", "z"}
    # a slash in a key of its own is not a path
    assert undeclared(["user/17"], DECLARED) == {"user/17"}


@pytest.mark.parametrize("family", ["gcp_cdn", "azure_front_door"])
def test_a_new_field_inside_is_reported_and_its_value_is_not(family, parse, make):
    parent = {"gcp_cdn": "jsonPayload", "azure_front_door": "properties"}[family]
    lines = [make.line(family), make.line(family, {f"{parent}/newField": "s3cret"})]
    found = parse(family, make.file(family, lines))
    assert found.totals.accepted == 2
    assert found.totals.unknown_fields == {f"{parent}.newField"}
