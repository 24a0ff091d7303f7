package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// settling is how long a command waits to be able to say what came of a change.
const settling = 5 * time.Second

// editing are the flags of commands that change one assignment.
type editing struct {
	dryRun, wait bool
	form         form
}

const editingHelp = "\n\nWith GitOps the repository owns the specs, and takes back what is edited in the cluster: there,\n" +
	"--dry-run -o yaml prints the manifest for a pull request and changes nothing."

func editingFlags(cmd *cobra.Command, e *editing) {
	cmd.Flags().BoolVar(&e.dryRun, "dry-run", false, "change nothing, and say what would be changed")
	cmd.Flags().BoolVar(&e.wait, "wait", true, "wait some seconds for Roster, and say who holds the case then")
	outputFlag(cmd, &e.form, "with --dry-run: yaml or json prints the manifest")
}

func (e *editing) check() error {
	if e.form != asTable && !e.dryRun {
		return fmt.Errorf("-o %s prints the manifest instead of changing the cluster: add --dry-run", e.form)
	}
	return nil
}

// change alters a spec and says what it did, or that there was nothing to do.
type change func(spec *v1alpha1.CaseAssignmentSpec) (did string, err error)

// edit changes one assignment and says what came of it.
func (s *session) edit(ctx context.Context, name string, e *editing, alter change) error {
	if err := e.check(); err != nil {
		return err
	}
	var before assignment
	var after *v1alpha1.CaseAssignment
	var did string
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
		if before, err = s.get(ctx, name); err != nil {
			return err
		}
		after = before.DeepCopy()
		if did, err = alter(&after.Spec); err != nil || e.dryRun || equality.Semantic.DeepEqual(&before.Spec, &after.Spec) {
			return err
		}
		return s.patch(ctx, before.CaseAssignment, after)
	})
	if err != nil {
		return s.explain(err)
	}
	if e.dryRun {
		return s.present(e, before, after, did)
	}
	s.say("%s: %s", name, did)
	if by := managedBy(before.raw); by != "" && after.Generation != before.Generation {
		s.note("warning: %s is managed by %s, which will undo this: change it in the repository (--dry-run -o yaml prints the manifest)", name, by)
	}
	return s.settle(ctx, after, e.wait)
}

// present shows what an edit would do.
func (s *session) present(e *editing, before assignment, after *v1alpha1.CaseAssignment, did string) error {
	if e.form == asTable {
		s.say("%s: %s (dry run: nothing was changed)", after.Name, did)
		return nil
	}
	changed, err := before.with(after)
	if err != nil {
		return err
	}
	return writeManifests(s.out, e.form, []*unstructured.Unstructured{manifest(changed)})
}

// patch writes a changed spec, unless somebody else changed the object since it was read.
func (s *session) patch(ctx context.Context, before, after *v1alpha1.CaseAssignment) error {
	return s.Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// with is the object as the API server has it, with the changed fields of the spec, and the others as they are written.
func (a assignment) with(after *v1alpha1.CaseAssignment) (*unstructured.Unstructured, error) {
	was, err := apiruntime.DefaultUnstructuredConverter.ToUnstructured(&a.Spec)
	if err != nil {
		return nil, err
	}
	is, err := apiruntime.DefaultUnstructuredConverter.ToUnstructured(&after.Spec)
	if err != nil {
		return nil, err
	}
	o := a.raw.DeepCopy()
	for field := range was {
		if _, kept := is[field]; !kept {
			unstructured.RemoveNestedField(o.Object, "spec", field)
		}
	}
	for field, value := range is {
		if equality.Semantic.DeepEqual(was[field], value) {
			continue
		}
		if err := unstructured.SetNestedField(o.Object, value, "spec", field); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// settle waits until Roster has looked at an assignment, and says who holds it.
func (s *session) settle(ctx context.Context, a *v1alpha1.CaseAssignment, waiting bool) error {
	if !waiting {
		return nil
	}
	generation := a.Generation
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, settling, true, func(ctx context.Context) (bool, error) {
		if err := s.Get(ctx, client.ObjectKeyFromObject(a), a); err != nil {
			return false, err
		}
		return a.Status.ObservedGeneration >= generation, nil
	})
	switch {
	case err == nil:
		for _, line := range holding(a, s.people(ctx), time.Local, time.Now()) {
			s.say("%s: %s", a.Name, line)
		}
		return nil
	case wait.Interrupted(err) && ctx.Err() == nil:
		s.note("%s: the change is made, but Roster has not looked at it within %s: see that its manager runs, and then %s",
			a.Name, settling, s.hint("case show "+a.Name))
		return nil
	}
	return fmt.Errorf("the change is made, but what came of it is not known: %w", s.explain(err))
}

// people reads Agents, each once. Not everybody who may change cases may read them.
func (s *session) people(ctx context.Context) people {
	known := map[string]*v1alpha1.Agent{}
	return func(name string) *v1alpha1.Agent {
		if a, ok := known[name]; ok {
			return a
		}
		a, err := s.agent(ctx, name)
		if err != nil {
			a = nil
		}
		known[name] = a
		return a
	}
}

var errNoChange = errors.New("nothing to change: say at least one of the flags; see --help")
