package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// teamExample is the contract's example.
const teamExample = `{displayName: Billing, members: [{name: alice-martin}], selector: {matchLabels: {dept: billing}}}`

var _ = Describe("Team", func() {
	It("is accepted with nothing but a name", func() {
		Expect(expectAccepted("Team", "billing", "").Object["spec"]).To(BeEmpty())
	})

	It("does not change when it is applied again", func() {
		expectAppliedOnce("Team", "billing", teamExample)
		expectAppliedOnce("Team", "sales", "{}")
	})

	DescribeTable("refuses a name", func(name string) {
		expectRefused("Team", name, "", "name a Team with at most 63 lower-case letters, digits and '-'")
	},
		Entry("with a dot", "some.name"),
		Entry("of 64 characters", long(64)),
	)

	refusesMembership("Team")
})
