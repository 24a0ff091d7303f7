-- +goose Up
CREATE TABLE roster_state (
    name VARCHAR(40) NOT NULL PRIMARY KEY,
    value VARCHAR(64) NOT NULL
);

CREATE TABLE roster_registry (
    kind VARCHAR(20) NOT NULL,
    name VARCHAR(253) NOT NULL,
    center VARCHAR(63) NOT NULL,
    uid VARCHAR(64),
    fingerprint VARCHAR(64),
    credentials VARCHAR(512),
    claimed INTEGER NOT NULL DEFAULT 0,
    own_pauses TEXT,
    pause_reason VARCHAR(80),
    mailbox VARCHAR(161),
    endpoint_columns TEXT,
    PRIMARY KEY (kind, name)
);
CREATE INDEX roster_registry_center ON roster_registry (center, kind);
CREATE INDEX roster_registry_mailbox ON roster_registry (mailbox);

CREATE TABLE roster_agents (
    name VARCHAR(80) NOT NULL PRIMARY KEY,
    center VARCHAR(63) NOT NULL,
    uid VARCHAR(64),
    interface VARCHAR(80) NOT NULL,
    extension VARCHAR(20),
    display_name VARCHAR(256),
    email VARCHAR(256),
    employee_id VARCHAR(256),
    role VARCHAR(40),
    phase VARCHAR(20),
    agent_group VARCHAR(253),
    color VARCHAR(20),
    monitors VARCHAR(512),
    requested_at VARCHAR(20),
    offline_at VARCHAR(20),
    completed_at VARCHAR(20),
    deleted_at VARCHAR(20),
    updated_at VARCHAR(20)
);
CREATE INDEX roster_agents_interface ON roster_agents (interface);
CREATE INDEX roster_agents_group ON roster_agents (center, agent_group);

CREATE TABLE roster_memberships (
    center VARCHAR(63) NOT NULL,
    queue VARCHAR(80) NOT NULL,
    agent VARCHAR(80) NOT NULL,
    channel VARCHAR(20) NOT NULL,
    stars INTEGER,
    penalty INTEGER,
    via TEXT,
    PRIMARY KEY (center, queue, agent, channel)
);
CREATE INDEX roster_memberships_agent ON roster_memberships (agent);

CREATE TABLE roster_extensions (
    key VARCHAR(80) NOT NULL PRIMARY KEY,
    center VARCHAR(63) NOT NULL,
    interface VARCHAR(80),
    queue VARCHAR(80)
);
CREATE INDEX roster_extensions_interface ON roster_extensions (interface);
CREATE INDEX roster_extensions_queue ON roster_extensions (queue);

CREATE TABLE roster_sticky (
    key VARCHAR(80) NOT NULL PRIMARY KEY,
    interface VARCHAR(80),
    agent VARCHAR(80),
    agent_group VARCHAR(253),
    queue VARCHAR(80),
    case_id VARCHAR(256)
);

CREATE TABLE roster_revocations (
    center VARCHAR(63) NOT NULL,
    agent VARCHAR(80) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    name VARCHAR(253) NOT NULL,
    since VARCHAR(20),
    PRIMARY KEY (center, agent, kind, name)
);
CREATE INDEX roster_revocations_agent ON roster_revocations (agent);
