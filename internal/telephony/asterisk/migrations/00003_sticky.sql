-- +goose Up
ALTER TABLE roster_sticky ADD COLUMN center VARCHAR(63);
ALTER TABLE roster_sticky ADD COLUMN assignment VARCHAR(253);
CREATE INDEX roster_sticky_center ON roster_sticky (center);
ALTER TABLE roster_agents ADD COLUMN seat VARCHAR(20);
