package controllers

import (
	"sync"
	"time"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/telephony"
)

// site is what a namespace's ContactCenter, or its absence, means for everybody else there.
// It is never changed after it was made.
type site struct {
	// gate is what forbids every write; Ready where nothing does.
	gate verdict
	// everybody is told of the gate, not only those with work pending.
	everybody bool
	// abandon lets every deletion pass.
	abandon bool
	// empty is a centre that has never written anywhere: nothing needs to be taken back.
	empty          bool
	settings       *telephony.Settings
	onReactivation v1alpha1.OnReactivation
	passwordPolicy *v1alpha1.PasswordPolicy
	// servers is how many the centre has.
	servers int
	// hangUp ends the calls of a person who is put out at once, and drain after that long.
	hangUp bool
	drain  time.Duration
}

// writable says whether anything may be written there, and else why not. known is a centre whose records were read.
func (s *site) writable(c *center.Center, known bool) (verdict, bool) {
	if !s.gate.ready() {
		return s.gate, false
	}
	if c == nil || !known {
		return reconciling(reasonUnreachable, connectionMessage(c)), false
	}
	return verdict{}, true
}

// sites keeps one site a namespace.
type sites struct {
	mu   sync.RWMutex
	byNS map[string]*site
}

func newSites() *sites { return &sites{byNS: map[string]*site{}} }

// get is nil where the ContactCenter was not looked at yet.
func (s *sites) get(namespace string) *site {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byNS[namespace]
}

func (s *sites) drop(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byNS, namespace)
}

func (s *sites) set(namespace string, next *site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byNS[namespace] = next
}
