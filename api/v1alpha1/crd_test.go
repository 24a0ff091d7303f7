package v1alpha1_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"roster.dev/roster/api/v1alpha1"
)

// definitions are the CRDs of config/crd/bases, by kind. They are read where tests are declared, too, hence no Expect.
func definitions() map[string]apiextensionsv1.CustomResourceDefinition {
	paths, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil {
		panic(err)
	}
	out := map[string]apiextensionsv1.CustomResourceDefinition{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &crd); err != nil {
			panic(err)
		}
		out[crd.Spec.Names.Kind] = crd
	}
	return out
}

// schema is a kind's, or that of a field in it.
func schema(kind string, path ...string) apiextensionsv1.JSONSchemaProps {
	s := *definitions()[kind].Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, name := range path {
		s = s.Properties[name]
	}
	return s
}

// templateColumns are the columns that the description of endpointTemplate lists.
func templateColumns() []string {
	_, list, _ := strings.Cut(schema("ContactCenter", "spec", "telephony", "asteriskRealtime", "endpointTemplate").Description, "Allowed are ")
	return strings.Split(strings.TrimSuffix(strings.TrimSpace(list), "."), ", ")
}

var _ = Describe("The CRDs", func() {
	It("are those of every kind, with the short names of the contract, in the category roster", func() {
		short := map[string]string{}
		for kind, crd := range definitions() {
			Expect(crd.Spec.Names.ShortNames).To(HaveLen(1))
			short[kind] = crd.Spec.Names.ShortNames[0]
			Expect(crd.Spec.Names.Categories).To(ConsistOf("roster"))
			Expect(crd.Spec.Group).To(Equal(v1alpha1.GroupVersion.Group))
			Expect(crd.Spec.Scope).To(Equal(apiextensionsv1.NamespaceScoped))
			Expect(crd.Spec.Versions).To(ConsistOf(HaveField("Name", "v1alpha1")))
			Expect(crd.Spec.Versions[0].Subresources.Status).NotTo(BeNil())
		}
		Expect(short).To(Equal(map[string]string{
			"Agent": "ag", "AgentGroup": "grp", "Team": "tm", "Queue": "q", "CaseAssignment": "ca", "ContactCenter": "ctr",
		}))
	})

	It("bound every string, list and map, so that no object grows without end", func() {
		for kind := range definitions() {
			for _, part := range []string{"spec", "status"} {
				for path, s := range fields(kind+"."+part, schema(kind, part)) {
					switch {
					case s.Type == "string" && len(s.Enum) == 0 && s.Format != "date-time":
						Expect(s.MaxLength).NotTo(BeNil(), "maxLength of %s", path)
					case s.Type == "array":
						Expect(s.MaxItems).NotTo(BeNil(), "maxItems of %s", path)
						Expect(s.XListType).NotTo(BeNil(), "listType of %s", path)
					case s.AdditionalProperties != nil:
						Expect(s.MaxProperties).NotTo(BeNil(), "maxProperties of %s", path)
					case s.Type == "integer" && part == "spec":
						Expect(s.Minimum).NotTo(BeNil(), "minimum of %s", path)
						Expect(s.Maximum).NotTo(BeNil(), "maximum of %s", path)
					}
				}
			}
		}
	})

	It("explain every field, beginning with its name", func() {
		for kind := range definitions() {
			for _, part := range []string{"spec", "status"} {
				for path, s := range fields(kind+"."+part, schema(kind, part)) {
					name := path[strings.LastIndex(path, ".")+1:]
					if strings.HasSuffix(name, "]") || strings.Contains(path, ".conditions[]") {
						continue
					}
					Expect(s.Description).To(HavePrefix(name+" "), "description of %s", path)
				}
			}
		}
	})

	It("name every value of an enum, where kubectl explain stops after four", func() {
		for kind := range definitions() {
			for path, s := range fields(kind+".spec", schema(kind, "spec")) {
				values, description := s.Enum, s.Description
				if s.Items != nil && s.Items.Schema != nil {
					values = s.Items.Schema.Enum
				}
				if strings.HasSuffix(path, "]") || len(values) <= 4 || strings.HasSuffix(path, "[].channels") {
					continue
				}
				for _, value := range values {
					Expect(description).To(ContainSubstring(strings.Trim(string(value.Raw), `"`)), "description of %s", path)
				}
			}
		}
	})

	It("tell in a message of its own what each rule wants", func() {
		for kind := range definitions() {
			for path, s := range fields(kind, schema(kind)) {
				for _, rule := range s.XValidations {
					Expect(rule.Message).NotTo(BeEmpty(), "message of %s: %s", path, rule.Rule)
				}
			}
		}
	})

	It("let people be found by state, role, phase and group", func() {
		alice, bob, carla := &v1alpha1.Agent{}, &v1alpha1.Agent{}, &v1alpha1.Agent{}
		for name, a := range map[string]*v1alpha1.Agent{"find-alice": alice, "find-bob": bob, "find-carla": carla} {
			a.Name, a.Namespace = name, namespace
		}
		bob.Spec.State = v1alpha1.StateDeactivated
		carla.Spec.Role = v1alpha1.RoleTeamLeader
		for _, a := range []*v1alpha1.Agent{alice, bob, carla} {
			Expect(api.Create(ctx, a)).To(Succeed())
			DeferCleanup(func() error { return api.Delete(ctx, a) })
			a.Status.Group, a.Status.Phase = "north", v1alpha1.PhaseActive
			if a == bob {
				a.Status.Group, a.Status.Phase = "south", v1alpha1.PhaseDeactivated
			}
			Expect(api.Status().Update(ctx, a)).To(Succeed())
		}
		found := func(selector string) sets.Set[string] {
			GinkgoHelper()
			var agents v1alpha1.AgentList
			Expect(api.List(ctx, &agents, client.InNamespace(namespace), raw{FieldSelector: selector})).To(Succeed())
			names := sets.New[string]()
			for _, a := range agents.Items {
				names.Insert(a.Name)
			}
			return names
		}
		Expect(found("spec.state=Deactivated")).To(Equal(sets.New("find-bob")))
		Expect(found("status.phase=Deactivated")).To(Equal(sets.New("find-bob")))
		Expect(found("status.phase!=Active")).To(Equal(sets.New("find-bob")))
		Expect(found("spec.role=TeamLeader")).To(Equal(sets.New("find-carla")))
		Expect(found("status.group=north")).To(Equal(sets.New("find-alice", "find-carla")))
		Expect(found("status.group=north,spec.role=CustomerService")).To(Equal(sets.New("find-alice")))
	})

	It("print what people look for", func() {
		create := func(kind, name, spec string, status map[string]any) {
			GinkgoHelper()
			u := object(kind, name, spec)
			Expect(api.Create(ctx, u)).To(Succeed())
			DeferCleanup(func() error { return api.Delete(ctx, object(kind, name, "")) })
			condition := func(kind, status, message string) map[string]any {
				return map[string]any{"type": kind, "status": status, "reason": "Some", "message": message, "lastTransitionTime": "2026-12-01T08:00:00Z"}
			}
			conditions := []any{condition("Ready", "True", "all is well")}
			if kind == "Queue" {
				conditions = append(conditions, condition("Staffed", "False", "2 of 3"))
			}
			status["conditions"] = conditions
			u.Object["status"] = status
			Expect(api.Status().Update(ctx, u)).To(Succeed())
		}
		create("Agent", "alice-martin", agentExample, map[string]any{
			"phase": "Active", "group": "north", "queueSummary": "sales, support",
		})
		create("AgentGroup", "north", agentGroupExample, map[string]any{"members": int64(12), "conflictsTotal": int64(1)})
		create("Team", "billing", teamExample, map[string]any{"members": int64(7)})
		create("Queue", "support", queueExample, map[string]any{})
		create("ContactCenter", "default", contactCenterExample, map[string]any{
			"database":       map[string]any{"type": "PostgreSQL", "state": "Connected"},
			"managerSummary": "2/3",
			"counts": map[string]any{
				"agents": int64(30), "active": int64(27), "onLeave": int64(1), "pending": int64(1), "deactivated": int64(1),
				"teams": int64(5), "groups": int64(4), "queues": int64(8),
			},
		})
		create("CaseAssignment", "case-7", caseAssignmentExample, map[string]any{
			"phase": "Assigned", "assignees": []any{map[string]any{"name": "alice-martin", "via": "Declared", "since": "2026-12-01T08:00:00Z"}},
		})

		kubeconfig := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
		Expect(os.WriteFile(kubeconfig, environment.KubeConfig, 0o600)).To(Succeed())
		printed := func(arguments ...string) string {
			GinkgoHelper()
			kubectl := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"),
				append([]string{"--kubeconfig", kubeconfig, "--cache-dir", filepath.Dir(kubeconfig), "-n", namespace}, arguments...)...)
			output, err := kubectl.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(output))
			return regexp.MustCompile(` +`).ReplaceAllString(regexp.MustCompile(`\b\d+s\b`).ReplaceAllString(string(output), "AGO"), " ")
		}
		Expect(printed("get", "ag,grp,tm,q,ctr,ca")).To(Equal(strings.TrimPrefix(`
NAME PHASE ROLE GROUP QUEUES READY AGE
agent.staff.roster.dev/alice-martin Active CustomerService north sales, support True AGO

NAME MEMBERS CONFLICTS COLOR READY AGE
agentgroup.staff.roster.dev/north 12 1 #1F77B4 True AGO

NAME MEMBERS READY AGE
team.staff.roster.dev/billing 7 True AGO

NAME TYPE CHANNELS EXTENSION STAFFED READY AGE
queue.staff.roster.dev/support Queue ["Voice","Chat"] 600 False True AGO

NAME DATABASE STATE SERVERS MANAGEMENT AGENTS ACTIVE READY AGE
contactcenter.staff.roster.dev/default PostgreSQL Connected 2/3 Manage 30 27 True AGO

NAME PHASE CASE CLIENT RESPONSIBLE VIA READY AGE
caseassignment.staff.roster.dev/case-7 Assigned CASE-7 Ada Byron alice-martin Declared True AGO
`, "\n")))
		Expect(printed("get", "ag,ca", "-o", "wide")).To(And(ContainSubstring("all is well 1001 AGO"), ContainSubstring("2026-11-30T08:00:00Z")))
		Expect(printed("get", "roster", "-o", "name")).To(And(ContainSubstring("agent.staff"), ContainSubstring("contactcenter.staff")))
		Expect(printed("explain", "ag.spec.endpoint")).To(ContainSubstring("extension that rings the person"))
	})
})

// raw is a field selector as kubectl takes it.
type raw metav1.ListOptions

func (r raw) ApplyToList(options *client.ListOptions) {
	options.Raw = (*metav1.ListOptions)(&r)
}

// fields are a schema and all below it, by path; [] marks the items of a list and the values of a map.
func fields(path string, s apiextensionsv1.JSONSchemaProps) map[string]apiextensionsv1.JSONSchemaProps {
	out := map[string]apiextensionsv1.JSONSchemaProps{path: s}
	add := func(path string, s apiextensionsv1.JSONSchemaProps) {
		for path, s := range fields(path, s) {
			out[path] = s
		}
	}
	for name, s := range s.Properties {
		add(path+"."+name, s)
	}
	if s.Items != nil && s.Items.Schema != nil {
		add(path+"[]", *s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		add(path+"[]", *s.AdditionalProperties.Schema)
	}
	return out
}
