-- The read model: what the journal says, in tables. docs/read-model.md is the page for those who query it.
--
-- Everything here is a pure function of the journal up to `cursor.position`: the cursor moves in the transaction that brings what it
-- stands for. Times are milliseconds since 1970 (UTC), amounts minor units of the organisation's currency (cents). A client's id is an
-- INTEGER where it is a number up to 2^63 - 1, and the text that it is written as otherwise.

-- How far the read model has come.
CREATE TABLE cursor (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,              -- of the newest record in here; 0 before the first
    hash     BLOB    NOT NULL,              -- of the batch that it ended
    time_ms  INTEGER NOT NULL               -- of that batch
) STRICT;

-- Where its history begins.
CREATE TABLE beginning (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,              -- what was up to here is in counters and balances only; 0 where all of it is in here
    time_ms  INTEGER NOT NULL,              -- of the batch that this record ended; 0 where all of it is in here
    requests_ms INTEGER NOT NULL            -- the latest time in a request id that was executed up to here, or a later one
) STRICT;

-- The organisation's settings, as they are now.
CREATE TABLE organisation (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    name     TEXT    NOT NULL,
    currency TEXT    NOT NULL,              -- ISO 4217
    codes_per_campaign_max INTEGER NOT NULL,
    code_form INTEGER NOT NULL,             -- how codes are compared: 1 letter case does not matter; 2 what looks the same is one code
    code_form_recorded INTEGER NOT NULL,    -- whether a record names that; up to the first one that does, a revocation ends no holds
    since    INTEGER NOT NULL,              -- position of the record
    -- The longest that any settings in here allowed: a request id's own time bounds when the request can have been executed.
    request_window_max_ms INTEGER NOT NULL, -- after that time
    request_skew_max_ms   INTEGER NOT NULL  -- before it
) STRICT;

