package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"roster.dev/roster/api/v1alpha1"
)

func TestV8CasesByCommands(t *testing.T) {
	c := newCluster(t, "cases")
	c.roster(nil)

	t.Run("V1 V4: a case is created with people and reasons", func(t *testing.T) {
		g := NewWithT(t)
		args := []string{
			"case", "create", "case-7", "--case", "CASE-7", "--title", "Refund, partly", "--url", "https://crm.acme.example/7",
			"--client", "C-99", "--client-name", "Ada Byron", "--phone", "+390699999", "--phone", "+39 06 12345",
			"--assignee", "alice-martin=Escalation", "--assignee", "bob-lee", "--group", "north",
			"--next-action", "2026-12-01 09:00", "--time-zone", "Europe/Rome",
		}
		planned := c.must(append(args, "--dry-run", "-o", "yaml")...)
		g.Expect(planned.out).NotTo(SatisfyAny(ContainSubstring("status"), ContainSubstring("creationTimestamp")))
		list := c.must("case", "list")
		g.Expect(list.out).To(BeEmpty(), "a dry run creates nothing")
		g.Expect(list.notes).To(ContainSubstring("no such case in namespace cases"))

		g.Expect(c.must(args...).out).To(Equal("case-7: created\ncase-7: alice-martin is responsible, with bob-lee\n"))
		spec := c.get("case-7").Spec
		g.Expect(spec.Case).To(Equal(&v1alpha1.Case{ID: "CASE-7", Title: "Refund, partly", URL: "https://crm.acme.example/7"}))
		g.Expect(spec.Client.Phones).To(Equal([]v1alpha1.PhoneNumber{"+390699999", "+39 06 12345"}))
		g.Expect(spec.Assignees).To(Equal([]v1alpha1.Assignee{{Name: "alice-martin", Reason: "Escalation"}, {Name: "bob-lee"}}))
		g.Expect(spec.NextActionTime.UTC().Format(time.RFC3339)).To(Equal("2026-12-01T08:00:00Z"))
		manifest := &v1alpha1.CaseAssignment{}
		g.Expect(yaml.UnmarshalStrict([]byte(planned.out), manifest)).To(Succeed())
		g.Expect(manifest.Spec.Assignees).To(Equal(spec.Assignees), "the manifest is what was created")
		g.Expect(manifest.Spec.Client).To(Equal(spec.Client))

		again := c.run(args...)
		g.Expect(again.err).To(MatchError(ContainSubstring(`"case-7" already exists: choose another name, or change that one`)))
	})

	t.Run("V2 V3 V4: people are added and removed", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.must("case", "assign", "case-7", "carla-diaz", "--reason", "Training").out).To(Equal(
			"case-7: carla-diaz is assigned (Training)\ncase-7: alice-martin is responsible, with bob-lee, carla-diaz\n"))
		generation := c.get("case-7").Generation
		g.Expect(c.must("case", "assign", "case-7", "carla-diaz").out).To(ContainSubstring("carla-diaz is assigned already"))
		g.Expect(c.get("case-7").Generation).To(Equal(generation))
		g.Expect(c.must("case", "assign", "case-7", "bob-lee", "--responsible").out).To(Equal(
			"case-7: bob-lee is assigned as the responsible person\ncase-7: bob-lee is responsible, with alice-martin, carla-diaz\n"))
		g.Expect(c.must("case", "unassign", "case-7", "alice-martin").out).To(ContainSubstring("alice-martin is assigned no more"))
		g.Expect(c.get("case-7").Spec.Assignees).To(Equal([]v1alpha1.Assignee{{Name: "bob-lee"}, {Name: "carla-diaz", Reason: "Training"}}))
		g.Expect(c.run("case", "unassign", "case-7", "alice-martin").err).To(MatchError(
			ContainSubstring("not among those who are assigned (bob-lee, carla-diaz (Training))")))
		g.Expect(c.run("case", "assign", "case-7", "Dora").err).To(MatchError(ContainSubstring("write an Agent's name as it is declared")))
		g.Expect(c.run("case", "assign", "case-8", "dora").err).To(MatchError(
			"there is no CaseAssignment \"case-8\" in namespace \"cases\": `roster case list --all -n cases` shows those there are"))
	})

	t.Run("V5 V2: an appointment is booked and moved, and people join it", func(t *testing.T) {
		g := NewWithT(t)
		booked := c.must("case", "schedule", "case-7", "--start", "2026-12-01 15:00", "--end", "2026-12-01 15:30", "--time-zone", "Europe/Rome")
		g.Expect(booked.out).To(ContainSubstring("case-7: appointment 2026-12-01 15:00 to 15:30 CET\n"))
		c.must("case", "schedule", "case-7", "--start", "2026-12-02 10:00")
		g.Expect(c.get("case-7").Spec.Appointment.EndTime.UTC().Format(time.RFC3339)).To(Equal("2026-12-02T09:30:00Z"))
		c.must("case", "assign", "case-7", "dora")
		g.Expect(c.get("case-7").Spec.Assignees).To(HaveLen(3))
		g.Expect(c.must("case", "schedule", "case-7", "--clear").out).To(ContainSubstring("no appointment"))
		g.Expect(c.get("case-7").Spec.Appointment).To(BeNil())
		for _, args := range [][]string{{}, {"--clear", "--start", "2026-12-01 15:00"}, {"--end", "2026-12-01 15:00"}} {
			g.Expect(c.run(append([]string{"case", "schedule", "case-7"}, args...)...).err).To(HaveOccurred())
		}
	})

	t.Run("S6: the next action is set and cleared", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.must("case", "next", "case-7", "2020-01-01T00:00:00Z").out).To(ContainSubstring("which has passed"))
		g.Expect(c.get("case-7").Spec.NextActionTime.UTC().Year()).To(Equal(2020))
		c.must("case", "next", "case-7", "--clear")
		g.Expect(c.get("case-7").Spec.NextActionTime).To(BeNil())
		g.Expect(c.run("case", "next", "case-7").err).To(MatchError(ContainSubstring("say TIME, or --clear")))
	})

	t.Run("V9: a case is completed and opened again", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(c.must("case", "complete", "case-7").out).To(Equal("case-7: completed\ncase-7: completed: nobody holds it\n"))
		g.Expect(c.must("case", "list").out).To(BeEmpty())
		g.Expect(c.must("case", "list", "--all").out).To(ContainSubstring("case-7"))
		g.Expect(c.must("case", "reopen", "case-7").out).To(ContainSubstring("case-7: bob-lee is responsible"))
		g.Expect(c.must("case", "reopen", "case-7").out).To(ContainSubstring("open already"))
	})

	t.Run("an edit keeps what it does not know, and what others write meanwhile", func(t *testing.T) {
		g := NewWithT(t)
		raw := &unstructured.Unstructured{Object: map[string]any{}}
		g.Expect(yaml.Unmarshal([]byte(`{apiVersion: staff.roster.dev/v1alpha1, kind: CaseAssignment,
			metadata: {name: odd, namespace: cases, labels: {team: a}, annotations: {kubectl.kubernetes.io/last-applied-configuration: x}},
			spec: {client: {id: C-1}, nextActionTime: "2026-12-01T09:00:00.5+01:00", fallback: [Group]}}`), &raw.Object)).To(Succeed())
		g.Expect(c.k8s.Create(t.Context(), raw)).To(Succeed())
		planned := c.must("case", "assign", "odd", "a", "--dry-run", "-o", "yaml")
		g.Expect(planned.out).To(MatchYAML(`{apiVersion: staff.roster.dev/v1alpha1, kind: CaseAssignment,
			metadata: {name: odd, namespace: cases, labels: {team: a}},
			spec: {client: {id: C-1}, nextActionTime: "2026-12-01T09:00:00.5+01:00", fallback: [Group], state: Open, assignees: [{name: a}]}}`))
		g.Expect(c.get("odd").Spec.Assignees).To(BeEmpty())
		c.must("case", "assign", "odd", "a")
		g.Expect(c.k8s.Get(t.Context(), client.ObjectKeyFromObject(raw), raw)).To(Succeed())
		g.Expect(raw.Object["spec"].(map[string]any)["nextActionTime"]).To(Equal("2026-12-01T09:00:00.5+01:00"))
		g.Expect(c.run("case", "assign", "odd", "b", "-o", "yaml").err).To(MatchError(ContainSubstring("add --dry-run")))
	})

	t.Run("GitOps: who edits what a tool manages is warned", func(t *testing.T) {
		g := NewWithT(t)
		a := clientCase("in-git", "alice-martin")
		a.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "acme", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
		c.put(a)
		g.Expect(c.must("case", "assign", "in-git", "bob-lee").notes).To(Equal("warning: in-git is managed by Flux (Kustomization flux-system/acme), " +
			"which will undo this: change it in the repository (--dry-run -o yaml prints the manifest)\n"))
		g.Expect(c.must("case", "assign", "in-git", "bob-lee").notes).To(BeEmpty(), "nothing was changed")
		g.Expect(c.must("case", "assign", "in-git", "carla-diaz", "--dry-run", "-o", "yaml").out).NotTo(ContainSubstring("flux"))
	})
}

