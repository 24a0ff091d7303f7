package controllers

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/roster"
)

// hooks are what the operator does about what the servers tell.
func (op *operator) hooks() live.Hooks {
	h := live.Hooks{
		Queues:    op.voiceQueues,
		Stirred:   op.stirred,
		Changed:   op.serversChanged,
		Paused:    op.paused,
		Stray:     op.stray,
		Listening: op.judge,
	}
	if op.options.Staff != nil {
		h.Moved = op.options.Staff.Moved
	}
	return h
}

// voiceQueues are a namespace's queues that have a place on the telephone system.
func (op *operator) voiceQueues(namespace string) []string {
	list := &v1alpha1.QueueList{}
	if err := op.List(context.Background(), list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var names []string
	for i := range list.Items {
		if view := roster.ViewQueue(&list.Items[i]); view.Voice() && !view.Foreign {
			names = append(names, view.Name)
		}
	}
	return append(names, groupQueues(namespace, op.feed.Directory(namespace).StickyGroups())...)
}

// stirred looks again at a person on their way out.
func (op *operator) stirred(namespace, agent string) {
	if op.leaving.has(namespace, agent) {
		op.feed.enqueue(kindAgent, namespace, priorityAccess, 0, agent)
	}
}

// serversChanged has the ContactCenter tell of a connection, and looks again at who waits for it.
func (op *operator) serversChanged(namespace string) {
	if op.options.Staff != nil {
		op.options.Staff.MovedAll(namespace)
	}
	op.feed.enqueue(kindCenter, namespace, priorityEdit, 0, centerName)
	op.feed.enqueue(kindAgent, namespace, priorityEdit, 0, op.leaving.of(namespace)...)
}

// paused takes a pause that somebody set or lifted on one server to the others. Roster's own pause, lifted by
// somebody else, is drift; one that the person sets besides it is theirs, and stays.
func (op *operator) paused(namespace string, m live.Member) {
	if !op.fleet.Leads() {
		return
	}
	op.fleet.RefreshOthers(namespace, m.Server, m.Agent, m.Queue)
	c := op.centers.Get(namespace)
	if c == nil {
		return
	}
	record, registered, _ := c.Recorded(m.Agent)
	if !registered || record.Phase != string(v1alpha1.PhaseOnLeave) {
		return
	}
	if m.Paused {
		op.presses.add(namespace, m.Agent, m.Queue, m.PauseReason)
	} else {
		op.presses.drop(namespace, m.Agent, m.Queue)
		op.drift.found(namespace, c.Suspect([]string{m.Agent}, nil))
	}
	op.feed.enqueue(kindAgent, namespace, priorityEdit, 0, m.Agent)
}

// stray takes a member out of an Authoritative queue that somebody added to a server's memory.
func (op *operator) stray(namespace string, m live.Member) {
	if !op.fleet.Leads() {
		return
	}
	go func() { // a server's event must not wait for the API server
		ctx, cancel := context.WithTimeout(context.Background(), reconcileTimeout)
		defer cancel()
		queue := &v1alpha1.Queue{}
		if err := op.Get(ctx, types.NamespacedName{Namespace: namespace, Name: m.Queue}, queue); err != nil ||
			queue.Spec.Membership != v1alpha1.MembershipAuthoritative || !queue.DeletionTimestamp.IsZero() ||
			!roster.ViewQueue(queue).Voice() {
			return
		}
		if site := op.sites.get(namespace); site == nil || !site.gate.ready() {
			return
		}
		if !op.registeredQueue(namespace, m.Queue) {
			return
		}
		op.fleet.RemoveMember(namespace, m.Server, m.Queue, m.Interface)
		op.drift.found(namespace, 1)
		op.drift.repaired(namespace, 1)
		op.feed.recount(namespace)
		op.warning(queue, reasonDrift, "Repair "+m.Interface+" on "+m.Server, fmt.Sprintf(
			"%s was added on server %s by hand, and is taken out again: list the person in the queue, or set membership: Additive",
			m.Interface, m.Server))
	}()
}

// judge ends a session that listens to somebody whom the listener may not hear, or not any more.
func (op *operator) judge(namespace string, session live.Listening) {
	c := op.centers.Get(namespace)
	if c == nil || session.Target == "" || !op.fleet.Leads() {
		return
	}
	listener, registered, _ := c.Recorded(session.Listener)
	target, known, _ := c.Recorded(session.Target)
	own := session.Listener == session.Target
	if !registered || !known || !own && roster.Shares(target.SpyGroups, listener.Monitors) {
		return
	}
	op.fleet.HangUp(namespace, session.Server, session.Channel)
	agent := &v1alpha1.Agent{}
	agent.Namespace, agent.Name = namespace, session.Listener
	if err := op.Get(context.Background(), client.ObjectKeyFromObject(agent), agent); err == nil {
		op.warning(agent, "ListeningEnded", "Monitor "+session.Target, fmt.Sprintf("may not listen to %s: the session was ended", session.Target))
	}
}

// judgeAll looks at the sessions in which a person takes part; an empty name is everybody.
func (op *operator) judgeAll(namespace, agent string) {
	for _, session := range op.fleet.Listening(namespace) {
		if agent == "" || session.Listener == agent || session.Target == agent {
			op.judge(namespace, session)
		}
	}
}

// registeredQueue says whether a queue is registered on its centre's telephone system.
func (op *operator) registeredQueue(namespace, queue string) bool {
	c := op.centers.Get(namespace)
	if c == nil {
		return false
	}
	_, registered, _ := c.RecordedQueue(queue)
	return registered
}
