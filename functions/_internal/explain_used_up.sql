create or replace function bloom_private.explain_used_up(p_requires text[]) returns jsonb
language sql stable as $$
-- The exhausted credentials of live workers with these labels, the soonest free first, at most 10:
-- an array of {credential, until, reason, sentence}.
select jsonb_agg(jsonb_build_object('credential', x.name, 'until', time_ms(x.exhausted_until),
           'reason', x.reason, 'sentence', format('Credential %s is exhausted until %s', x.name,
               time_text(x.exhausted_until)) || coalesce(' (' || left(x.reason, 200) || ')', ''))
           order by x.exhausted_until, x.name)
  from (select c.* from credential c
         where c.exhausted_until > clock_timestamp()
           and exists (select from worker w
               where credential_of(w) = c.name and w.status = 'online' and not w.draining
                 and w.claude_cli and p_requires <@ w.labels)
         order by c.exhausted_until, c.name limit 10) x
$$;
comment on function bloom_private.explain_used_up(text[]) is
    'The exhausted credentials that keep a task waiting.';