func TestV8WhatHappensNextIsSaid(t *testing.T) {
	c := newCluster(t, "next")
	c.person("alice-martin", func(a *v1alpha1.Agent) {
		a.Spec.Leaves = []v1alpha1.Leave{{StartTime: at(time.Now().Add(-time.Hour)), EndTime: ptr.To(metav1.Date(2099, 1, 7, 0, 0, 0, 0, time.Local))}}
	})
	c.put(clientCase("unseen", "alice-martin"))
	started := time.Now()
	a := c.must("case", "assign", "unseen", "bob-lee")
	c.Expect(time.Since(started)).To(BeNumerically(">=", settling))
	c.Expect(a.notes).To(ContainSubstring("Roster has not looked at it within 5s: see that its manager runs, and then `roster case show unseen -n next`"))
	started = time.Now()
	c.Expect(c.must("case", "assign", "unseen", "carla-diaz", "--wait=false").notes).To(BeEmpty())
	c.Expect(time.Since(started)).To(BeNumerically("<", settling))

	c.roster(func(*v1alpha1.CaseAssignment) []v1alpha1.EffectiveAssignee {
		return []v1alpha1.EffectiveAssignee{{Name: "bob-lee", Via: "Backup", Covers: "alice-martin", Cause: "OnLeave"}}
	})
	c.Expect(c.must("case", "create", "covered", "--case", "CASE-1", "--assignee", "alice-martin").out).To(
		MatchRegexp(`covered: alice-martin is on leave until 2099-01-07 00:00 .*: bob-lee covers as the backup`))

	editor := c.user("editor")
	c.allow("editor", rbacv1.PolicyRule{
		APIGroups: []string{"staff.roster.dev"}, Resources: []string{"caseassignments"}, Verbs: []string{"get", "list", "create", "patch"},
	})
	c.Expect(c.runAs(editor, "case", "create", "unread", "--case", "CASE-2", "--assignee", "alice-martin").out).To(
		ContainSubstring("unread: alice-martin is on leave: bob-lee covers as the backup\n"), "who may not read Agents is told as much as can be told")
}

