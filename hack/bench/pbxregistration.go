package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
)

// registrations is what deactivating people whose phones are registered showed, in seconds.
type registrations struct {
	// Device are the times from the API server's answer until the server told that the phone is not reachable, and
	// Row those until the row of its registration was gone.
	Device []float64 `json:"deviceSeconds"`
	Row    []float64 `json:"rowSeconds"`
	// BareDevice and BareRow are those of a bare client, from the API server's answer on.
	BareDevice []float64 `json:"bareDeviceSeconds"`
	BareRow    []float64 `json:"bareRowSeconds"`
}

// gone are the times until all was gone.
func (r *registrations) gone() []float64     { return larger(r.Device, r.Row) }
func (r *registrations) bareGone() []float64 { return larger(r.BareDevice, r.BareRow) }

func larger(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = max(a[i], b[i])
	}
	return list
}

// loseRegistrations deactivates people, and has the bare client do the same with as many others, in turn.
func (s *pbxSite) loseRegistrations(ctx context.Context) (*registrations, error) {
	people := &staff{prefix: "phone", agents: 2 * s.lab.registrations, base: 300_000, sharedSecrets: true}
	if err := s.populate(ctx, staffed{people: people}); err != nil {
		return nil, err
	}
	s.lab.say("deactivating %d people with registered phones", s.lab.registrations)
	result := &registrations{}
	for i := range people.agents {
		deactivate, device, row := s.deactivate, &result.Device, &result.Row
		if i%2 == 1 {
			deactivate, device, row = s.deactivateBare, &result.BareDevice, &result.BareRow
		}
		d, r, err := s.loseRegistration(ctx, people, i, deactivate)
		if err != nil {
			return nil, err
		}
		*device, *row = append(*device, d.Seconds()), append(*row, r.Seconds())
	}
	return result, nil
}

// loseRegistration registers a person's phone and measures how long it is there after a deactivation.
func (s *pbxSite) loseRegistration(
	ctx context.Context, people *staff, i int, deactivate func(context.Context, string) (time.Time, error),
) (device, row time.Duration, err error) {
	agent := people.agent(i)
	p, err := phone.New(ctx, phone.Config{
		Server: s.server.SIPAddress, User: agent, Password: fmt.Sprintf("Correct-Horse-%06d", people.base+i), Dir: s.lab.dir,
	})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	there := s.ours.first("the phone of "+agent+" is there", isDevice(agent, "NOT_INUSE"))
	status, err := p.Register(ctx)
	if err == nil && status != 200 {
		err = fmt.Errorf("the phone of %s is refused with %d", agent, status)
	}
	if err != nil {
		there.stop()
		return 0, 0, err
	}
	if _, err := there.wait(ctx, answerPatience); err != nil {
		return 0, 0, err
	}
	// Anywhere between two of the server's looks at registrations.
	if err := sleep(ctx, 500*time.Millisecond+rand.N(time.Second)); err != nil {
		return 0, 0, err
	}
	away := s.ours.first("the phone of "+agent+" is gone", isDevice(agent, "UNAVAILABLE"))
	answered, err := deactivate(ctx, agent)
	if err != nil {
		away.stop()
		return 0, 0, err
	}
	rowGone, err := s.awaitNoContact(ctx, agent)
	if err != nil {
		away.stop()
		return 0, 0, err
	}
	deviceGone, err := away.wait(ctx, answerPatience)
	return deviceGone.Sub(answered), rowGone.Sub(answered), err
}

func isDevice(agent, state string) func(*passed) bool {
	return func(m *passed) bool {
		return !m.asked && m.is("Event", "DeviceStateChange") && m.get("Device") == "PJSIP/"+agent && m.get("State") == state
	}
}

// awaitNoContact looks until the row of a person's registration is gone.
func (s *pbxSite) awaitNoContact(ctx context.Context, agent string) (time.Time, error) {
	for give := time.Now().Add(answerPatience); ; {
		n, err := s.count(ctx, "SELECT count(*) FROM ps_contacts WHERE endpoint = ?", agent)
		now := time.Now()
		switch {
		case err != nil || n == 0:
			return now, err
		case now.After(give):
			return now, fmt.Errorf("%s is registered %s after the deactivation", agent, answerPatience)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return now, err
		}
	}
}

// deactivate returns when the API server has answered.
func (s *pbxSite) deactivate(ctx context.Context, agent string) (time.Time, error) {
	object := &v1alpha1.Agent{ObjectMeta: meta(agent, nil)}
	err := s.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"state":"Deactivated"}}`)))
	return time.Now(), err
}

// deactivateBare patches the person and writes the rows that refuse a phone.
func (s *pbxSite) deactivateBare(ctx context.Context, agent string) (time.Time, error) {
	err := s.annotate(ctx, agent, bareAnnotation)
	answered := time.Now()
	if err != nil {
		return answered, err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return answered, err
	}
	defer func() { _ = tx.Rollback() }()
	for _, statement := range []string{
		"UPDATE ps_aors SET max_contacts = 0 WHERE id = ?",
		"UPDATE ps_endpoints SET context = 'roster-refused' WHERE id = ?",
		"UPDATE ps_contacts SET expiration_time = 1 WHERE endpoint = ?",
	} {
		if _, err := tx.ExecContext(ctx, s.statement(statement), agent); err != nil {
			return answered, err
		}
	}
	return answered, tx.Commit()
}
