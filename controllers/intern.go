package controllers

import (
	"slices"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
)

// intern makes equal strings share their bytes: thousands of people and cases have the same labels, queues and conditions.
func intern[S ~string](s *S) {
	if *s != "" {
		*s = S(unique.Make(string(*s)).Value())
	}
}

// These are by far the most frequent lists. Cached objects are never changed, so one of each will do.
var (
	voiceOnly     = []v1alpha1.Channel{v1alpha1.ChannelVoice}
	bothFallbacks = []v1alpha1.Fallback{v1alpha1.FallbackBackup, v1alpha1.FallbackGroup}
)

// fit is the list without the room to grow that decoding leaves.
func fit[T any](list []T) []T {
	if cap(list) == len(list) {
		return list
	}
	return append(make([]T, 0, len(list)), list...)
}

// internAgent shares the strings that repeat from person to person.
func internAgent(a *v1alpha1.Agent) {
	intern(&a.Namespace)
	intern(&a.Kind)
	intern(&a.APIVersion)
	labels := make(map[string]string, len(a.Labels))
	for k, v := range a.Labels {
		intern(&k)
		intern(&v)
		labels[k] = v
	}
	if len(labels) > 0 {
		a.Labels = labels
	}
	for i := range a.Finalizers {
		intern(&a.Finalizers[i])
	}
	intern(&a.Spec.Role)
	intern(&a.Spec.State)
	intern(&a.Spec.License)
	intern(&a.Spec.TimeZone)
	intern(&a.Spec.Locale)
	s := &a.Status
	intern(&s.Phase)
	intern(&s.Group)
	intern(&s.Seat)
	intern(&s.QueueSummary)
	for i := range s.Teams {
		intern(&s.Teams[i])
	}
	s.Queues = fit(s.Queues)
	for i := range s.Queues {
		q := &s.Queues[i]
		intern(&q.Name)
		if slices.Equal(q.Channels, voiceOnly) {
			q.Channels = voiceOnly
		}
		q.Via = fit(q.Via)
		for j := range q.Via {
			intern(&q.Via[j])
		}
	}
	s.History, s.Conditions = fit(s.History), fit(s.Conditions)
	internHistory(s.History)
	internConditions(s.Conditions)
}

// internCase shares the strings that repeat from case to case.
func internCase(c *v1alpha1.CaseAssignment) {
	intern(&c.Namespace)
	intern(&c.Kind)
	intern(&c.APIVersion)
	intern(&c.Spec.Group)
	intern(&c.Spec.State)
	if slices.Equal(c.Spec.Fallback, bothFallbacks) {
		c.Spec.Fallback = bothFallbacks
	}
	if c.Spec.Client != nil {
		c.Spec.Client.Phones = fit(c.Spec.Client.Phones)
	}
	c.Spec.Assignees = fit(c.Spec.Assignees)
	for i := range c.Spec.Assignees {
		intern(&c.Spec.Assignees[i].Name)
		intern(&c.Spec.Assignees[i].Reason)
	}
	s := &c.Status
	intern(&s.Phase)
	s.Assignees, s.History, s.Conditions = fit(s.Assignees), fit(s.History), fit(s.Conditions)
	for i := range s.Assignees {
		a := &s.Assignees[i]
		intern(&a.Name)
		intern(&a.Via)
		intern(&a.Covers)
		intern(&a.Cause)
	}
	internHistory(s.History)
	internConditions(s.Conditions)
}

func internHistory(history []v1alpha1.HistoryEntry) {
	for i := range history {
		h := &history[i]
		intern(&h.Type)
		intern(&h.From)
		intern(&h.To)
		intern(&h.Reason)
	}
}

func internConditions(conditions []metav1.Condition) {
	for i := range conditions {
		c := &conditions[i]
		intern(&c.Type)
		intern(&c.Status)
		intern(&c.Reason)
		intern(&c.Message)
	}
}
