-- Refused attempts without a record in the journal (Z13). They do not follow from the journal, so they are not part of the read model: the
-- engine reports each once and stores none. A client's id is an INTEGER if it is a number up to 2^63 - 1, otherwise its text.

-- The engine's runs, and the newest attempt received of each.
CREATE TABLE run (
    number  INTEGER PRIMARY KEY,            -- in the order of their first report
    run     BLOB    NOT NULL UNIQUE,
    through INTEGER NOT NULL,               -- the newest attempt that was received or reported lost
    lost    INTEGER NOT NULL                -- attempts that were not received
) STRICT;

CREATE TABLE attempt (
    number         INTEGER PRIMARY KEY,     -- in the order of arrival; pages are read by it
    run            BLOB    NOT NULL,
    sequence       INTEGER NOT NULL,        -- in its run, from 1
    at_ms          INTEGER NOT NULL,
    after_position INTEGER NOT NULL,        -- the newest durable record at that time
    command        TEXT    NOT NULL,        -- such as 'redeem'
    credential     INTEGER NOT NULL,
    request        BLOB    NOT NULL,        -- the request's UUID; zeros for a command that has none
    client         ANY,
    club           INTEGER,
    code           TEXT,                    -- in the form used for comparison
    network        TEXT    NOT NULL,        -- of the client; '-' if unknown
    reason         TEXT    NOT NULL,        -- the refusal's word, such as 'too_many_misses'
    decided        TEXT    NOT NULL,        -- the condition that caused the refusal
    UNIQUE (run, sequence)
) STRICT;
CREATE INDEX attempt_by_client ON attempt (client, number) WHERE client IS NOT NULL;
CREATE INDEX attempt_by_code ON attempt (code, number) WHERE code IS NOT NULL;
