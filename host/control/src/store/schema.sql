-- Times are microseconds since 1970. Words in `state`, `kind`, `phase` and `tier` are those of the domain.

CREATE TABLE token (
    hash TEXT PRIMARY KEY,          -- SHA-256 of the token, which has 256 random bits
    name TEXT NOT NULL,
    role TEXT NOT NULL,             -- admin, reader or worker
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The starts of the server. An epoch is a start's number and a number within it, so that no
-- epoch is ever given twice, whatever a crash has swallowed.
CREATE TABLE start (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT;

CREATE TABLE pipeline (
    name TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    description TEXT NOT NULL,      -- JSON: what it is, or why it cannot be used
    described_by TEXT NOT NULL,     -- the token of the worker that looked at it
    described_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A pipeline file with what its check found, shared by the runs of a revision.
CREATE TABLE definition (
    digest TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    facts TEXT NOT NULL             -- JSON: plugin and grants of each stage
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL REFERENCES pipeline (name),
    repository TEXT NOT NULL,       -- where the revision is from; the pipeline's may change later
    reference TEXT NOT NULL,
    revision TEXT NOT NULL,
    version TEXT,
    tier TEXT NOT NULL,
    definition TEXT NOT NULL REFERENCES definition (digest),
    triggered_by TEXT NOT NULL,
    parameters TEXT NOT NULL,       -- JSON
    idempotency_key TEXT,
    request_hash TEXT,
    state TEXT NOT NULL,
    culprit TEXT,                   -- the stage that failed or errored, or who cancelled
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    UNIQUE (pipeline, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_by_pipeline ON run (pipeline, id);
CREATE INDEX run_open ON run (id) WHERE ended_at IS NULL;

CREATE TABLE stage (
    run TEXT NOT NULL REFERENCES run (id),
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    state TEXT NOT NULL,
    phase TEXT,
    attempt INTEGER,
    detail TEXT NOT NULL,           -- JSON: failure, fault, rollback, reason to skip
    started_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    run TEXT NOT NULL REFERENCES run (id),
    stage TEXT NOT NULL,
    phase TEXT NOT NULL,
    number INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    worker TEXT NOT NULL,
    stored_seq INTEGER NOT NULL,    -- the last frame of the worker that is stored
    outcome TEXT,                   -- passed, failed, errored, cancelled, lost
    metering TEXT,                  -- JSON
    leased_at INTEGER NOT NULL,
    ended_at INTEGER,
    PRIMARY KEY (run, stage, phase, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_by_epoch ON attempt (epoch);

-- What happened to a run, in order: the run's state is what these events make of it.
CREATE TABLE event (
    run TEXT NOT NULL REFERENCES run (id),
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    record TEXT NOT NULL,           -- JSON
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- Every call of a guest, with its reply once there is one.
CREATE TABLE journal (
    run TEXT NOT NULL REFERENCES run (id),
    stage TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    function TEXT NOT NULL,
    call TEXT NOT NULL,             -- JSON
    reply TEXT,                     -- JSON
    replied_at INTEGER,
    PRIMARY KEY (run, stage, epoch, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE log (
    run TEXT NOT NULL REFERENCES run (id),
    first INTEGER NOT NULL,         -- number of the first entry, from 1 in each run
    last INTEGER NOT NULL,
    stage TEXT NOT NULL,
    phase TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    entries TEXT NOT NULL,          -- JSON
    PRIMARY KEY (run, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    run TEXT NOT NULL REFERENCES run (id),
    stage TEXT NOT NULL,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (run, stage, name)
) STRICT, WITHOUT ROWID;

-- What a worker has uploaded under a lease, and may now name as an artifact.
CREATE TABLE upload (
    epoch INTEGER NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (epoch, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE output (
    run TEXT NOT NULL REFERENCES run (id),
    stage TEXT NOT NULL,
    name TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, stage, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE test_case (
    run TEXT NOT NULL REFERENCES run (id),
    stage TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    suite TEXT NOT NULL,
    name TEXT NOT NULL,
    outcome TEXT NOT NULL,
    time_us INTEGER,
    message TEXT,
    -- More facts, as a JSON list of pairs; nothing when there are none.
    details TEXT,
    PRIMARY KEY (run, stage, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE change (
    run TEXT NOT NULL REFERENCES run (id),
    stage TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (run, stage, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE app_release (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    run TEXT NOT NULL REFERENCES run (id),
    pipeline TEXT NOT NULL,
    revision TEXT NOT NULL,
    version TEXT,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX app_release_by_app ON app_release (app, id);
CREATE INDEX app_release_by_run ON app_release (run);
CREATE INDEX app_release_in_play ON app_release (app) WHERE state IN ('candidate', 'live', 'previous');
