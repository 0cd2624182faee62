create or replace function bloom_private.forbid() returns trigger
language plpgsql volatile as $$
-- For tables that are written once and never changed or emptied.
begin
    raise exception using errcode = '42501', message = format('%s of %s.%s is not allowed',
        lower(tg_op), tg_table_schema, tg_table_name);
end
$$;
comment on function bloom_private.forbid() is 'Refuses the statement that fired it.';
