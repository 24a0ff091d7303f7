package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"roster.dev/roster/api/v1alpha1"
)

// fill creates n assignments of alice, each third with bob or carla beside.
func (c *cluster) fill(n int) {
	c.Helper()
	names := make([]int, n)
	for i := range names {
		names[i] = i
	}
	var failed atomic.Value
	inParallel(names, func(i int) {
		a := clientCase(fmt.Sprintf("case-%04d", i), "alice=Escalation")
		switch i % 3 {
		case 1:
			a.Spec.Assignees = list("carla", "alice=Vacation")
		case 2:
			a.Spec.Assignees = list("alice", "carla", "bob=Training")
		}
		a.Namespace = c.namespace
		if err := c.k8s.Create(c.Context(), a); err != nil {
			failed.Store(err)
		}
	})
	c.Expect(failed.Load()).To(BeNil())
}

// books counts the open assignments of people as they are declared.
func (c *cluster) books() map[string]int {
	c.Helper()
	all := &v1alpha1.CaseAssignmentList{}
	c.Expect(c.k8s.List(c.Context(), all, client.InNamespace(c.namespace))).To(Succeed())
	books := map[string]int{}
	for _, a := range all.Items {
		if a.Spec.State == v1alpha1.CaseCompleted || a.Spec.Client == nil {
			continue
		}
		for _, d := range a.Spec.Assignees {
			books[string(d.Name)]++
		}
	}
	return books
}

// version is the state of the cluster from which a watch has what comes next.
func (c *cluster) version() string {
	c.Helper()
	all := &v1alpha1.CaseAssignmentList{}
	c.Expect(c.k8s.List(c.Context(), all, client.InNamespace(c.namespace))).To(Succeed())
	return all.ResourceVersion
}

// transferring is a transfer from alice to bob whose requests tests may disturb.
func (c *cluster) transferring(funcs interceptor.Funcs) (*transfer, *bytes.Buffer, *bytes.Buffer) {
	out, notes := &bytes.Buffer{}, &bytes.Buffer{}
	return &transfer{
		session: &session{Client: interceptor.NewClient(c.k8s, funcs), namespace: c.namespace, program: "roster", out: out, err: notes},
		from:    "alice", to: "bob", progress: time.Minute,
	}, out, notes
}

// onPatch disturbs patches.
func onPatch(disturb func(ctx context.Context, name string, patch func() error) error) interceptor.Funcs {
	return interceptor.Funcs{
		Patch: func(ctx context.Context, k client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return disturb(ctx, o.GetName(), func() error { return k.Patch(ctx, o, p, opts...) })
		},
	}
}

// once is true at the first call for a name.
func once() func(name string) bool {
	var seen sync.Map
	return func(name string) bool {
		_, again := seen.LoadOrStore(name, true)
		return !again
	}
}