func TestV7ACaseIsShownWithItsHistory(t *testing.T) {
	c := newCluster(t, "history")
	a := holds(clientCase("case-7", "alice-martin=Escalation", "carla-diaz"),
		v1alpha1.EffectiveAssignee{Name: "bob-lee", Via: "Group", Covers: "alice-martin", Cause: "Deactivated"}, declared("carla-diaz"))
	a.Spec.Group, a.Spec.Client.Phones = "north", []v1alpha1.PhoneNumber{"+390699999"}
	a.Spec.Appointment = &v1alpha1.Appointment{StartTime: at(noon), EndTime: at(noon.Add(time.Hour)), TimeZone: "Europe/Rome"}
	a.Status.Phase = v1alpha1.CaseCovered
	a.Status.History = []v1alpha1.HistoryEntry{
		{Time: at(noon), Type: "Responsible", To: "alice-martin", Reason: "Declared: Escalation"},
		{Time: at(noon.Add(time.Hour)), Type: "Responsible", From: "alice-martin", To: "bob-lee", Reason: "Cover: Deactivated"},
		{Time: at(noon.Add(time.Hour)), Type: "Assignee", To: "carla-diaz", Reason: "Declared"},
	}
	a.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionAssigneesAble, Status: metav1.ConditionFalse, Reason: "Deactivated",
		Message: "alice-martin was deactivated: assign somebody else", LastTransitionTime: at(noon),
	}}
	c.put(a)
	shown := c.must("case", "show", "case-7").out
	for _, want := range []string{
		`Name: +case-7`, `Client: +C-case-7 Client case-7`, `Phones: +\+390699999`, `Group: +north`, `Phase: +Covered`,
		`Assigned to: +alice-martin \(Escalation\), carla-diaz`,
		`Appointment: +2026-12-01 13:00 to 14:00 CET`,
		`Now: +alice-martin was deactivated: bob-lee covers out of group north, with carla-diaz\n +alice-martin was deactivated: assign somebody else`,
		`bob-lee +2026-12-01 .* Group +alice-martin was deactivated`,
		`History:\n  TIME +WHAT +WHY\n.*alice-martin became responsible +Declared: Escalation\n` +
			`.*bob-lee became responsible in place of alice-martin +Cover: Deactivated\n.*carla-diaz joined +Declared\n`,
		`AssigneesAble +False`,
	} {
		c.Expect(shown).To(MatchRegexp(want))
	}
	c.must("case", "assign", "case-7", "dora", "--wait=false")
	c.Expect(c.must("case", "show", "case-7").out).To(ContainSubstring("Roster has not looked at the last change yet"))

	got := &v1alpha1.CaseAssignment{}
	text := c.must("case", "show", "case-7", "-o", "json").out
	c.Expect(json.Unmarshal([]byte(text), got)).To(Succeed())
	c.Expect(got.Status.History).To(HaveLen(3))
	c.Expect(text).NotTo(ContainSubstring("managedFields"))
	c.Expect(yaml.UnmarshalStrict([]byte(c.must("case", "show", "case-7", "-o", "yaml").out), got)).To(Succeed())
}

