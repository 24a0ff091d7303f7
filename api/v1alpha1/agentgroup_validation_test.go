package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// agentGroupExample is the contract's example.
const agentGroupExample = `{displayName: North, color: "#1F77B4", members: [{name: alice-martin}], selector: {matchLabels: {region: north}}}`

var _ = Describe("AgentGroup", func() {
	It("is accepted with nothing but a name", func() {
		Expect(expectAccepted("AgentGroup", "north", "").Object["spec"]).To(BeEmpty())
	})

	It("O1: has a name and a marker colour", func() {
		expectAppliedOnce("AgentGroup", "north", `{displayName: North, color: "#1F77B4"}`)
	})

	It("does not change when it is applied again", func() {
		expectAppliedOnce("AgentGroup", "north", agentGroupExample)
		expectAppliedOnce("AgentGroup", "south", "{}")
	})

	DescribeTable("accepts", func(spec string) { expectAccepted("AgentGroup", "north", spec) },
		Entry("a color in small letters", `{color: "#1f77b4"}`),
		Entry("a selector of everybody", `{selector: {}}`),
	)

	DescribeTable("refuses the color", func(color string) {
		expectRefused("AgentGroup", "north", `{color: "`+color+`"}`, `write a color as # and six hexadecimal digits, such as "#1F77B4"`)
	},
		Entry(nil, "blue"),
		Entry(nil, "1F77B4"),
		Entry(nil, "#1F7"),
		Entry(nil, "#1F77B4FF"),
		Entry(nil, "#1F77BG"),
		Entry(nil, ""),
	)

	DescribeTable("refuses a name", func(name string) {
		expectRefused("AgentGroup", name, "", "name an AgentGroup with at most 63 lower-case letters, digits and '-'")
	},
		Entry("with a dot", "some.name"),
		Entry("of 64 characters", long(64)),
	)

	refusesMembership("AgentGroup")
})

// refusesMembership are the rules that an AgentGroup and a Team share: members, selector, displayName.
func refusesMembership(kind string) {
	It("takes 3,000 members with the longest of names", func() {
		expectAccepted(kind, "many", `{members: `+many(3000, `{name: `+long(36)+`%04d}`)+`}`)
	})

	It("takes the largest of selectors", func() {
		expectAccepted(kind, "many", `{selector: {
			matchLabels: `+manyKeys(16, long(60)+`%03d: `+long(63))+`,
			matchExpressions: `+many(16, `{key: `+long(253)+`/`+long(60)+`%03d, operator: In, values: `+many(64, long(61)+`%02d`)+`}`)+`}}`)
	})

	DescribeTable("accepts the selector", func(selector string) { expectAccepted(kind, "some", `{selector: `+selector+`}`) },
		Entry(nil, `{matchLabels: {dept: billing, acme.example/site: Rome_2.b, empty: ""}}`),
		Entry(nil, `{matchExpressions: [{key: dept, operator: In, values: [billing, sales]}]}`),
		Entry(nil, `{matchExpressions: [{key: dept, operator: NotIn, values: [billing]}]}`),
		Entry(nil, `{matchExpressions: [{key: dept, operator: Exists}]}`),
		Entry(nil, `{matchExpressions: [{key: acme.example/dept, operator: DoesNotExist, values: []}]}`),
	)

	It("refuses a member that is only a name", func() {
		expectRefused(kind, "some", `{members: [bob]}`, "must be of type object", "must be an object for an array of list-type map")
	})

	DescribeTable("refuses", func(spec, message string) { expectRefused(kind, "some", spec, message) },
		Entry("a displayName that would end a caller id", `{displayName: "North <1>"}`, `leave out control characters and " < > ; ^`),
		Entry("a member twice", `{members: [{name: bob}, {name: alice}, {name: bob}]}`, "spec.members[2]: Duplicate value"),
		Entry("a member without a name", `{members: [{}]}`, "spec.members[0].name: Required value"),
		Entry("a member whose name no Agent can have", `{members: [{name: bob.lee}]}`, "write an Agent's name as it is declared"),
		Entry("a member whose name is too long", `{members: [{name: `+long(41)+`}]}`, "may not be more than 40"),
		Entry("too many members", `{members: `+many(3001, `{name: a%d}`)+`}`, "must have at most 3000 items"),

		Entry("no label, which would be everybody", `{selector: {matchLabels: {}}}`, "give matchLabels a label with its value"),
		Entry("a label without a value, which would be everybody", `{selector: {matchLabels: {dept: }}}`, "give matchLabels a label with its value"),
		Entry("a label's key that none is", `{selector: {matchLabels: {"the dept": billing}}}`,
			"write a label's key as Kubernetes has it, such as dept or acme.example/dept"),
		Entry("a label's value that none is", `{selector: {matchLabels: {dept: "billing & more"}}}`, "write a label's value of letters, digits"),
		Entry("a label's value without quotes", `{selector: {matchLabels: {dept: 4711}}}`, "must be of type string"),
		Entry("too many labels", `{selector: {matchLabels: `+manyKeys(17, `a%d: b`)+`}}`, "must have at most 16"),
		Entry("a requirement on a key that none is", `{selector: {matchExpressions: [{key: a/b/c, operator: Exists}]}}`,
			"write a label's key as Kubernetes has it"),
		Entry("an unknown operator", `{selector: {matchExpressions: [{key: dept, operator: Equals, values: [a]}]}}`,
			`supported values: "In", "NotIn", "Exists", "DoesNotExist"`),
		Entry("In without values", `{selector: {matchExpressions: [{key: dept, operator: In}]}}`,
			"give operators In and NotIn at least one of values, and Exists and DoesNotExist none"),
		Entry("NotIn with no values", `{selector: {matchExpressions: [{key: dept, operator: NotIn, values: []}]}}`,
			"give operators In and NotIn at least one of values"),
		Entry("Exists with values", `{selector: {matchExpressions: [{key: dept, operator: Exists, values: [a]}]}}`,
			"Exists and DoesNotExist none"),
		Entry("a requirement's value that is no label's", `{selector: {matchExpressions: [{key: dept, operator: In, values: ["-a"]}]}}`,
			"write a label's value of letters, digits"),
		Entry("too many requirements", `{selector: {matchExpressions: `+many(17, `{key: a%d, operator: Exists}`)+`}}`, "must have at most 16 items"),
		Entry("too many values", `{selector: {matchExpressions: [{key: a, operator: In, values: `+many(65, `v%d`)+`}]}}`, "must have at most 64 items"),
	)
}
