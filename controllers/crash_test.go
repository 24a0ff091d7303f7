package controllers_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"roster.dev/roster/api/v1alpha1"
)

var _ = Describe("The manager's process", func() {
	It("may be killed at any moment: what is declared arrives all the same, and once only", func() {
		binary, err := gexec.Build("roster.dev/roster", "-buildvcs=false")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gexec.CleanupBuildArtifacts)
		user, err := environment.AddUser(envtest.User{Name: "roster-manager", Groups: []string{"system:masters"}}, nil)
		Expect(err).NotTo(HaveOccurred())
		kubeconfig, err := user.KubeConfig()
		Expect(err).NotTo(HaveOccurred())
		w := newWorld()
		file := filepath.Join(w.dataDir, "kubeconfig")
		Expect(os.WriteFile(file, kubeconfig, 0o600)).To(Succeed())
		log, err := os.Create(filepath.Join(w.dataDir, "manager.log"))
		Expect(err).NotTo(HaveOccurred())
		var process *exec.Cmd
		start := func() {
			process = exec.Command(binary, "manager", "--kubeconfig", file, "--data-dir", w.dataDir)
			process.Stdout, process.Stderr = log, log
			Expect(process.Start()).To(Succeed())
		}
		kill := func() {
			Expect(process.Process.Kill()).To(Succeed())
			_ = process.Wait()
		}
		start()
		DeferCleanup(func() { kill() })

		r := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 7))
		m := &model{w: w, r: r, agents: map[string]*modelAgent{}, queues: map[string]bool{}}
		m.begin()
		deadline := time.Now().Add(25 * time.Second)
		next := time.Now().Add(2 * time.Second)
		for time.Now().Before(deadline) {
			m.step()
			time.Sleep(20 * time.Millisecond)
			if time.Now().After(next) {
				kill()
				for range r.IntN(6) { // edits while nobody watches
					m.step()
				}
				start()
				next = time.Now().Add(time.Duration(300+r.IntN(2500)) * time.Millisecond)
			}
		}
		Eventually(func() string { return m.difference() }, time.Minute, time.Second).Should(BeEmpty())
		// Where no queue is left the members say nothing about whether all is done.
		Eventually(func() []string {
			return w.rows("SELECT id FROM ps_endpoints WHERE context <> 'roster-refused' ORDER BY 1")
		}, time.Minute).Should(Equal(m.active()))
		Eventually(m.status, 30*time.Second).Should(Equal(m.groups()))
		Eventually(func() []string { return w.rows("SELECT name FROM queues ORDER BY 1") }, time.Minute).
			Should(ConsistOf(slices.Sorted(maps.Keys(m.queues))))
		Eventually(func() []string {
			return w.rows("SELECT name FROM roster_agents WHERE phase <> 'Deleted' ORDER BY 1")
		}, time.Minute).Should(Equal(m.people()))
		Expect(w.rows(`SELECT interface FROM queue_members WHERE interface NOT IN (SELECT 'PJSIP/' || id FROM ps_endpoints)
			AND queue_name <> 'roster_sentinel'`)).To(BeEmpty())

		By("a restart of a converged centre writes nothing")
		versions := func() (list []string) {
			var agents v1alpha1.AgentList
			Expect(k8s.List(ctx(), &agents, client.InNamespace(w.ns))).To(Succeed())
			for _, a := range agents.Items {
				list = append(list, a.Name+"@"+a.ResourceVersion)
			}
			return list
		}
		time.Sleep(4 * time.Second)
		before := versions()
		kill()
		db := w.database()
		db.SetMaxOpenConns(1)
		var first, second int
		Expect(db.QueryRow("PRAGMA data_version").Scan(&first)).To(Succeed())
		start()
		time.Sleep(6 * time.Second)
		Expect(versions()).To(Equal(before))
		Expect(db.QueryRow("PRAGMA data_version").Scan(&second)).To(Succeed())
		Expect(second).To(Equal(first))
	})
})