func TestV8CasesAreListed(t *testing.T) {
	c := newCluster(t, "lists")
	c.put(holds(clientCase("declared", "alice-martin"), declared("alice-martin")))
	c.put(holds(clientCase("away", "alice-martin"), v1alpha1.EffectiveAssignee{Name: "bob-lee", Via: "Group", Covers: "alice-martin", Cause: "OnLeave"}))
	c.put(holds(clientCase("others", "carla-diaz"), declared("carla-diaz")))
	nobody := clientCase("nobody")
	nobody.Status.Phase = v1alpha1.CaseUnassigned
	c.put(nobody)
	done := clientCase("done", "alice-martin")
	done.Spec.State, done.Status.Phase = v1alpha1.CaseCompleted, v1alpha1.CasePhaseCompleted
	c.put(done)
	names := func(args ...string) (names []string) {
		for _, line := range strings.Split(strings.TrimSpace(c.must(append([]string{"case", "list"}, args...)...).out), "\n")[1:] {
			names = append(names, strings.Fields(line)[0])
		}
		return names
	}
	c.Expect(names()).To(Equal([]string{"away", "declared", "nobody", "others"}))
	c.Expect(names("--all")).To(Equal([]string{"away", "declared", "done", "nobody", "others"}))
	c.Expect(names("--agent", "alice-martin")).To(Equal([]string{"away", "declared"}))
	c.Expect(names("--agent", "alice-martin", "--all")).To(Equal([]string{"away", "declared", "done"}))
	c.Expect(names("--agent", "bob-lee")).To(Equal([]string{"away"}))
	c.Expect(names("--unassigned")).To(Equal([]string{"nobody"}))
	for _, form := range []string{"json", "yaml"} {
		list := &v1alpha1.CaseAssignmentList{}
		c.Expect(yaml.Unmarshal([]byte(c.must("case", "list", "-o", form).out), list)).To(Succeed())
		c.Expect(list.Items).To(HaveLen(4))
	}
}

