package roster

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
)

// colleagues answer what a decision about a case asks of people.
type colleagues interface {
	// unable says why a person cannot take cases; empty: they can.
	unable(agent string) v1alpha1.CoverCause
	// putOut is when the person's current or last deactivation was asked for; zero for never.
	putOut(agent string) time.Time
	// backup is whom the leave that rules at now names; empty for nobody.
	backup(agent string, now time.Time) (name string, next time.Time)
	// idlest is the person of a group who can take cases and holds the fewest; empty for nobody.
	idlest(group string) string
}

// Case is all that a decision about one case rests on, people excepted.
type Case struct {
	Spec *v1alpha1.CaseAssignmentSpec
	// Holders hold the case, as it was decided last; the first is the responsible one.
	Holders []v1alpha1.EffectiveAssignee
	// Separate lets only the first assignee take effect.
	Separate bool
}

// Unable is a declared assignee who cannot take a case.
type Unable struct {
	Name  string
	Cause v1alpha1.CoverCause
}

// CaseDecision is who holds a case.
type CaseDecision struct {
	Phase v1alpha1.CasePhase
	// Holders of the case; the first is the responsible one.
	Holders []v1alpha1.EffectiveAssignee
	// Unable are the declared assignees who cannot take it.
	Unable []Unable
	// HandedOn is the declared responsible person who could take the case, and does not get it back, because a
	// deactivation took it from them; empty for nobody.
	HandedOn string
	// Surplus are the declared assignees beyond the one that separate operators allow.
	Surplus []string
	// Next is the next moment at which the decision may change by itself; zero for never.
	Next time.Time
}

// decideCase says who holds a case at now.
//
// The responsible person's place is filled in this order: the declared person, who gets it back after a leave and
// not after a deactivation; who covers it already; the fallback in its order; the next declared assignee. The other
// declared assignees hold the case beside.
func decideCase(c *Case, p colleagues, now time.Time) CaseDecision {
	d := CaseDecision{}
	if c.Spec.State == v1alpha1.CaseCompleted {
		d.Phase = v1alpha1.CasePhaseCompleted
		return d
	}
	declared := make([]string, 0, len(c.Spec.Assignees))
	for i := range c.Spec.Assignees {
		declared = append(declared, string(c.Spec.Assignees[i].Name))
	}
	if c.Separate && len(declared) > 1 {
		declared, d.Surplus = declared[:1], declared[1:]
	}
	able := declared[:0:0]
	for _, name := range declared {
		if cause := p.unable(name); cause != "" {
			d.Unable = append(d.Unable, Unable{name, cause})
		} else {
			able = append(able, name)
		}
	}
	first, next := c.first(p, declared, able, now)
	switch {
	case first == nil:
		d.Phase, d.Next = v1alpha1.CaseUnassigned, next
		return d
	case first.Covers != "" && first.Via != v1alpha1.ViaDeclared:
		d.Phase = v1alpha1.CaseCovered
	default:
		d.Phase = v1alpha1.CaseAssigned
	}
	if first.Covers != "" && slices.Contains(able, string(first.Covers)) {
		d.HandedOn = string(first.Covers)
	}
	d.Holders = append(d.Holders, *first)
	for _, name := range able {
		if name != string(first.Name) && name != d.HandedOn {
			d.Holders = append(d.Holders, v1alpha1.EffectiveAssignee{Name: v1alpha1.AgentName(name), Via: v1alpha1.ViaDeclared})
		}
	}
	for i := range d.Holders {
		d.Holders[i].Since = c.since(&d.Holders[i], now)
	}
	return d
}

// first is who has the responsible person's place; nil for nobody.
func (c *Case) first(p colleagues, declared, able []string, now time.Time) (first *v1alpha1.EffectiveAssignee, next time.Time) {
	responsible, cause := "", v1alpha1.CoverCause("")
	if len(declared) > 0 {
		responsible = declared[0]
		cause = p.unable(responsible)
	}
	was := c.covering(responsible, declared)
	stays := was != nil && p.unable(string(was.Name)) == ""
	lost := c.lost(responsible, p, was, cause)
	if responsible != "" && cause == "" && (!stays || !lost) {
		return &v1alpha1.EffectiveAssignee{Name: v1alpha1.AgentName(responsible), Via: v1alpha1.ViaDeclared}, next
	}
	away := cause == v1alpha1.CauseOnLeave
	if lost {
		cause = v1alpha1.CauseDeactivated
	}
	in := func(name string, via v1alpha1.AssignedVia) *v1alpha1.EffectiveAssignee {
		return &v1alpha1.EffectiveAssignee{
			Name: v1alpha1.AgentName(name), Via: via, Covers: v1alpha1.AgentName(responsible), Cause: cause,
		}
	}
	if stays {
		return in(string(was.Name), was.Via), next
	}
	for _, f := range c.Spec.Fallback {
		name, via := "", v1alpha1.ViaGroup
		switch f {
		case v1alpha1.FallbackBackup:
			via = v1alpha1.ViaBackup
			if away {
				name, next = p.backup(responsible, now)
			}
			if name != "" && p.unable(name) != "" {
				name = ""
			}
		case v1alpha1.FallbackGroup:
			if c.Spec.Group != "" {
				name = p.idlest(string(c.Spec.Group))
			}
		}
		if name != "" {
			return in(name, via), next
		}
	}
	if len(able) > 0 {
		return in(able[0], v1alpha1.ViaDeclared), next
	}
	return nil, next
}