// model is what should be in the end, kept apart from Roster's own rules. Everybody restores at reactivation,
// so that the end does not depend on which of the states in between were seen.
type model struct {
	w      *world
	r      *rand.Rand
	agents map[string]*modelAgent
	queues map[string]bool
	serial int
}

type modelAgent struct {
	region string
	active bool
}

var regions = []string{"north", "south", "east"}

func (m *model) begin() {
	for _, region := range regions {
		g := group(region)
		g.Spec.Selector = &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"region": v1alpha1.LabelValue(region)}}
		m.w.create(g)
		m.toggleQueue("q-" + region)
	}
	for range 20 {
		m.hire()
	}
}

func (m *model) hire() {
	m.serial++
	name, region := fmt.Sprintf("agent-%03d", m.serial), regions[m.r.IntN(len(regions))]
	a := labelled(name, map[string]string{"region": region})
	a.Spec.OnReactivation = v1alpha1.OnReactivationRestore
	m.w.create(a)
	m.agents[name] = &modelAgent{region, true}
}

func (m *model) toggleQueue(name string) {
	if m.queues[name] {
		Expect(k8s.Delete(ctx(), &v1alpha1.Queue{ObjectMeta: metav1.ObjectMeta{Namespace: m.w.ns, Name: name}})).To(Succeed())
		delete(m.queues, name)
		return
	}
	q := queue(name)
	q.Spec.Groups = entries(strings.TrimPrefix(name, "q-"))
	q.Namespace = m.w.ns
	if err := k8s.Create(ctx(), q); err == nil { // one that is still on its way out stays away
		m.queues[name] = true
	}
}

func (m *model) step() {
	names := slices.Sorted(maps.Keys(m.agents))
	if len(names) == 0 {
		m.hire()
		return
	}
	name := names[m.r.IntN(len(names))]
	a := m.w.agent(name)
	switch m.r.IntN(12) {
	case 0, 1:
		m.hire()
	case 2:
		m.toggleQueue("q-" + regions[m.r.IntN(len(regions))])
	case 3:
		Expect(client.IgnoreNotFound(k8s.Delete(ctx(), a))).To(Succeed())
		delete(m.agents, name)
	case 4, 5, 6:
		region := regions[m.r.IntN(len(regions))]
		edit(m.w, a, func() { a.Labels["region"] = region })
		m.agents[name].region = region
	default:
		active := !m.agents[name].active
		edit(m.w, a, func() {
			a.Spec.State = v1alpha1.StateDeactivated
			if active {
				a.Spec.State = v1alpha1.StateActive
			}
		})
		m.agents[name].active = active
	}
}

func (m *model) members() []string {
	list := []string{}
	for name, a := range m.agents {
		if a.active && m.queues["q-"+a.region] {
			list = append(list, "q-"+a.region+"|PJSIP/"+name+"|0|0")
		}
	}
	slices.Sort(list)
	return list
}

// difference names the rows that are missing and those that should not be there, with what the person's status says.
func (m *model) difference() string {
	text := ""
	want, have := m.members(), m.w.members()
	if len(have) == 1 && strings.HasPrefix(have[0], "error") {
		return have[0] // the database is being opened by somebody
	}
	explain := func(what, row string) {
		name := strings.TrimPrefix(strings.Split(row, "|")[1], "PJSIP/")
		a := m.w.agent(name)
		text += fmt.Sprintf("%s %s: phase %s group %s queues %v %v labels %v deleting %v\n", what, row,
			a.Status.Phase, a.Status.Group, a.Status.QueueSummary, a.Status.Conditions, a.Labels, a.DeletionTimestamp)
	}
	for _, row := range want {
		if !slices.Contains(have, row) {
			explain("missing", row)
		}
	}
	for _, row := range have {
		if !slices.Contains(want, row) {
			explain("extra", row)
		}
	}
	return text
}

