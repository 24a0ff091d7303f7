package controllers

import (
	"slices"
	"unique"

	"roster.dev/roster/api/v1alpha1"
)

// intern makes equal strings share their bytes: thousands of people have the same labels, queues and conditions.
func intern[S ~string](s *S) {
	if *s != "" {
		*s = S(unique.Make(string(*s)).Value())
	}
}

// voiceOnly is by far the most frequent list of channels. Cached objects are never changed, so one will do.
var voiceOnly = []v1alpha1.Channel{v1alpha1.ChannelVoice}

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
	for i := range s.History {
		h := &s.History[i]
		intern(&h.Type)
		intern(&h.From)
		intern(&h.To)
		intern(&h.Reason)
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		intern(&c.Type)
		intern(&c.Status)
		intern(&c.Reason)
		intern(&c.Message)
	}
}
