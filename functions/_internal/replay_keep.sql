create or replace function bloom_private.replay_keep() returns void
language plpgsql volatile as $$
-- Called where an answer only repeats what an earlier transaction did. That one may have been cut
-- off while it waited for a synchronous standby: a crash makes it visible, and the standby may
-- still be without it. A transaction that writes nothing waits for nobody, so that the repeated
-- answer would promise what a failover takes back. With a message of its own in the write-ahead
-- log this commit waits until the standby has everything up to here. Without a standby it costs
-- one small write.
begin
    perform pg_logical_emit_message(true, 'bloom', '');
end
$$;
comment on function bloom_private.replay_keep() is
    'Makes a repeated answer as durable as the first.';
