-- Looking for overdue leases has become one pass over the live ones, and nothing else read this index;
-- without it a heartbeat is a HOT update. A program of version 3 finds its overdue leases without
-- it, too: that pass was a part of its query.

drop index bloom_private.lease_expiry;
