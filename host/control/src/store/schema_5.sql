-- What version 5 has beyond version 4.

-- Values are encrypted, each under a key of its own, and that under one that is not in the database.
CREATE TABLE secret (
    pipeline TEXT NOT NULL REFERENCES pipeline (name),
    -- Empty: for all environments.
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Rises with each value. It is part of what is authenticated.
    version INTEGER NOT NULL,
    key_id INTEGER NOT NULL,
    wrapped_key BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    PRIMARY KEY (pipeline, environment, name)
) STRICT, WITHOUT ROWID;

-- What was done about grants and secrets, and what was refused. Rows are only ever added.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    -- A person's token, or `run/stage`.
    actor TEXT NOT NULL,
    -- Such as `secret.set` or `http.send`.
    action TEXT NOT NULL,
    -- What it was done to.
    object TEXT NOT NULL,
    -- `done` or `refused`.
    outcome TEXT NOT NULL
) STRICT;
