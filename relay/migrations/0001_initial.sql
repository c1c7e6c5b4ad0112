-- Identifiers are 32-byte blobs (`shoal_wire::ids`); times are Unix seconds; amounts are reference operations.

CREATE TABLE jobs (
    id                BLOB PRIMARY KEY,
    document          BLOB NOT NULL,              -- JSON as submitted, hashed into the id
    ordinal           INTEGER NOT NULL,           -- how many times this document was submitted before
    name              TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled', 'failed')),
    failure           TEXT,
    rounds            INTEGER NOT NULL,
    rounds_done       INTEGER NOT NULL DEFAULT 0,
    units_per_round   INTEGER NOT NULL,
    parameters        BLOB NOT NULL,              -- blob that the current round starts from
    held_out_accuracy REAL,                       -- after the last averaged round
    submitted_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_by_document ON jobs (document);
CREATE INDEX jobs_by_state ON jobs (state);

-- The cut of the training data: shard by unit index, the same in each round.
CREATE TABLE shards (
    job      BLOB NOT NULL REFERENCES jobs (id),
    position INTEGER NOT NULL,
    blob     BLOB NOT NULL,
    samples  INTEGER NOT NULL,                    -- its weight in the average
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

-- A row for each averaged round.
CREATE TABLE checkpoints (
    job               BLOB NOT NULL REFERENCES jobs (id),
    round             INTEGER NOT NULL,
    parameters        BLOB NOT NULL,
    held_out_accuracy REAL,
    averaged_at       INTEGER NOT NULL,
    PRIMARY KEY (job, round)
) STRICT, WITHOUT ROWID;

CREATE TABLE units (
    id            BLOB PRIMARY KEY,
    job           BLOB NOT NULL REFERENCES jobs (id),
    round         INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    bytes         BLOB NOT NULL,                  -- the encoded unit, hashed into the id
    class         INTEGER NOT NULL,               -- `shoal.v1.Class`
    reference_ops INTEGER NOT NULL,
    output        BLOB,                           -- accepted output: the unit is closed
    worker        BLOB,                           -- whose it is
    UNIQUE (job, round, position),
    CHECK ((output IS NULL) = (worker IS NULL))
) STRICT;

CREATE TABLE workers (
    node    BLOB PRIMARY KEY,
    kind    TEXT NOT NULL,
    backend TEXT NOT NULL,
    adapter TEXT NOT NULL,
    agent   TEXT NOT NULL,
    payout  BLOB,                                 -- 20 bytes: the newest binding's address
    seen_at INTEGER NOT NULL
) STRICT;

-- Payout bindings in the order they became known: the ledger's input beside the receipts.
CREATE TABLE bindings (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    node      BLOB NOT NULL REFERENCES workers (node),
    payout    BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    envelope  BLOB NOT NULL                       -- signed PayoutBinding
) STRICT;
CREATE INDEX bindings_by_node ON bindings (node);

-- A revealed output whose blob is stored, with the signed messages that prove who made it.
CREATE TABLE results (
    lease          BLOB PRIMARY KEY,
    unit           BLOB NOT NULL REFERENCES units (id),
    worker         BLOB NOT NULL REFERENCES workers (node),
    output         BLOB NOT NULL,
    output_len     INTEGER NOT NULL,
    compute_ms     INTEGER NOT NULL,              -- as the worker says
    gpu_dispatches INTEGER NOT NULL,              -- as the worker says
    site           TEXT NOT NULL,
    "commit"       BLOB NOT NULL,                 -- signed Commit
    result         BLOB NOT NULL                  -- signed Result
) STRICT;
CREATE INDEX results_by_unit ON results (unit);

CREATE TABLE verdicts (
    lease           BLOB PRIMARY KEY,
    unit            BLOB NOT NULL REFERENCES units (id),
    worker          BLOB NOT NULL REFERENCES workers (node),
    outcome         INTEGER NOT NULL,
    envelope        BLOB NOT NULL,                -- signed Verdict
    check_seconds   REAL NOT NULL,                -- time spent on the verdict
    compute_seconds REAL NOT NULL                 -- native time of the unit itself
) STRICT;
CREATE INDEX verdicts_by_unit ON verdicts (unit);
CREATE INDEX verdicts_by_worker ON verdicts (worker);

-- What is owed: at most one for a worker and a unit, so that nothing is paid twice. Receipts above the mark of the
-- newest epoch on chain are the outbox: storing a receipt and queueing it is one write.
CREATE TABLE receipts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    unit          BLOB NOT NULL REFERENCES units (id),
    worker        BLOB NOT NULL REFERENCES workers (node),
    job           BLOB NOT NULL REFERENCES jobs (id),
    lease         BLOB NOT NULL UNIQUE REFERENCES verdicts (lease),
    reference_ops INTEGER NOT NULL,
    payout        BLOB,                           -- as bound at acceptance
    envelope      BLOB NOT NULL,                  -- signed Receipt
    delivered     INTEGER NOT NULL DEFAULT 0,     -- written to the worker's session
    UNIQUE (unit, worker)
) STRICT;
CREATE INDEX receipts_by_job ON receipts (job);
CREATE INDEX receipts_by_worker ON receipts (worker);
CREATE INDEX receipts_undelivered ON receipts (worker) WHERE delivered = 0;

-- Closed epochs (`shoal_ledger::outbox::EpochRecord`). The trees are derived from receipts and bindings up to the marks.
CREATE TABLE epochs (
    number          INTEGER PRIMARY KEY,
    through_receipt INTEGER NOT NULL,
    through_binding INTEGER NOT NULL,
    root            BLOB NOT NULL,
    total           TEXT NOT NULL,                -- base units, decimal
    closed_at       INTEGER NOT NULL,
    posted          INTEGER NOT NULL DEFAULT 0    -- the chain was seen to have it in force
) STRICT;
