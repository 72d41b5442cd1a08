"""Rows of a lake have the place that the vendor says, else what the geo file knows."""

from __future__ import annotations

from dataclasses import replace

from .geo_files import country_and_network


def test_the_vendor_counts_and_a_geo_file_fills_what_is_missing(box, make, tmp_path):
    geo = country_and_network(tmp_path, "FR", 64500)
    box.protection = replace(box.protection, geo=geo)
    said = {"ClientCountry": "de", "ClientRegionCode": "BE", "ClientASN": 3320}
    flares = [
        make.line("cloudflare_logpush", {**said, **changes, "ClientIP": ip, "RayID": ray})
        for ray, ip, changes in (
            ("all", "192.0.2.77", {}),
            ("no-place", "192.0.2.77", {"ClientCountry": None}),
            ("no-network", "192.0.2.77", {"ClientASN": None}),
            ("unknown", "198.51.100.1", {"ClientCountry": None, "ClientASN": None}),
        )
    ]
    box.land("cloudflare/a.gz", make.file("cloudflare_logpush", flares))
    box.land("cloudfront/a.gz", make.file("cloudfront_v1", [make.line("cloudfront_v1")]))
    box.land("rec_events/a.gz", make.file("rec_events", [make.line("rec_events")]))
    box.run()
    columns = "cdn, request_id, country, region, asn"
    found = box.sql(f"select {columns} from {{}} order by cdn, request_id", "bronze.cdn_requests")
    rows = {(row[0], row[1] if row[0] == "cloudflare" else None): row[2:] for row in found}
    assert rows == {
        ("cloudflare", "all"): ("DE", "BE", 3320),
        # Belgium or Berlin: the vendor's region is none of the file's country
        ("cloudflare", "no-place"): ("FR", None, 3320),
        ("cloudflare", "no-network"): ("DE", "BE", 64500),
        ("cloudflare", "unknown"): (None, "BE", None),
        ("cloudfront", None): ("FR", None, 64500),
    }
    assert {d.source: d.geo_version for d in box.ledger().values()} == {
        "cloudflare": geo.version,
        "cloudfront": geo.version,
        "rec_events": None,
    }


def test_a_changed_geo_file_is_used_for_what_is_new_and_changes_no_row(box, make, tmp_path):
    box.protection = replace(box.protection, geo=country_and_network(tmp_path, "FR", 64500))
    box.land("cloudfront/a.gz", make.file("cloudfront_v1", [make.numbered("cloudfront_v1", 1)]))
    box.run()
    before = box.rows("bronze.cdn_requests")
    later = country_and_network(tmp_path, "NL", 64501)
    box.protection = replace(box.protection, geo=later)
    assert box.run().changes == ()
    assert box.rows("bronze.cdn_requests") == before
    box.land("cloudfront/b.gz", make.file("cloudfront_v1", [make.numbered("cloudfront_v1", 2)]))
    box.run()
    found = box.sql("select request_id, country, asn from {} order by 1", "bronze.cdn_requests")
    assert found == [("n-1", "FR", 64500), ("n-2", "NL", 64501)]
    versions = {d.key: d.geo_version for d in box.ledger().values()}
    assert versions["cloudfront/b.gz"] == later.version
    assert versions["cloudfront/a.gz"] != later.version


def test_what_is_read_again_says_the_geo_file_it_was_read_with(box, make, tmp_path):
    box.protection = replace(box.protection, geo=country_and_network(tmp_path, "FR", 64500))
    box.audit.refuse = "held"
    box.land("cloudfront/held.gz", make.file("cloudfront_v1", [make.line("cloudfront_v1")]))
    box.run()
    later = country_and_network(tmp_path, "NL", 64501)
    box.protection = replace(box.protection, geo=later)
    box.run(released=list(box.ledger()))
    (done,) = box.ledger().values()
    assert (done.state, done.geo_version) == ("loaded", later.version)
    assert box.sql("select country, asn from {}", "bronze.cdn_requests") == [("NL", 64501)]
