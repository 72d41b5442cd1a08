{{ config(tags=['engagement'], hour_column='hour') }}

with counted as (

    select
        {{ slot_start('event_time', 3600) }} as hour,
        {{ or_unknown('customer') }} as customer,
        {{ or_unknown('scene') }} as scene,
        {% for column, event_type in {
            'impressions': 'impression', 'clicks': 'click', 'plays': 'play', 'likes': 'like',
        }.items() -%}
        count(case when event_type = '{{ event_type }}' then 1 end) as {{ column }},
        {% endfor -%}
        count(case when {{ is_valid_play() }} then 1 end) as valid_plays,
        {{ whole_sum("case when event_type = 'play' then coalesce(watch_ms, 0) else 0 end") }}
            as watch_ms,
        {{ whole_sum('duplicates_removed') }} as duplicates_removed
    from {{ ref('stg_rec__events') }}
    group by 1, 2, 3

)

select
    hour,
    customer,
    scene,
    impressions,
    clicks,
    {{ ratio('clicks', 'impressions') }} as ctr,
    plays,
    valid_plays,
    watch_ms,
    likes,
    duplicates_removed
from counted