func TestS8ABookOfAThousandIsMoved(t *testing.T) {
	c := newCluster(t, "thousand")
	c.person("bob", nil)
	c.fill(1000)
	bystanders := []*v1alpha1.CaseAssignment{clientCase("done", "alice"), clientCase("no-client", "alice"), clientCase("of-carla", "carla")}
	bystanders[0].Spec.State = v1alpha1.CaseCompleted
	bystanders[1].Spec.Client = nil
	for _, a := range bystanders {
		c.put(a)
	}
	c.put(holds(clientCase("covers", "dora"), v1alpha1.EffectiveAssignee{Name: "alice", Via: "Backup", Covers: "dora", Cause: "OnLeave"}))
	c.roster(func(a *v1alpha1.CaseAssignment) []v1alpha1.EffectiveAssignee {
		switch a.Name {
		case "case-0003":
			return []v1alpha1.EffectiveAssignee{{Name: "carla", Via: "Group", Covers: "bob", Cause: "OnLeave"}}
		case "case-0004": // in which bob is not the first
			a.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionAssigneesAble, Status: metav1.ConditionFalse, Reason: "NotAble", Message: "bob is on leave",
				LastTransitionTime: at(noon),
			}}
			return []v1alpha1.EffectiveAssignee{declared("carla")}
		}
		return nil
	})

	planned := c.must("book", "transfer", "alice", "bob", "--dry-run")
	c.Expect(planned.out).To(HaveSuffix("would move 1000 from alice to bob (dry run: nothing was changed)\n"))
	c.Expect(planned.out).To(MatchRegexp(`case-0001 .* carla, alice \(Vacation\) +carla, bob \(Vacation\)`))
	c.Expect(c.books()["alice"]).To(Equal(1000))

	a := c.must("book", "transfer", "alice", "bob", "--timeout", "10m")
	c.Expect(a.out).To(HavePrefix("moved 1000 from alice to bob\n"))
	c.Expect(a.out).To(MatchRegexp(`covers .*covers for dora, who is on leave`))
	c.Expect(a.out).To(ContainSubstring("bob holds 998 of them; the others:"))
	c.Expect(a.out).To(MatchRegexp(`case-0003 +carla +bob is on leave: carla covers out of group`))
	c.Expect(a.out).To(MatchRegexp(`case-0004 +carla +bob is on leave\n`))
	c.Expect(c.books()).To(Equal(map[string]int{"bob": 1000, "carla": 667, "dora": 1}))
	for name, want := range map[string][]v1alpha1.Assignee{
		"case-0000": list("bob=Escalation"), "case-0001": list("carla", "bob=Vacation"), "case-0002": list("bob=Training", "carla"),
	} {
		c.Expect(c.get(name).Spec.Assignees).To(Equal(want), name)
	}
	for _, before := range bystanders {
		c.Expect(c.get(before.Name).Spec).To(Equal(before.Spec), before.Name)
		c.Expect(c.get(before.Name).Generation).To(Equal(before.Generation), before.Name)
	}

	again := c.must("book", "transfer", "alice", "bob")
	c.Expect(again.out).To(HavePrefix("moved 0 from alice to bob\n"))
	c.Expect(again.out).To(ContainSubstring("covers for dora"))

	c.Expect(c.must("book", "transfer", "alice", "bob", "--cases").out).To(HavePrefix("moved 1 from alice to bob\n"))
	c.Expect(c.get("no-client").Spec.Assignees).To(Equal(list("bob")))
}

func TestS8WhatOthersDoMeanwhileIsRespected(t *testing.T) {
	c := newCluster(t, "meanwhile")
	c.fill(60)
	first := once()
	tr, out, notes := c.transferring(onPatch(func(ctx context.Context, name string, patch func() error) error {
		if !first(name) {
			return patch()
		}
		a := c.get(name)
		switch name {
		case "case-0010": // a conflict with somebody who changed something else
			a.Spec.NextActionTime = ptr.To(at(noon))
		case "case-0011": // and with who did a part of it
			a.Spec.Assignees = list("bob", "alice=Other")
		case "case-0012":
			a.Spec.State = v1alpha1.CaseCompleted
		case "case-0013":
			a.Spec.Assignees = list("carla")
		case "case-0014":
			return errors.Join(c.k8s.Delete(ctx, a), patch())
		case "case-0015": // the answer is lost
			return errors.Join(patch(), errors.New("connection reset"))
		case "case-0016": // the request is lost
			return errors.New("connection reset")
		case "case-0017": // something comes into the book
			late := clientCase("late", "alice")
			late.Namespace = c.namespace
			return errors.Join(c.k8s.Create(ctx, late), patch())
		default:
			return patch()
		}
		return errors.Join(c.k8s.Update(ctx, a), patch())
	}))
	c.Expect(tr.run(t.Context(), &transferOptions{force: true, form: asTable})).To(Succeed(), out.String())
	c.Expect(out.String()).To(Equal("moved 58 from alice to bob\n"))
	c.Expect(notes.String()).To(BeEmpty())
	c.Expect(c.books()).NotTo(HaveKey("alice"))
	c.Expect(c.get("case-0010").Spec.NextActionTime).NotTo(BeNil())
	c.Expect(c.get("case-0011").Spec.Assignees).To(Equal(list("bob=Other")))
	c.Expect(c.get("case-0012").Spec.Assignees).To(ContainElement(HaveField("Name", v1alpha1.AgentName("alice"))), "completed ones stay as they are")
	c.Expect(c.get("late").Spec.Assignees).To(Equal(list("bob")))
}

