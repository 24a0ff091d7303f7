package controllers

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// reportLimit bounds what a report names; the rest is counted.
const reportLimit = 50

// listReconciler reports on Teams or AgentGroups. What they mean for people is each person's own reconcile.
type listReconciler[T client.Object] struct {
	*operator
	*pace
	kind  kind
	empty func() T
	// parts are what Teams and AgentGroups have in common.
	parts func(T) listParts
	// report fills in what is this kind's own.
	report func(object T, d *roster.Directory) roster.ListReport
}

type listParts struct {
	selector   *v1alpha1.LabelSelector
	observed   *int64
	members    **int32
	conditions *[]metav1.Condition
}

// +kubebuilder:rbac:groups=staff.roster.dev,resources=agentgroups;teams,verbs=get;list;watch
// +kubebuilder:rbac:groups=staff.roster.dev,resources=agentgroups/status;teams/status,verbs=get;update;patch

// newGroupReconciler reports on AgentGroups: how many people each holds, and whom it lists in vain.
func newGroupReconciler(op *operator) *listReconciler[*v1alpha1.AgentGroup] {
	return &listReconciler[*v1alpha1.AgentGroup]{
		operator: op, pace: newPace(), kind: kindGroup,
		empty: func() *v1alpha1.AgentGroup { return &v1alpha1.AgentGroup{} },
		parts: func(g *v1alpha1.AgentGroup) listParts {
			return listParts{g.Spec.Selector, &g.Status.ObservedGeneration, &g.Status.Members, &g.Status.Conditions}
		},
		report: func(g *v1alpha1.AgentGroup, d *roster.Directory) roster.ListReport {
			r := d.Group(g.Name, reportLimit)
			g.Status.Conflicts = nil
			for _, c := range r.Conflicts {
				g.Status.Conflicts = append(g.Status.Conflicts, v1alpha1.ClaimConflict{
					Name: v1alpha1.AgentName(c.Agent), HeldBy: v1alpha1.ObjectName(c.HeldBy),
				})
			}
			total := int32(r.ConflictsTotal)
			g.Status.ConflictsTotal = &total
			reason := ""
			if total > 0 {
				reason = reasonHeldByOther
			}
			setOrRemove(&g.Status.Conditions, g.Generation, v1alpha1.ConditionConflicted, metav1.ConditionTrue,
				reason, conflictMessage(r))
			return r
		},
	}
}

// newTeamReconciler reports on Teams: how many people each has.
func newTeamReconciler(op *operator) *listReconciler[*v1alpha1.Team] {
	return &listReconciler[*v1alpha1.Team]{
		operator: op, pace: newPace(), kind: kindTeam,
		empty: func() *v1alpha1.Team { return &v1alpha1.Team{} },
		parts: func(t *v1alpha1.Team) listParts {
			return listParts{t.Spec.Selector, &t.Status.ObservedGeneration, &t.Status.Members, &t.Status.Conditions}
		},
		report: func(t *v1alpha1.Team, d *roster.Directory) roster.ListReport { return d.Team(t.Name, reportLimit) },
	}
}

func conflictMessage(r roster.ListReport) string {
	texts := make([]string, 0, listedInTexts)
	for _, c := range r.Conflicts[:min(len(r.Conflicts), listedInTexts)] {
		texts = append(texts, fmt.Sprintf("%s is held by group %s", c.Agent, c.HeldBy))
	}
	text := strings.Join(texts, ", ")
	if more := r.ConflictsTotal - len(texts); more > 0 {
		text += fmt.Sprintf(", and %d more are held by others", more)
	}
	return text + ": a person is in one group only; take them off this one or the other"
}

// Reconcile brings one list's status up to date.
func (r *listReconciler[T]) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := r.empty()
	if err := r.Get(ctx, req.NamespacedName, object); err != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	site := r.sites.get(req.Namespace)
	if site == nil {
		return retry(reportDelay), nil // its ContactCenter is looked at first
	}
	before := object.DeepCopyObject().(T)
	busy := r.fill(object, site)
	tell := func() ctrl.Result {
		return r.tell(r.kind, object, *r.parts(before).conditions, *r.parts(object).conditions)
	}
	if equality.Semantic.DeepEqual(before, object) {
		return tell(), nil
	}
	if wait := r.wait(req.NamespacedName, busy); wait > 0 {
		return retry(wait), nil
	}
	if err := r.Status().Update(ctx, object); err != nil {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, ignoreStale(err)
	}
	r.feed.wrote(r.kind, object)
	return tell(), nil
}

// fill writes the status of what the directory knows, and says whether work is under way.
func (r *listReconciler[T]) fill(object T, site *site) (busy bool) {
	parts, generation := r.parts(object), object.GetGeneration()
	report := r.report(object, r.feed.Directory(object.GetNamespace()))
	members := int32(report.Members)
	*parts.members, *parts.observed = &members, generation

	var v verdict
	switch _, err := compileSelector(parts.selector); {
	case err != nil:
		v = stalled(reasonInvalidSelector, fmt.Sprintf("spec.selector selects nobody, because it is not valid: %v", err))
	case site.everybody:
		v = site.gate
	case report.MissingTotal > 0:
		v = reconciling(reasonMissingReference, missingMessage(report))
	case report.Unsettled:
		v = reconciling(reasonSettling, "some members are not on the telephone system yet as declared")
	}
	missing, message := "", ""
	if report.MissingTotal > 0 {
		missing, message = reasonMissingReference, missingMessage(report)
	}
	setOrRemove(parts.conditions, generation, v1alpha1.ConditionReferencesResolved, metav1.ConditionFalse, missing, message)
	v.set(parts.conditions, generation)
	return !v.ready() && !v.stalled
}

func missingMessage(r roster.ListReport) string {
	names := r.Missing[:min(len(r.Missing), listedInTexts)]
	text := "waits for Agents that do not exist: " + strings.Join(names, ", ")
	if more := r.MissingTotal - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
