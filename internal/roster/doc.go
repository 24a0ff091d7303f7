// Package roster holds the rules: what a person is allowed now, which group holds them, which queues they serve,
// what a deactivation takes and what gives it back. It knows no client, no SQL and no clock: every decision is a
// function of the objects, what is recorded, and a moment that the caller names.
package roster
