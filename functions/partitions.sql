-- The partitions of this week and the next, so that nothing lands in a default partition before
-- the service runs for the first time.
do $do$ begin perform bloom.partition_ensure(); end $do$;