func (m *model) people() []string { return slices.Sorted(maps.Keys(m.agents)) }

func (m *model) active() []string {
	return slices.DeleteFunc(m.people(), func(name string) bool { return !m.agents[name].active })
}

// groups are the groups' counts as they should be.
func (m *model) groups() map[string]int {
	counts := map[string]int{}
	for _, r := range regions {
		counts[r] = 0
	}
	for _, a := range m.agents {
		counts[a.region]++
	}
	return counts
}

// status are the groups' counts as their status says.
func (m *model) status() map[string]int {
	counts := map[string]int{}
	for _, r := range regions {
		if n := m.w.group(r).Status.Members; n != nil {
			counts[r] = int(*n)
		}
	}
	return counts
}

var _ = Describe("A namespace", func() {
	It("that is deleted in hostile order leaves nobody stuck", func() {
		w := newWorld()
		w.startOperator()
		support := queue("support")
		support.Spec.Groups, support.Spec.Teams = entries("north"), entries("billing")
		c := contactCenter(w.ns + ".sqlite3")
		w.create(c, secret("own", map[string]string{"password": "some-Passw0rd"}), group("north", "alice"), team("billing", "bob"), support)
		alice := agent("alice")
		alice.Spec.Endpoint = &v1alpha1.Endpoint{PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: "own", Key: "password"}}
		w.create(alice, agent("bob"))
		Eventually(w.members).Should(HaveLen(2))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(w.ready("bob")).Should(Equal(isReady))

		w.stopOperator()
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}
		Expect(k8s.Delete(ctx(), ns)).To(Succeed()) // terminating: nothing can be created any more
		for _, o := range []client.Object{
			&corev1.Secret{}, &corev1.ConfigMap{}, &v1alpha1.ContactCenter{}, &v1alpha1.AgentGroup{},
			&v1alpha1.Queue{}, &v1alpha1.Team{}, &v1alpha1.Agent{},
		} {
			Expect(k8s.DeleteAllOf(ctx(), o, client.InNamespace(w.ns))).To(Succeed())
		}
		w.startOperator()
		left := func() int {
			agents, queues, centers := &v1alpha1.AgentList{}, &v1alpha1.QueueList{}, &v1alpha1.ContactCenterList{}
			for _, list := range []client.ObjectList{agents, queues, centers} {
				Expect(k8s.List(ctx(), list, client.InNamespace(w.ns))).To(Succeed())
			}
			return len(agents.Items) + len(queues.Items) + len(centers.Items)
		}
		Eventually(left).Should(BeZero())
		Expect(w.members()).To(BeEmpty())
		Expect(w.rows("SELECT id FROM ps_endpoints")).To(BeEmpty())
	})

	It("whose database went for good says what is awaited, and lets go when told", func() {
		w := newWorld()
		w.startOperator()
		a := agent("alice")
		w.create(contactCenter("sub/db.sqlite3"), a)
		Eventually(w.ready("alice")).Should(Equal(isReady))
		w.stopOperator()
		Expect(os.RemoveAll(filepath.Join(w.dataDir, "sub"))).To(Succeed())
		Expect(os.WriteFile(filepath.Join(w.dataDir, "sub"), nil, 0o600)).To(Succeed()) // no folder can be here
		w.startOperator()
		w.delete(a)
		Eventually(func() string { return message(w.agent("alice").Status.Conditions, v1alpha1.ConditionReady) }).
			Should(ContainSubstring(v1alpha1.AnnotationAbandon))
		a = w.agent("alice")
		patch := client.MergeFrom(a.DeepCopy())
		a.Annotations = map[string]string{v1alpha1.AnnotationAbandon: "true"}
		Expect(k8s.Patch(ctx(), a, patch)).To(Succeed())
		Eventually(func() string { return w.agent("alice").Name }).Should(BeEmpty())
	})
})