// covering is who has the responsible person's place already, by a way that is still open; nil for nobody.
func (c *Case) covering(responsible string, declared []string) *v1alpha1.EffectiveAssignee {
	if len(c.Holders) == 0 {
		return nil
	}
	h := &c.Holders[0]
	// Where nobody is responsible any more, whoever covered goes on.
	if string(h.Covers) != responsible && responsible != "" || string(h.Name) == responsible {
		return nil
	}
	open := false
	switch h.Via {
	case v1alpha1.ViaBackup:
		open = slices.Contains(c.Spec.Fallback, v1alpha1.FallbackBackup)
	case v1alpha1.ViaGroup:
		open = slices.Contains(c.Spec.Fallback, v1alpha1.FallbackGroup) && c.Spec.Group != ""
	case v1alpha1.ViaDeclared:
		open = slices.Contains(declared, string(h.Name))
	}
	if !open {
		return nil
	}
	return h
}

// lost says whether a deactivation took the case from the responsible person: now, or since somebody covers it.
func (c *Case) lost(responsible string, p colleagues, was *v1alpha1.EffectiveAssignee, cause v1alpha1.CoverCause) bool {
	switch {
	case responsible == "":
		return false
	case cause == v1alpha1.CauseDeactivated:
		return true
	case cause == v1alpha1.CauseUnknown && len(c.Holders) > 0 && string(c.Holders[0].Name) == responsible:
		return true // deleted while holding it
	case was == nil:
		return false
	}
	out := p.putOut(responsible)
	return was.Cause == v1alpha1.CauseDeactivated || !out.IsZero() && !out.Before(was.Since.Time)
}

// since is when a holder came to the case as they hold it now.
func (c *Case) since(h *v1alpha1.EffectiveAssignee, now time.Time) metav1.Time {
	for _, was := range c.Holders {
		// Who begins to cover holds the case anew: what became of the responsible person before does not count.
		if was.Name == h.Name && was.Via == h.Via && (h.Covers == "" || was.Covers == h.Covers) && !was.Since.IsZero() {
			return was.Since
		}
	}
	return metav1.NewTime(now.UTC().Truncate(time.Second))
}

// The words with which a case's history says why somebody came or went.
const (
	WhyDeclared  = "Declared"
	WhyCover     = "Cover"
	WhyReturn    = "Return"
	WhyTransfer  = "Transfer"
	WhyCompleted = "Completed"
	WhyNotAble   = "NotAble"
)

// The types of a case's history.
const (
	HistoryResponsible = "Responsible"
	HistoryAssignee    = "Assignee"
)

// CaseHistory is what changed between who held a case before and who holds it by a decision, in one order.
func CaseHistory(spec *v1alpha1.CaseAssignmentSpec, before []v1alpha1.EffectiveAssignee, d *CaseDecision, now time.Time) []v1alpha1.HistoryEntry {
	var entries []v1alpha1.HistoryEntry
	add := func(what string, from, to v1alpha1.AgentName, why string) {
		entries = append(entries, v1alpha1.HistoryEntry{
			Time: metav1.NewTime(now.UTC().Truncate(time.Second)), Type: what, From: string(from), To: string(to), Reason: why,
		})
	}
	was, is := responsibleOf(before), responsibleOf(d.Holders)
	if was.Name != is.Name {
		add(HistoryResponsible, was.Name, is.Name, whyResponsible(spec, &was, &is, d))
	}
	for i := range before {
		name := before[i].Name
		if i > 0 && !holds(d.Holders, name) {
			add(HistoryAssignee, name, "", whyGone(d, name))
		}
	}
	for i := range d.Holders {
		name := d.Holders[i].Name
		if i > 0 && (!holds(before, name) || name == was.Name) {
			add(HistoryAssignee, "", name, declaredReason(spec, name, WhyDeclared))
		}
	}
	return entries
}

func responsibleOf(holders []v1alpha1.EffectiveAssignee) v1alpha1.EffectiveAssignee {
	if len(holders) == 0 {
		return v1alpha1.EffectiveAssignee{}
	}
	return holders[0]
}

func holds(holders []v1alpha1.EffectiveAssignee, name v1alpha1.AgentName) bool {
	return slices.ContainsFunc(holders, func(h v1alpha1.EffectiveAssignee) bool { return h.Name == name })
}

func whyResponsible(spec *v1alpha1.CaseAssignmentSpec, was, is *v1alpha1.EffectiveAssignee, d *CaseDecision) string {
	switch {
	case is.Name == "":
		return whyGone(d, was.Name)
	case is.Covers != "":
		return WhyCover + ": " + string(is.Cause)
	case is.Via != v1alpha1.ViaDeclared:
		return WhyCover
	case was.Covers == is.Name:
		return WhyReturn
	case was.Name != "":
		return declaredReason(spec, is.Name, WhyTransfer)
	}
	return declaredReason(spec, is.Name, WhyDeclared)
}

// whyGone is why somebody holds a case no more, whom nobody follows.
func whyGone(d *CaseDecision, name v1alpha1.AgentName) string {
	if d.Phase == v1alpha1.CasePhaseCompleted {
		return WhyCompleted
	}
	for _, u := range d.Unable {
		if u.Name == string(name) {
			return WhyNotAble + ": " + string(u.Cause)
		}
	}
	if d.Phase == v1alpha1.CaseUnassigned {
		return WhyNotAble
	}
	return WhyDeclared
}

// declaredReason is a word with the reason that the declaration gives for a person.
func declaredReason(spec *v1alpha1.CaseAssignmentSpec, name v1alpha1.AgentName, word string) string {
	for i := range spec.Assignees {
		if a := &spec.Assignees[i]; a.Name == name && a.Reason != "" {
			return word + ": " + string(a.Reason)
		}
	}
	return word
}
