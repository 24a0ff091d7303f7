package center

import (
	"sync"

	"github.com/go-logr/logr"

	"roster.dev/roster/internal/telephony"
)

// Centers keeps the connections of all centres, one a namespace. It is safe for concurrent use.
type Centers struct {
	hooks hooks
	log   logr.Logger

	mu   sync.RWMutex
	byNS map[string]*Center
}

// hooks are what connections ask and tell.
type hooks struct {
	open    Opener
	loaded  func(namespace string, records *telephony.Records)
	changed func(namespace string, status Status)
	drifted func(namespace string, drift *telephony.Drift, phones []string, fresh int)
}

// New makes an empty set of connections. From any goroutine it calls loaded with what is recorded, after each
// connection and before anybody is told of it or finds the records here; changed whenever a connection's state
// changes; and drifted whenever a comparison found something. phones are the known callers that it made suspect, sorted,
// and fresh is how many of them were not so before: see IsSuspectSticky.
func New(open Opener, loaded func(namespace string, records *telephony.Records),
	changed func(namespace string, status Status),
	drifted func(namespace string, drift *telephony.Drift, phones []string, fresh int), log logr.Logger,
) *Centers {
	return &Centers{hooks: hooks{open, loaded, changed, drifted}, log: log, byNS: map[string]*Center{}}
}

// Get is a namespace's centre, or nil where none is in use.
func (s *Centers) Get(namespace string) *Center {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byNS[namespace]
}

// Use makes target the telephone system of a namespace. The same target again changes nothing.
func (s *Centers) Use(namespace string, target Target) {
	s.mu.Lock()
	old := s.byNS[namespace]
	if old != nil && old.target == target {
		s.mu.Unlock()
		return
	}
	delete(s.byNS, namespace)
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byNS[namespace] = newCenter(namespace, target, s.hooks, s.log)
}

// Drop ends the use of a namespace's telephone system.
func (s *Centers) Drop(namespace string) {
	s.mu.Lock()
	old := s.byNS[namespace]
	delete(s.byNS, namespace)
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// Close ends them all.
func (s *Centers) Close() {
	s.mu.Lock()
	all := s.byNS
	s.byNS = map[string]*Center{}
	s.mu.Unlock()
	for _, c := range all {
		c.close()
	}
}
