"""Good hours and months of the marts as SQL: traffic, engagement and bills (quality: qos_build).

Belongs here: tables and rows of a build file that every rule passes. Does not: making the file.
"""

from __future__ import annotations

SCHEMA = """
create schema marts;
create table marts.traffic_5m (slot_start timestamptz, cdn varchar, pop varchar, customer varchar,
    requests bigint, bytes bigint, bytes_in bigint, hit_requests bigint, hit_bytes bigint);
create table marts.qos_hourly (hour timestamptz, cdn varchar, customer varchar, requests bigint,
    bytes bigint, eligible_requests bigint, hit_requests bigint, eligible_bytes bigint,
    hit_bytes bigint, hit_ratio_requests double, hit_ratio_bytes double, ttfb_count bigint,
    ttfb_p50_ms double, ttfb_p95_ms double, ttfb_p99_ms double, errors_4xx bigint,
    errors_5xx bigint, no_response bigint, aborted bigint, duplicates_removed bigint);
create table marts.ttfb_buckets_hourly (hour timestamptz, cdn varchar, customer varchar,
    bucket integer, requests bigint);
create table marts.engagement_hourly (hour timestamptz, customer varchar, scene varchar,
    impressions bigint, clicks bigint, ctr double, plays bigint, valid_plays bigint,
    watch_ms bigint, likes bigint, duplicates_removed bigint);
create table marts.usage_monthly (month date, cdn varchar, customer varchar, requests bigint,
    logged_bytes bigint, estimated_bytes decimal(38, 0), billed_bytes decimal(38, 0));
create table marts.bill_lines (month date, contract_id varchar, vendor varchar, currency varchar,
    line_no integer, component_no integer, kind varchar, item varchar, scope varchar, unit varchar,
    tier_from decimal(38, 9), tier_to decimal(38, 9), quantity decimal(38, 9),
    unit_price decimal(18, 9), logged decimal(38, 0), estimated decimal(38, 0),
    factor decimal(9, 6), amount decimal(38, 6));
create table marts.bills (month date, contract_id varchar, vendor varchar, currency varchar,
    zone varchar, requests decimal(38, 0), logged_bytes decimal(38, 0),
    estimated_bytes decimal(38, 0), amount_low decimal(38, 6),
    amount decimal(38, 6), amount_high decimal(38, 6));
create table marts.what_ifs (month date, contract_id varchar, contract_version integer,
    terms_contract_id varchar, terms_contract_version integer, is_in_force boolean,
    billed_amount decimal(38, 6), amount decimal(38, 6));
create table marts.unit_costs (month date, subject varchar, name varchar, unit varchar,
    currency varchar, amount decimal(38, 6), quantity decimal(38, 9), unit_cost decimal(38, 9));
create table marts.bill_allocations (month date, contract_id varchar, vendor varchar,
    currency varchar, method varchar, dimension varchar, part varchar, amount decimal(38, 6));
"""
# a tenant that is not known is a null: every comparison between marts must survive it
HOURS = """
insert into marts.traffic_5m
    select h + to_minutes(5 * s), 'cloudfront', 'FRA1', c, 10, 1000, 5, 5, 500
    from unnest([{hours}]) as a(h), range(12) as b(s), (values ('aurora'), (null)) as t(c);
insert into marts.qos_hourly
    select h, 'cloudfront', c, 120, 12000, 100, 60, 10000, 6000, 0.6, 0.6, 100, 10, 20, 30,
        1, 1, 1, 2, 3
    from unnest([{hours}]) as a(h), (values ('aurora'), (null)) as t(c);
insert into marts.ttfb_buckets_hourly
    select h, 'cloudfront', c, b, 50
    from unnest([{hours}]) as a(h), (values ('aurora'), (null)) as t(c), (values (1), (2)) as u(b);
insert into marts.engagement_hourly
    select h, c, 'feed', 100, 10, 0.1, 5, 4, 60000, 2, 1
    from unnest([{hours}]) as a(h), (values ('aurora'), (null)) as t(c);
"""
MONTHS = """
insert into marts.usage_monthly
    select m, 'cloudfront', c, 1000, b, 0, b
    from unnest([{months}]) as a(m), (values ('aurora', 1000000400), (null, 500000000)) as t(c, b);
insert into marts.bills
    select m, 'c1', 'cloudfront', 'USD', 'UTC', 2000, 1500000400, 0, 150, 150, 150
    from unnest([{months}]) as a(m);
insert into marts.what_ifs
    select m, 'c1', 1, w, 1, w = 'c1', 150, a
    from unnest([{months}]) as a(m), (values ('c1', 150), ('c2', 90)) as t(w, a);
insert into marts.unit_costs
    select m, s, n, u, 'USD', a, 2, a / 2
    from unnest([{months}]) as a(m), (values ('cdn', 'cloudfront', 'GB', 150),
        ('platform', 'all', 'viewing hour', 150), ('platform', 'all', 'thousand plays', 150),
        ('customer', 'a', 'viewing hour', 75), ('customer', 'b', 'viewing hour', 75),
        ('customer', 'a', 'thousand plays', 75), ('customer', 'b', 'thousand plays', 75)
    ) as t(s, n, u, a);
insert into marts.bill_allocations
    select m, 'c1', 'cloudfront', 'USD', w, d, p, 75
    from unnest([{months}]) as a(m), (values ('volume'), ('billed_slot')) as w(w),
        (values ('customer'), ('pop')) as d(d), (values ('a'), ('b')) as p(p);
insert into marts.bill_lines
    select m, 'c1', 'cloudfront', 'USD', n, c, k, i, null, u, f, t, q, p, b, 0, o, x
    from unnest([{months}]) as a(m), (values
        (1, 1, 'per_gb_graduated', 'tier', 'GB', 0, 1, 1.0, 100.0, 1500000400, 1, 100.00),
        (2, 1, 'per_gb_graduated', 'tier', 'GB', 1, null, 0.5000004, 80.0, 1500000400, 1, 41.00),
        (3, 2, 'minimum', 'minimum', null, null, null, null, null, null, null, 10.00),
        (4, 3, 'credit', 'credit', null, null, null, null, null, null, null, -1.00)
    ) as l(n, c, k, i, u, f, t, q, p, b, o, x);
"""