func TestS8AConflictThatDoesNotEndIsReported(t *testing.T) {
	c := newCluster(t, "conflict")
	c.fill(5)
	var tries atomic.Int32
	tr, out, _ := c.transferring(onPatch(func(ctx context.Context, name string, patch func() error) error {
		if name == "case-0002" {
			a := c.get(name)
			a.Labels = map[string]string{"try": fmt.Sprint(tries.Add(1))}
			if err := c.k8s.Update(ctx, a); err != nil {
				return err
			}
		}
		return patch()
	}))
	err := tr.run(t.Context(), &transferOptions{force: true, form: asTable})
	c.Expect(err).To(MatchError("1 left with alice"))
	c.Expect(out.String()).To(MatchRegexp(`moved 4 from alice to bob\n.*\ncase-0002 .*the object has been modified`))
	c.Expect(tries.Load()).To(BeEquivalentTo(patience.Steps))
	c.Expect(c.books()["alice"]).To(Equal(1))
}

func TestS8ATransferIsInterruptedAndRepeated(t *testing.T) {
	c := newCluster(t, "interrupted")
	c.fill(200)
	ctx, interrupt := context.WithCancel(t.Context())
	var patches atomic.Int32
	tr, out, _ := c.transferring(onPatch(func(_ context.Context, _ string, patch func() error) error {
		if patches.Add(1) == 70 {
			interrupt()
		}
		return patch()
	}))
	err := tr.run(ctx, &transferOptions{force: true, form: asTable})
	moved, left := 0, 0
	_, scanned := fmt.Sscanf(out.String(), "moved %d from alice", &moved)
	c.Expect(scanned).NotTo(HaveOccurred())
	_, scanned = fmt.Sscanf(err.Error(), "%d left with alice", &left)
	c.Expect(scanned).NotTo(HaveOccurred())
	c.Expect(moved).To(BeNumerically("~", 70, atOnce))
	c.Expect(moved + left).To(Equal(200))
	c.Expect(c.books()["alice"]).To(Equal(left), "what is reported is what is so")
	c.Expect(strings.Count(out.String(), "interrupted before its turn")).To(Equal(left))
	for line := range strings.Lines(out.String()) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "case-") {
			c.Expect(c.get(name).Spec.Assignees).To(ContainElement(HaveField("Name", v1alpha1.AgentName("alice"))), name)
		}
	}

	tr, out, _ = c.transferring(interceptor.Funcs{})
	c.Expect(tr.run(t.Context(), &transferOptions{force: true, form: asTable})).To(Succeed())
	c.Expect(out.String()).To(Equal(fmt.Sprintf("moved %d from alice to bob\n", left)))
	c.Expect(c.books()).To(Equal(map[string]int{"bob": 200, "carla": 133}))
}

func TestS8ATransferIsKilledAndRepeated(t *testing.T) {
	c := newCluster(t, "killed")
	c.fill(600)
	own, err := os.Executable()
	c.Expect(err).NotTo(HaveOccurred())
	command := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), own, "book", "transfer", "alice", "bob", "--force", "--wait=false",
			"--kubeconfig", c.kubeconfig, "-n", c.namespace)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		return cmd
	}
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		c.Eventually(func() bool { // what a killed one had asked for may still be carried out
			before := c.books()["alice"]
			time.Sleep(500 * time.Millisecond)
			return before == c.books()["alice"]
		}, 10*time.Second).Should(BeTrue())
		watch, err := c.k8s.Watch(t.Context(), &v1alpha1.CaseAssignmentList{}, client.InNamespace(c.namespace),
			&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: c.version()}})
		c.Expect(err).NotTo(HaveOccurred())
		cmd := command()
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		c.Expect(cmd.Start()).To(Succeed())
		c.Eventually(watch.ResultChan(), 30*time.Second).Should(Receive(HaveField("Type", apiwatch.Modified)))
		watch.Stop()
		c.Expect(cmd.Process.Signal(signal)).To(Succeed())
		c.Expect(cmd.Wait()).NotTo(Succeed())
		left := c.books()["alice"]
		c.Expect(left).To(BeNumerically(">", 0), "the signal came too late to prove anything")
		if signal == syscall.SIGINT {
			c.Expect(cmd.ProcessState.ExitCode()).To(Equal(1))
			c.Expect(text.String()).To(HaveSuffix(fmt.Sprintf("roster: interrupted: %d left with alice\n", left)))
		}
	}
	left := c.books()["alice"]
	text, err := command().CombinedOutput()
	c.Expect(err).NotTo(HaveOccurred(), string(text))
	c.Expect(string(text)).To(HaveSuffix(fmt.Sprintf("moved %d from alice to bob\n", left)))
	c.Expect(c.books()).To(Equal(map[string]int{"bob": 600, "carla": 400}))
}

