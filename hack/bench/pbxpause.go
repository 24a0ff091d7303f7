package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// pauses is what pausing people showed, in milliseconds.
type pauses struct {
	// Queues and Members were loaded meanwhile.
	Queues  int `json:"queues"`
	Members int `json:"members"`
	// Accepted are the times from the API server's answer until the server had told the manager of the pause, and
	// Sent those from the request on.
	Accepted []float64 `json:"acceptedMs"`
	Sent     []float64 `json:"sentMs"`
	// Bare are those of the bare client from its request on, and BareAccepted from the API server's answer on.
	Bare         []float64 `json:"bareMs"`
	BareAccepted []float64 `json:"bareAcceptedMs"`
	// Actions are those that the manager asked about the paused people.
	Actions int `json:"actions"`
}

// answerPatience is how long something single may take.
const answerPatience = 30 * time.Second

// pause pauses people from one on, and has the bare client pause as many others, in turn.
func (s *pbxSite) pause(ctx context.Context, from int) (*pauses, error) {
	people := s.lab.pausers().people
	result := &pauses{Queues: s.queues, Members: s.members}
	for i := range s.lab.samples {
		// What the manager still has to write about the one must not be in the way of the other.
		const pause = 150 * time.Millisecond
		if err := s.pauseOne(ctx, from+2*i, people, result); err != nil {
			return nil, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		if err := s.pauseBare(ctx, from+2*i+1, people, result); err != nil {
			return nil, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// annotate sets an annotation of a person.
func (s *pbxSite) annotate(ctx context.Context, agent, annotation string) error {
	value := time.Now().UTC().Format(time.RFC3339) + " Bench"
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, annotation, value)
	object := &v1alpha1.Agent{ObjectMeta: meta(agent, nil)}
	return s.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch))
}

// bareAnnotation is one that the operator does not act on.
const bareAnnotation = "bench.roster.dev/pause-at"

// isPaused says whether the server tells of a member of a queue that is paused.
func isPaused(queue, iface string) func(*passed) bool {
	return func(m *passed) bool {
		return !m.asked && m.is("Event", "QueueMember") && m.get("Location") == iface && m.get("Queue") == queue && m.get("Paused") == "1"
	}
}

func (s *pbxSite) pauseOne(ctx context.Context, i int, people *staff, result *pauses) error {
	agent, queue := people.agent(i), s.lab.pauserQueue(people, i)
	iface := "PJSIP/" + agent
	stop := s.ours.view(func(m *passed) {
		if m.asked && m.get("Member") == iface {
			result.Actions++
		}
	})
	defer stop()
	told := s.ours.first(agent+" is paused", isPaused(queue, iface))
	begin := time.Now()
	if err := s.annotate(ctx, agent, v1alpha1.AnnotationPauseAt); err != nil {
		told.stop()
		return err
	}
	answered := time.Now()
	at, err := told.wait(ctx, answerPatience)
	if err != nil {
		return err
	}
	result.Accepted = append(result.Accepted, milliseconds(max(0, at.Sub(answered))))
	result.Sent = append(result.Sent, milliseconds(at.Sub(begin)))
	return sleep(ctx, 50*time.Millisecond) // to see what else the manager asks
}

func (s *pbxSite) pauseBare(ctx context.Context, i int, people *staff, result *pauses) error {
	agent, queue := people.agent(i), s.lab.pauserQueue(people, i)
	iface := "PJSIP/" + agent
	told := s.theirs.first(agent+" is paused", isPaused(queue, iface))
	begin := time.Now()
	if err := s.annotate(ctx, agent, bareAnnotation); err != nil {
		told.stop()
		return err
	}
	answered := time.Now()
	err := s.exec(ctx, "UPDATE queue_members SET paused = 1, reason_paused = ? WHERE interface = ?", "Bench", iface)
	if err == nil {
		err = s.bare.List(ctx, ami.NewAction("QueueStatus", "Queue", queue, "Member", iface), func(*ami.Message) {})
	}
	if err != nil {
		told.stop()
		return err
	}
	at, err := told.wait(ctx, answerPatience)
	if err != nil {
		return err
	}
	result.Bare = append(result.Bare, milliseconds(at.Sub(begin)))
	result.BareAccepted = append(result.BareAccepted, milliseconds(at.Sub(answered)))
	return nil
}
