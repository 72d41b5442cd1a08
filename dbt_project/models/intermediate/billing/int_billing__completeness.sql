{{ config(tags=['billing']) }}

-- Which hours of a CDN lack deliveries, and how much is in, by the ledger as the build plan pins it:
-- held deliveries by their known lines, refused ones by their size beside what a row takes up in
-- deliveries of the same feed and month. What an hour without any other row lacks is spread over its
-- day; of a day without any row nothing can be said. Hours that are not named here are complete.
with ranked as (

    select
        *,
        row_number() over (
            partition by delivery_id
            order by change_no desc, changed_at desc
        ) as place
    from {{ source('ops', 'deliveries') }}

),

latest as (

    select
        delivery_id,
        source,
        cdn,
        sampled_ppm,
        key,
        content_id,
        state,
        size_bytes,
        accepted,
        rejected,
        hours,
        period_end,
        {{ slot_start('period_start', 3600) }} as first_hour,
        {{ month_of('coalesce(period_start, event_time_min)') }} as month
    from ranked
    where place = 1

),

loaded as (

    select * from latest
    where state = 'loaded'

),

-- An older version of the same name may be loaded: only what goes beyond it is missing.
names as (

    {{ delivered_by('key', 'loaded') }}

),

contents as (

    select distinct source, content_id from loaded

),

-- A content once, however often it came; none that is loaded under another name.
absent as (

    select
        latest.delivery_id,
        latest.source,
        latest.cdn,
        latest.sampled_ppm,
        latest.accepted,
        latest.hours,
        latest.first_hour,
        latest.period_end,
        latest.month,
        case
            when latest.accepted is not null
                then greatest(latest.accepted + latest.rejected - coalesce(names.accepted, 0), 0)
        end as missing_rows,
        greatest(latest.size_bytes - coalesce(names.size_bytes, 0), 0) as missing_size,
        row_number() over (
            partition by latest.source, latest.content_id
            order by latest.delivery_id
        ) as copy
    from latest
    left join names
        on names.source = latest.source
        and names.key = latest.key
    left join contents
        on contents.source = latest.source
        and contents.content_id = latest.content_id
    where latest.state in ('held', 'rejected')
    and contents.content_id is null

),

densities as (

    {{ delivered_by('month', 'loaded') }}

),

periods as (

    select
        absent.*,
        {{ slot_after('absent.first_hour', '(12 * numbers.n)') }} as hour,
        count(*) over (partition by absent.delivery_id) as hour_count
    from absent
    inner join {{ numbers(744) }} as numbers
        on {{ slot_after('absent.first_hour', '(12 * numbers.n)') }} < absent.period_end
    where absent.copy = 1
    and coalesce(absent.accepted, 0) = 0

),

placed as (

    select
        absent.cdn,
        touched.hour as hour,
        absent.sampled_ppm,
        {{ div_floor('absent.missing_rows * touched.rows', 'absent.accepted') }} as missing
    from absent
    {{ each_of('absent.hours', 'touched') }}
    where absent.copy = 1
    and absent.accepted > 0

    union all

    select
        periods.cdn,
        periods.hour,
        periods.sampled_ppm,
        coalesce(
            {{ div_floor('periods.missing_rows', 'periods.hour_count') }},
            {{ div_floor('periods.missing_size * densities.accepted',
                'periods.hour_count * densities.size_bytes') }},
            0
        ) as missing
    from periods
    left join densities
        on densities.source = periods.source
        and densities.month = periods.month
        and densities.size_bytes > 0

),

missing_hours as (

    select
        cdn,
        hour,
        {{ slot_start('hour', 86400) }} as day,
        {{ requests_of('missing', 'sampled_ppm') }} as missing
    from placed
    group by 1, 2, 3

),

present_hours as (

    select
        loaded.cdn,
        touched.hour as hour,
        {{ slot_start('touched.hour', 86400) }} as day,
        {{ requests_of('touched.rows', 'loaded.sampled_ppm') }} as present
    from loaded
    {{ each_of('loaded.hours', 'touched') }}
    group by 1, 2, 3

),

present_days as (

    select
        cdn,
        day,
        {{ whole('sum(present)') }} as present
    from present_hours
    group by 1, 2

),

left_over as (

    select
        missing_hours.cdn,
        missing_hours.day,
        {{ whole('sum(case when present_hours.cdn is null then missing_hours.missing else 0 end)')
        }} as missing
    from missing_hours
    left join present_hours
        on present_hours.cdn = missing_hours.cdn
        and present_hours.hour = missing_hours.hour
    group by 1, 2

),

judged as (

    select
        present_hours.cdn as vendor,
        present_hours.hour,
        present_hours.present,
        coalesce(missing_hours.missing, 0)
        + {{ div_floor('left_over.missing * present_hours.present', 'present_days.present') }}
            as missing
    from present_hours
    inner join left_over
        on left_over.cdn = present_hours.cdn
        and left_over.day = present_hours.day
    inner join present_days
        on present_days.cdn = present_hours.cdn
        and present_days.day = present_hours.day
    left join missing_hours
        on missing_hours.cdn = present_hours.cdn
        and missing_hours.hour = present_hours.hour

)

select
    vendor,
    hour,
    present,
    missing,
    cast(greatest({{ div_floor('present * 1000000', 'present + missing') }}, 1) as integer)
        as completeness_ppm
from judged
where missing > 0
and present > 0