func TestS8WhatIsRefusedIsLeftAndNamed(t *testing.T) {
	c := newCluster(t, "refused")
	c.person("bob", nil)
	c.fill(9)
	c.Expect(c.k8s.Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "frozen"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Update},
					Rule: admissionregistrationv1.Rule{
						APIGroups: []string{"staff.roster.dev"}, APIVersions: []string{"v1alpha1"}, Resources: []string{"caseassignments"},
					},
				},
			}}},
			Validations: []admissionregistrationv1.Validation{{
				Expression: "object.metadata.name != 'case-0003'", Message: "case-0003 is before the court: ask the lawyers",
			}},
		},
	})).To(Succeed())
	c.Expect(c.k8s.Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "frozen"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "frozen", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			MatchResources: &admissionregistrationv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "refused"}},
			},
		},
	})).To(Succeed())
	c.Eventually(func() error {
		a := c.get("case-0003")
		a.Labels = map[string]string{"some": "label"}
		return c.k8s.Update(t.Context(), a, client.DryRunAll)
	}, 20*time.Second).ShouldNot(Succeed())

	lead := c.user("lead")
	var allowed []string
	for i := range 9 {
		if i != 5 {
			allowed = append(allowed, fmt.Sprintf("case-%04d", i))
		}
	}
	resource := func(verbs []string, names []string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{"staff.roster.dev"}, Resources: resources, ResourceNames: names, Verbs: verbs}
	}
	c.allow("lead", resource([]string{"get", "list"}, nil, "caseassignments"), resource([]string{"patch"}, allowed, "caseassignments"))

	// Who may not read Agents cannot know whether bob is able, and is told so.
	a := c.runAs(lead, "book", "transfer", "alice", "bob")
	c.Expect(a.err).To(MatchError(SatisfyAll(ContainSubstring("whether bob can take the cases is not known"),
		ContainSubstring("roster-profile-viewer"), ContainSubstring("--force"))))
	c.Expect(a.out).To(BeEmpty())
	c.Expect(c.books()["alice"]).To(Equal(9))

	a = c.runAs(lead, "book", "transfer", "alice", "bob", "--force")
	c.Expect(a.err).To(MatchError("2 left with alice"))
	c.Expect(a.out).To(HavePrefix("moved 7 from alice to bob\n"))
	c.Expect(a.out).To(MatchRegexp(`case-0003 .*case-0003 is before the court: ask the lawyers`))
	c.Expect(a.out).To(MatchRegexp(`case-0005 .*User "lead" cannot patch resource "caseassignments".* Ask for the role roster-editor`))
	c.Expect(c.books()).To(Equal(map[string]int{"alice": 2, "bob": 8, "carla": 6}))
}

