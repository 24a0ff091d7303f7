-- +goose Up
ALTER TABLE roster_registry ADD COLUMN spy_groups VARCHAR(512);
ALTER TABLE roster_registry ADD COLUMN handled TEXT;
ALTER TABLE roster_registry ADD COLUMN rows_hash VARCHAR(20);
ALTER TABLE roster_registry ADD COLUMN password_check VARCHAR(8);
ALTER TABLE roster_registry ADD COLUMN away VARCHAR(80);