func TestS6S7BookAndAgenda(t *testing.T) {
	c := newCluster(t, "books")
	now := time.Now().Truncate(time.Second)
	due := func(a *v1alpha1.CaseAssignment, in time.Duration) *v1alpha1.CaseAssignment {
		a.Spec.NextActionTime = ptr.To(at(now.Add(in)))
		return a
	}
	c.put(due(holds(clientCase("b", "alice"), declared("alice")), 48*time.Hour))
	c.put(due(holds(clientCase("a", "carla"), v1alpha1.EffectiveAssignee{Name: "alice", Via: "Backup", Covers: "carla", Cause: "OnLeave"}), -time.Hour))
	c.put(due(holds(clientCase("later", "alice"), declared("alice")), 30*24*time.Hour))
	c.put(due(holds(clientCase("not-hers", "alice"), declared("bob")), time.Hour))
	done := due(clientCase("done", "alice"), time.Hour)
	done.Spec.State, done.Status.Phase = v1alpha1.CaseCompleted, v1alpha1.CasePhaseCompleted
	c.put(done)
	only := due(holds(clientCase("no-client", "alice"), declared("alice")), 24*time.Hour)
	only.Spec.Client = nil
	only.Spec.Appointment = &v1alpha1.Appointment{StartTime: at(now.Add(-time.Minute)), EndTime: at(now.Add(time.Hour)), TimeZone: "Pacific/Auckland"}
	c.put(only)
	over := holds(clientCase("over", "alice"), declared("alice"))
	over.Spec.Client, over.Spec.Appointment = nil, &v1alpha1.Appointment{StartTime: at(now.Add(-2 * time.Hour)), EndTime: at(now.Add(-time.Hour))}
	c.put(over)

	last := func(text string) (cells []string) { // of each line
		for _, line := range strings.Split(strings.TrimSpace(text), "\n")[1:] {
			fields := strings.Fields(line)
			cells = append(cells, fields[len(fields)-1])
		}
		return cells
	}
	book := c.must("book", "list", "alice")
	c.Expect(last(book.out)).To(Equal([]string{"carla", "-", "-"}), book.out)
	c.Expect(book.out).To(MatchRegexp(`(?s)C-a .*Backup.*C-b .*Declared.*C-later`))
	c.Expect(book.out).NotTo(MatchRegexp(`no-client|done|not-hers|over`))
	c.Expect(c.must("book", "list", "bob").out).To(ContainSubstring("C-not-hers"), "the book is what a person holds now")
	c.Expect(c.must("book", "list", "nobody").notes).To(ContainSubstring("nobody looks after no client in namespace books"))

	agenda := c.must("agenda", "alice", "--time-zone", "Europe/Rome")
	c.Expect(last(agenda.out)).To(Equal([]string{"a", "no-client", "no-client", "b"}), agenda.out)
	c.Expect(agenda.out).To(MatchRegexp(`(?s)next action, overdue.*appointment until .*, for the client .*NZ.*next action .*next action `))
	c.Expect(agenda.notes).To(Equal("1 later: --days 0 shows all\n"))
	c.Expect(last(c.must("agenda", "alice", "--days", "0").out)).To(HaveLen(5))
	var list struct {
		Kind  string
		Items []struct{ Kind, Assignment string }
	}
	c.Expect(json.Unmarshal([]byte(c.must("agenda", "alice", "-o", "json").out), &list)).To(Succeed())
	c.Expect(list.Kind).To(Equal("AgendaList"))
	c.Expect(list.Items).To(HaveLen(4))
	c.Expect(list.Items[1].Kind + " " + list.Items[1].Assignment).To(Equal("Appointment no-client"))
	c.Expect(c.must("book", "list", "nobody", "-o", "json").out).To(MatchJSON(
		`{"kind": "BookList", "apiVersion": "staff.roster.dev/v1alpha1", "items": []}`))
	c.Expect(c.run("agenda", "alice", "--days", "-1").err).To(MatchError(ContainSubstring("--days")))
}