func TestS8AClusterThatGoesAwayIsNotWaitedForAThousandTimes(t *testing.T) {
	c := newCluster(t, "away")
	c.fill(100)
	var patches, lists atomic.Int32
	funcs := onPatch(func(_ context.Context, _ string, patch func() error) error {
		if patches.Add(1) > 20 {
			return errors.New("connection refused")
		}
		return patch()
	})
	funcs.List = func(ctx context.Context, k client.WithWatch, o client.ObjectList, opts ...client.ListOption) error {
		if lists.Add(1) > 1 {
			return errors.New("connection refused")
		}
		return k.List(ctx, o, opts...)
	}
	tr, out, _ := c.transferring(funcs)
	err := tr.run(t.Context(), &transferOptions{force: true, form: asTable})
	c.Expect(err).To(MatchError(SatisfyAll(ContainSubstring("80 left with alice"), ContainSubstring("repeat the transfer: connection refused"))))
	c.Expect(out.String()).To(HavePrefix("moved 20 from alice to bob\n"))
	c.Expect(strings.Count(out.String(), "not tried")).To(BeNumerically(">", 40))
	c.Expect(c.books()["alice"]).To(Equal(80))
}

func TestS8ASuccessorWhoCannotIsRefused(t *testing.T) {
	c := newCluster(t, "successor")
	c.fill(3)
	c.person("away", func(a *v1alpha1.Agent) { a.Spec.Leaves = []v1alpha1.Leave{{StartTime: at(time.Now().Add(-time.Hour))}} })
	c.person("waits", func(a *v1alpha1.Agent) { a.Status.Seat = v1alpha1.SeatWaiting })
	for to, want := range map[string]string{
		"nobody": "there is no Agent \"nobody\" in namespace \"successor\"", "away": "away is on leave", "waits": "waits waits for a seat: raise spec.seats",
		"alice": "alice has their book already", "Bob": `"Bob" is no Agent's name`,
	} {
		a := c.run("book", "transfer", "alice", to)
		c.Expect(a.err).To(MatchError(ContainSubstring(want)))
		c.Expect(a.out).To(BeEmpty())
	}
	c.Expect(c.books()["alice"]).To(Equal(3))

	late := c.run("book", "transfer", "alice", "away", "--force", "--timeout", "1s")
	c.Expect(late.out).To(Equal("moved 3 from alice to away\n"))
	c.Expect(late.err).To(MatchError(ContainSubstring("all are moved, but after 1s Roster has not looked at 3 of them, such as case-0000")))
	nothing := c.must("book", "transfer", "alise", "away", "--force")
	c.Expect(nothing.out).To(Equal("moved 0 from alise to away\n"))
	c.Expect(nothing.notes).To(ContainSubstring("is the name right?"))
}

func TestS8ATransferAsAPullRequest(t *testing.T) {
	c := newCluster(t, "request")
	c.person("bob", nil)
	c.fill(6)
	a := clientCase("in-git", "alice")
	a.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "centres:staff.roster.dev/CaseAssignment:request/in-git", "team": "north"}
	c.put(holds(a, declared("alice")))
	planned := c.must("book", "transfer", "alice", "bob", "--dry-run", "-o", "yaml").out
	c.Expect(c.books()["alice"]).To(Equal(7))
	c.Expect(c.run("book", "transfer", "alice", "bob", "-o", "yaml").err).To(MatchError(ContainSubstring("add --dry-run")))

	manifests := map[string]*unstructured.Unstructured{}
	for _, text := range strings.Split(planned, "---\n") {
		m := &unstructured.Unstructured{}
		c.Expect(yaml.UnmarshalStrict([]byte(text), &m.Object)).To(Succeed())
		c.Expect(m.Object).To(HaveLen(4), "apiVersion, kind, metadata and spec alone")
		c.Expect(m.Object["metadata"]).To(HaveEach(SatisfyAny(BeAssignableToTypeOf(""), Equal(map[string]any{"team": "north"}))))
		manifests[m.GetName()] = m
	}
	c.Expect(manifests).To(HaveLen(7))
	moved := c.must("book", "transfer", "alice", "bob", "--wait=false")
	c.Expect(moved.notes).To(HavePrefix("warning: 1 of 7 are managed by Argo CD (Application centres), which will undo this"))
	for name, m := range manifests {
		before := c.get(name)
		c.Expect(c.k8s.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(m), client.FieldOwner("git"), client.ForceOwnership)).To(Succeed())
		c.Expect(c.get(name).Spec).To(Equal(before.Spec), "the pull request says what the command does")
	}
	c.Expect(c.books()["alice"]).To(BeZero())
}