CREATE TABLE club (
    club          INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL,
    registered_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE client_group (
    client_group  INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL,
    registered_ms INTEGER NOT NULL
) STRICT;

-- Who may call; who did what is said by number.
CREATE TABLE credential (
    credential INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    clubs      TEXT    NOT NULL,            -- JSON array of club numbers; [] for all
    reasons    INTEGER NOT NULL,            -- whether it learns why a code is refused
    kind       TEXT    NOT NULL,            -- 'token' or 'certificate'
    secret     BLOB    NOT NULL,            -- BLAKE3 of it
    added_ms   INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;
CREATE INDEX credential_by_secret ON credential (secret);

CREATE TABLE rule (
    rule        INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL,
    active      INTEGER NOT NULL,
    terms       TEXT    NOT NULL,           -- JSON
    saved_ms    INTEGER NOT NULL,
    archived_ms INTEGER
) STRICT;

CREATE TABLE campaign (
    campaign       INTEGER PRIMARY KEY,
    -- Its terms.
    name           TEXT    NOT NULL,
    amount         INTEGER NOT NULL,        -- bonus for an activation
    clubs          TEXT    NOT NULL,        -- JSON array of club numbers; [] for all
    starts_ms      INTEGER,
    ends_ms        INTEGER,
    enforce_period INTEGER NOT NULL,
    activations_per_code_max   INTEGER,
    activations_per_client_max INTEGER,
    activations_max            INTEGER,
    budget         INTEGER,
    low_stock      INTEGER,
    active         INTEGER NOT NULL,        -- the toggle
    -- What became of it.
    created_ms     INTEGER NOT NULL,
    archived_ms    INTEGER,                 -- all its codes are archived with it
    -- Its counters, refunded activations taken off again.
    codes            INTEGER NOT NULL,      -- archived ones included (A10)
    codes_archived   INTEGER NOT NULL,      -- code.archived, apart from the campaign's own state
    codes_activated  INTEGER NOT NULL,      -- with at least one activation (A7)
    codes_exhausted  INTEGER NOT NULL,      -- with as many activations as a code may have
    archived_activated INTEGER NOT NULL,    -- code.archived, and activated
    archived_exhausted INTEGER NOT NULL,    -- code.archived, and exhausted
    activations      INTEGER NOT NULL,
    issued           INTEGER NOT NULL,      -- bonuses credited (A8), less what was taken back
    refunds          INTEGER NOT NULL,
    taken_back       INTEGER,               -- NULL where activations were refunded before the beginning
    uncollected      INTEGER NOT NULL,      -- what refunds could not take back
    last_activation  INTEGER                -- position
) STRICT;

-- Where a campaign's codes came from, and when (K9).
CREATE TABLE codes_added (
    campaign   INTEGER NOT NULL,
    first_slot INTEGER NOT NULL,
    codes      INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    how        TEXT    NOT NULL,            -- 'created' with the campaign, 'added' or 'generated'; 'unknown' before the beginning
    PRIMARY KEY (campaign, first_slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE code (
    campaign INTEGER NOT NULL,
    slot     INTEGER NOT NULL,              -- from 0, in the order of adding
    code     TEXT    NOT NULL,              -- as it was written
    value    TEXT    NOT NULL,              -- as it is compared: letter case folded
    archived INTEGER NOT NULL,              -- 0 no; 1 left behind when its campaign was restored; 2 individually
    taken    INTEGER NOT NULL,              -- position at which its campaign took the value last: added or restored
    PRIMARY KEY (campaign, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX code_by_value ON code (value);

-- How a code was used; no row for one that never was.
CREATE TABLE code_use (
    campaign         INTEGER NOT NULL,
    slot             INTEGER NOT NULL,
    activations      INTEGER NOT NULL,      -- refunded ones taken off
    ever             INTEGER NOT NULL,      -- refunded ones included
    first_activation INTEGER NOT NULL,      -- position
    last_activation  INTEGER NOT NULL,      -- position
    PRIMARY KEY (campaign, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE activation (
    activation INTEGER PRIMARY KEY,         -- its position in the journal
    at_ms      INTEGER NOT NULL,
    client     ANY     NOT NULL,
    club       INTEGER NOT NULL,
    campaign   INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    nth        INTEGER NOT NULL,            -- the how-manieth activation of its code, from 1
    amount     INTEGER NOT NULL,            -- bonus credited
    balance    INTEGER NOT NULL,            -- the client's bonus balance after it
    credential INTEGER NOT NULL,
    request    BLOB    NOT NULL,            -- the request's UUID
    hold       INTEGER,                     -- the hold that it confirmed
    top_up     INTEGER                      -- the top-up during which the code was typed, as the caller says
) STRICT;
-- Most codes are activated once, and code_use says where: only what comes after a code's first activation is looked up here.
CREATE INDEX activation_again ON activation (campaign, slot) WHERE nth > 1;

-- In which stretches of 4,096 positions a campaign has activations: position / 4096.
CREATE TABLE campaign_stretch (
    campaign    INTEGER NOT NULL,
    stretch     INTEGER NOT NULL,
    activations INTEGER NOT NULL,
    PRIMARY KEY (campaign, stretch)
) STRICT, WITHOUT ROWID;

-- Refunded activations.
CREATE TABLE refund (
    refund      INTEGER PRIMARY KEY,        -- its position
    activation  INTEGER NOT NULL UNIQUE,
    at_ms       INTEGER NOT NULL,
    campaign    INTEGER NOT NULL,
    slot        INTEGER NOT NULL,
    client      ANY     NOT NULL,
    taken       INTEGER NOT NULL,           -- bonus taken back
    uncollected INTEGER NOT NULL,           -- bonus that was spent already
    balance     INTEGER NOT NULL,           -- the client's bonus balance after it
    credential  INTEGER NOT NULL,
    request     BLOB    NOT NULL
) STRICT;

CREATE TABLE hold (
    hold       INTEGER PRIMARY KEY,         -- its position
    at_ms      INTEGER NOT NULL,
    client     ANY     NOT NULL,
    club       INTEGER NOT NULL,
    campaign   INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    credential INTEGER NOT NULL,
    request    BLOB    NOT NULL,
    ended      TEXT,                        -- 'confirmed' or 'released'; one that expired has just expired
    ended_at   INTEGER                      -- position of the record that ended it
) STRICT;
CREATE INDEX hold_open ON hold (campaign, expires_ms) WHERE ended IS NULL;

-- Open holds by the time at which they expire, added up over 1 ms, 2^10 ms and 2^20 ms. What is held after a time is the sum of the rows of
-- 2^20 ms that begin later, of those of 2^10 ms up to the first of them, and of those of 1 ms up to the first of these.
CREATE TABLE held (
    campaign    INTEGER NOT NULL,
    length      INTEGER NOT NULL,           -- 0, 10 or 20: of how many milliseconds, as a power of 2
    stretch     INTEGER NOT NULL,           -- expires_ms / 2^length; what is before the last change of the campaign's holds is removed
    uses        INTEGER NOT NULL,
    amount_high INTEGER NOT NULL,           -- the sum of amount / 2^32
    amount_low  INTEGER NOT NULL,           -- the sum of the remainders
    codes_full  INTEGER NOT NULL,           -- codes all of whose uses are activated or held, up to then
    PRIMARY KEY (campaign, length, stretch)
) STRICT, WITHOUT ROWID;

CREATE TABLE client (
    client        ANY     PRIMARY KEY,
    name          TEXT    NOT NULL,         -- may be empty
    registered_ms INTEGER NOT NULL,
    gaming        INTEGER NOT NULL,         -- gaming balance
    bonus         INTEGER NOT NULL,         -- bonus balance
    spent         INTEGER NOT NULL,         -- money for sessions and purchases, in all time
    sessions      INTEGER NOT NULL,
    activations   INTEGER NOT NULL,         -- refunded ones taken off
    folded        TEXT    NOT NULL          -- the name as it is searched: letter case folded
) STRICT, WITHOUT ROWID;
-- Names, one beside the other: a part of a name is searched for in here, and not in all that is known of clients.
CREATE INDEX client_by_name ON client (folded) WHERE folded <> '';

-- What moved an account and is no activation. The view `ledger` has activations as well.
CREATE TABLE entry (
    position        INTEGER NOT NULL,
    nth             INTEGER NOT NULL,       -- of the entries of its record, from 0
    at_ms           INTEGER NOT NULL,
    client          ANY     NOT NULL,
    club            INTEGER,
    account         TEXT    NOT NULL,       -- 'gaming' or 'bonus'
    label           TEXT    NOT NULL,       -- as in 'Bonus Credit'
    executor        TEXT    NOT NULL,       -- 'System' or 'Administrator'
    executor_name   TEXT    NOT NULL,
    credential      INTEGER NOT NULL,
    origin          TEXT    NOT NULL,       -- 'request', 'rule', 'activation', 'top_up' or 'payment'
    origin_id       INTEGER,                -- which
    amount          INTEGER NOT NULL,       -- more than 0 for a credit
    balance         INTEGER NOT NULL,       -- of that account after it
    comment         TEXT    NOT NULL,
    tags            TEXT    NOT NULL,       -- JSON array
    request         BLOB    NOT NULL,       -- the request's UUID
    source          TEXT,                   -- of a top-up and of what rules credited on it: 'ACQUIRING', 'POS_TERMINAL' or 'CASH'
    purpose         TEXT,                   -- of a payment with bonuses: 'order' or 'gaming_time'
    PRIMARY KEY (position, nth)
) STRICT, WITHOUT ROWID;

-- Sessions and purchases, whatever they were paid from.
CREATE TABLE spending (
    position   INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    client     ANY     NOT NULL,
    club       INTEGER NOT NULL,
    kind       TEXT    NOT NULL,            -- 'session' or 'purchase'
    price      INTEGER NOT NULL,
    paid_from  TEXT    NOT NULL,            -- 'gaming_balance', or 'directly': then there is no entry
    credential INTEGER NOT NULL,
    request    BLOB    NOT NULL,
    executor   TEXT    NOT NULL,            -- 'System' or 'Administrator'
    executor_name TEXT NOT NULL,
    comment    TEXT    NOT NULL,
    tags       TEXT    NOT NULL             -- JSON array
) STRICT;

-- Top-ups on which a rule did not do what it should have done.
CREATE TABLE rule_failure (
    position INTEGER NOT NULL,              -- of the top-up
    nth      INTEGER NOT NULL,              -- of the failures on it, from 0
    at_ms    INTEGER NOT NULL,
    rule     INTEGER NOT NULL,
    client   ANY     NOT NULL,
    why      TEXT    NOT NULL,              -- 'division_by_zero' or 'overflow': it did nothing; 'push_too_long': it fired without its push
    PRIMARY KEY (position, nth)
) STRICT, WITHOUT ROWID;
CREATE INDEX rule_failure_by_rule ON rule_failure (rule, position);

-- The same, counted.
CREATE TABLE rule_failure_count (
    rule     INTEGER NOT NULL,
    why      TEXT    NOT NULL,
    failures INTEGER NOT NULL,
    PRIMARY KEY (rule, why)
) STRICT, WITHOUT ROWID;

CREATE VIEW ledger AS
    SELECT position, nth, at_ms, client, club, account, label, executor, executor_name, credential, origin, origin_id,
           NULL AS slot, amount, balance, comment, tags, request, source, purpose FROM entry
    UNION ALL
    SELECT activation, 0, at_ms, client, club, 'bonus', 'Bonus Credit', 'System', '', credential, 'code', campaign,
           slot, amount, balance, '', '["promo-code"]', request, NULL, NULL FROM activation;

-- Which records concern a client: activations, entries of the ledger, spendings, holds, refusals and registrations; when a hold ended says its row. A stretch is position / 2^17; with
-- it in front, what is written at one time lies together.
CREATE TABLE client_history (
    stretch  INTEGER NOT NULL,
    client   ANY     NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (stretch, client, position)
) STRICT, WITHOUT ROWID;

-- Where the record of a request stands: of every request that there ever was (Z3).
CREATE TABLE request (
    request    BLOB    PRIMARY KEY,
    position   INTEGER NOT NULL,
    kind       INTEGER NOT NULL,            -- the number of the record's kind
    credential INTEGER NOT NULL             -- whose request it was
) STRICT, WITHOUT ROWID;

-- Attempts that were refused, and what decided (Z13).
CREATE TABLE refusal (
    position   INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    command    TEXT    NOT NULL,            -- as in 'redeem'
    credential INTEGER NOT NULL,
    request    BLOB    NOT NULL,
    client     ANY,
    club       INTEGER,
    code       TEXT,                        -- as it is compared; none where the request named several
    campaign   INTEGER,                     -- that the request named; or that held the code, or had held it last, if the code was looked up
    operation  INTEGER,                     -- the activation, top-up, payment or hold that the request named: its position
    reason     TEXT    NOT NULL,            -- the outcome's word, as in 'code_exhausted'
    decided    TEXT    NOT NULL,            -- the condition that decided, as in 'activated 1 of 1'
    reply      TEXT    NOT NULL             -- what was answered, in JSON; of lists of codes their length
) STRICT;
CREATE INDEX refusal_by_client ON refusal (client) WHERE client IS NOT NULL;
CREATE INDEX refusal_by_campaign ON refusal (campaign) WHERE campaign IS NOT NULL;
CREATE INDEX refusal_by_code ON refusal (code) WHERE code IS NOT NULL;

-- What staff changed: campaigns, codes, clubs, groups, rules, credentials, readers, settings. Lists of codes are left out.
CREATE TABLE change (
    position   INTEGER PRIMARY KEY,
    at_ms      INTEGER NOT NULL,
    kind       TEXT    NOT NULL,            -- of the record, as in 'campaign_updated'
    credential INTEGER NOT NULL,            -- 0 for the engine itself
    request    BLOB,
    campaign   INTEGER,
    body       TEXT    NOT NULL             -- JSON
) STRICT;
CREATE INDEX change_by_campaign ON change (campaign) WHERE campaign IS NOT NULL;

-- What was activated where and when, by quarters of an hour (at_ms / 900000): every time zone's days are made of them.
CREATE TABLE activity (
    campaign    INTEGER NOT NULL,
    quarter     INTEGER NOT NULL,
    club        INTEGER NOT NULL,
    activations INTEGER NOT NULL,           -- in it, whatever was refunded later
    issued      INTEGER NOT NULL,
    refunds     INTEGER NOT NULL,           -- in it, of whatever activations
    taken_back  INTEGER NOT NULL,
    PRIMARY KEY (campaign, quarter, club)
) STRICT, WITHOUT ROWID;

-- The same in all.
CREATE TABLE campaign_club (
    campaign    INTEGER NOT NULL,
    club        INTEGER NOT NULL,
    activations INTEGER NOT NULL,           -- whatever was refunded later
    issued      INTEGER NOT NULL,
    refunds     INTEGER NOT NULL,
    taken_back  INTEGER NOT NULL,
    PRIMARY KEY (campaign, club)
) STRICT, WITHOUT ROWID;