func TestErrorsSayWhatToDo(t *testing.T) {
	c := newCluster(t, "errors")
	stranger := c.user("stranger")
	gone := filepath.Join(t.TempDir(), "gone")
	c.Expect(os.WriteFile(gone, []byte(`{kind: Config, apiVersion: v1, current-context: c,
		contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {token: bad}}],
		clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]}`), 0o600)).To(Succeed())
	for _, k := range []struct {
		reason, kubeconfig string
		args               []string
		want               string
	}{
		{"no right", stranger, []string{"case", "list"}, "Ask for the role roster-editor"},
		{"no cluster", gone, []string{"case", "list"}, "the cluster at https://127.0.0.1:1/"},
		{"no kubeconfig", "/nowhere/kubeconfig", []string{"case", "list"}, "no cluster to talk to"},
		{"no such context", "", []string{"case", "list", "--context", "nowhere"}, `context "nowhere" does not exist`},
		{"a name that none can have", "", []string{"case", "show", "a/b"}, "a/b"},
		{"a group without a command", "", []string{"case", "shwo", "x"}, `roster case has no command "shwo"; see roster case --help`},
		{"too little", "", []string{"case", "assign", "x"}, "roster case assign: say PERSON; see roster case assign --help"},
		{"too much", "", []string{"case", "show", "x", "y"}, `"y" is too much`},
		{"an empty name", "", []string{"case", "show", ""}, "say NAME"},
		{"a flag that is none", "", []string{"case", "list", "--al"}, "see roster case list --help"},
		{"an output that is none", "", []string{"case", "list", "-o", "xml"}, "it is table, json or yaml"},
		{"what does not go together", "", []string{"case", "list", "--all", "--unassigned"}, "none of the others can be"},
		{"a namespace that is not there", "", []string{"case", "create", "x", "--case", "C", "--namespace", "nowhere"}, `"nowhere" not found`},
		{"an address that is none", "", []string{"case", "create", "x", "--case", "C", "--url", "crm"}, "write a full web address"},
	} {
		kubeconfig := k.kubeconfig
		if kubeconfig == "" {
			kubeconfig = c.kubeconfig
		}
		root := newRoot("v0.0.0-test", "roster")
		root.SetArgs(append(k.args, "--kubeconfig", kubeconfig))
		c.Expect(root.ExecuteContext(t.Context())).To(MatchError(ContainSubstring(k.want)), k.reason)
	}
}

func TestV8TheProgramIsAlsoKubectlRoster(t *testing.T) {
	c := newCluster(t, "plugin")
	c.Expect(c.k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"}})).To(Succeed())
	c.put(clientCase("case-7"))
	own, err := os.Executable()
	c.Expect(err).NotTo(HaveOccurred())
	folder := t.TempDir()
	c.Expect(os.Symlink(own, filepath.Join(folder, "kubectl-roster"))).To(Succeed())
	kubectl := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
		cmd.Env = append(os.Environ(), "PATH="+folder, "KUBECONFIG="+c.kubeconfig, asProgram+"=1")
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	text, err := kubectl("roster", "book", "transfer", "--help")
	c.Expect(err).NotTo(HaveOccurred(), text)
	c.Expect(text).To(ContainSubstring("Usage:\n  kubectl roster book transfer FROM TO [flags]"))
	c.Expect(text).To(ContainSubstring("  kubectl roster book transfer alice-martin bob-lee --dry-run -o yaml"))
	text, err = kubectl("roster", "case", "list", "-n", "plugin")
	c.Expect(err).NotTo(HaveOccurred(), text)
	c.Expect(text).To(ContainSubstring("case-7"))
	text, err = kubectl("config", "set-context", "--current", "--namespace=plugin")
	c.Expect(err).NotTo(HaveOccurred(), text)
	text, err = kubectl("roster", "case", "list")
	c.Expect(err).NotTo(HaveOccurred(), text)
	c.Expect(text).To(ContainSubstring("case-7"), "the namespace is the context's")
	text, err = kubectl("roster", "case", "show", "case-9", "-n", "elsewhere")
	c.Expect(err).To(HaveOccurred())
	c.Expect(text).To(HavePrefix("kubectl roster: there is no CaseAssignment \"case-9\" in namespace \"elsewhere\": `kubectl roster case list --all -n elsewhere`"))
}
