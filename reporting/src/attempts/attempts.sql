-- Refused attempts that left no record in the journal (Z13). No function of the journal, and so no part of the read model: what was told
-- once is nowhere else. A client's id is an INTEGER where it is a number up to 2^63 - 1, and the text that it is written as otherwise.

-- The engine's runs, and how far each was listened to.
CREATE TABLE run (
    number  INTEGER PRIMARY KEY,            -- in the order in which they were met
    run     BLOB    NOT NULL UNIQUE,
    through INTEGER NOT NULL,               -- the newest attempt that was told, or said to be lost
    lost    INTEGER NOT NULL                -- attempts that were not told
) STRICT;

CREATE TABLE attempt (
    number         INTEGER PRIMARY KEY,     -- in the order in which they came; pages are read by it
    run            BLOB    NOT NULL,
    sequence       INTEGER NOT NULL,        -- in its run, from 1
    at_ms          INTEGER NOT NULL,
    after_position INTEGER NOT NULL,        -- the newest durable record at that time
    command        TEXT    NOT NULL,        -- as in 'redeem'
    credential     INTEGER NOT NULL,
    request        BLOB    NOT NULL,        -- the request's UUID; zeros for a command that has none
    client         ANY,
    club           INTEGER,
    code           TEXT,                    -- as it is compared
    network        TEXT    NOT NULL,        -- that the client called from; '-' where it is not known
    reason         TEXT    NOT NULL,        -- the refusal's word, as in 'too_many_misses'
    decided        TEXT    NOT NULL,        -- the condition that decided
    UNIQUE (run, sequence)
) STRICT;
CREATE INDEX attempt_by_client ON attempt (client, number) WHERE client IS NOT NULL;
CREATE INDEX attempt_by_code ON attempt (code, number) WHERE code IS NOT NULL;
