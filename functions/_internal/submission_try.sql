create or replace function bloom_private.submission_try(p_task jsonb)
returns bloom_private.submission
language plpgsql volatile as $$
-- submission_read for a batch in which one bad item must not fail its neighbours: what is wrong
-- comes back in error instead of being raised.
declare
    s bloom_private.submission;
    v_detail text;
begin
    return bloom_private.submission_read(p_task);
exception
    when sqlstate 'RT400' then
        get stacked diagnostics v_detail = pg_exception_detail;
        s.is_new := false;
        s.error := v_detail::jsonb || '{"code": "invalid_argument", "status": 400}';
        return s;
    when data_exception then
        s.is_new := false;
        s.error := '{"code": "invalid_argument", "status": 400,
                     "message": "The task has an invalid value"}';
        return s;
end
$$;
comment on function bloom_private.submission_try(jsonb) is
    'Checks one submitted task and reports what is wrong instead of raising it.';
