package v1alpha1_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// queueExample is the contract's example.
const queueExample = `
displayName: Support
type: Queue
channels: [Voice, Chat]
extension: "600"
competency: Enabled
strategy: LeastRecent
timeoutSeconds: 15
wrapUpSeconds: 10
serviceLevelSeconds: 20
maxCallers: 50
minimumStaff: 3
membership: Authoritative
agents: [{name: alice-martin, stars: 4, channels: [Voice]}]
groups: [{name: north, stars: 2}]
teams:  [{name: billing}]
supervisors: [{name: carla-diaz}]
`

var _ = Describe("Queue", func() {
	It("is accepted with nothing but a name", func() {
		Expect(expectAccepted("Queue", "support", "").Object["spec"]).To(Equal(map[string]any{
			"type": "Queue", "channels": []any{"Voice"}, "competency": "Disabled", "strategy": "LeastRecent",
			"timeoutSeconds": int64(15), "wrapUpSeconds": int64(0), "minimumStaff": int64(0), "membership": "Authoritative",
		}))
	})

	DescribeTable("gives an entry one star, and leaves its channels to the queue", func(list string) {
		spec := expectAccepted("Queue", "support", `{`+list+`: [{name: some}]}`).Object["spec"]
		Expect(spec).To(HaveKeyWithValue(list, ConsistOf(Equal(map[string]any{"name": "some", "stars": int64(1)}))))
	},
		Entry(nil, "agents"),
		Entry(nil, "groups"),
		Entry(nil, "teams"),
	)

	It("does not change when it is applied again", func() {
		expectAppliedOnce("Queue", "support", queueExample)
		expectAppliedOnce("Queue", "empty", "{}")
	})

	It("is a campaign, with a window of time and every channel", func() {
		expectAppliedOnce("Queue", "spring", `
type: Campaign
window: {startTime: "2027-03-01T07:00:00Z", endTime: "2027-03-31T16:00:00Z"}
channels: [Voice, Chat, Email, SMS, Fax, Voicemail]
agents:
- {name: alice, channels: [Voice]}
- {name: bob, channels: [Chat, Email, SMS, Fax, Voicemail]}
`)
	})

	DescribeTable("rates people with 1 to 4 stars", func(stars int) {
		expectAppliedOnce("Queue", "rated", fmt.Sprintf(`{competency: Enabled, agents: [{name: alice, stars: %d}]}`, stars))
	},
		Entry(nil, 1),
		Entry(nil, 2),
		Entry(nil, 3),
		Entry(nil, 4),
	)

	It("takes as much of everything as it says it takes", func() {
		channels := `channels: [Voice, Chat, Email, SMS, Fax, Voicemail]`
		expectAccepted("Queue", long(63), `{`+channels+`,
			agents: `+many(3000, `{name: `+long(36)+`%04d, stars: 4, `+channels+`}`)+`,
			groups: `+many(256, `{name: `+long(59)+`%04d, stars: 4, `+channels+`}`)+`,
			teams: `+many(256, `{name: `+long(59)+`%04d, stars: 4, `+channels+`}`)+`,
			supervisors: `+many(256, `{name: `+long(36)+`%04d}`)+`}`)
	})

	DescribeTable("accepts", func(spec string) { expectAccepted("Queue", "support", spec) },
		Entry("a campaign without a window", `{type: Campaign}`),
		Entry("a campaign that does not end", `{type: Campaign, window: {startTime: "2027-03-01T08:00:00Z"}}`),
		Entry("a campaign that has begun", `{type: Campaign, window: {endTime: "2027-03-01T08:00:00Z"}}`),
		Entry("a queue that the PBX does not serve", `{channels: [Email], agents: [{name: alice, channels: [Email]}]}`),
		Entry("one name as agent, group, team and supervisor",
			`{agents: [{name: x}], groups: [{name: x}], teams: [{name: x}], supervisors: [{name: x}]}`),
		Entry("additive membership", `{membership: Additive}`),
		Entry("observed membership", `{membership: Observe}`),
	)

	DescribeTable("accepts the strategy", func(strategy string) { expectAccepted("Queue", "support", `{strategy: `+strategy+`}`) },
		Entry(nil, "LeastRecent"),
		Entry(nil, "RingAll"),
		Entry(nil, "FewestCalls"),
		Entry(nil, "Random"),
		Entry(nil, "RoundRobinMemory"),
		Entry(nil, "RoundRobinOrdered"),
		Entry(nil, "Linear"),
		Entry(nil, "WeightedRandom"),
	)

	DescribeTable("refuses a name", func(name string) {
		expectRefused("Queue", name, "", "name a Queue with at most 63 lower-case letters, digits and '-'")
	},
		Entry("with a dot", "some.name"),
		Entry("of 64 characters", long(64)),
	)

	DescribeTable("refuses", func(spec, message string) { expectRefused("Queue", "support", spec, message) },
		Entry("a displayName with a quote", `{displayName: 'The "Support"'}`, `leave out control characters and " < > ; ^`),
		Entry("an unknown type", `{type: Dialer}`, `supported values: "Queue", "Campaign"`),
		Entry("a window on a queue", `{window: {startTime: "2027-03-01T08:00:00Z"}}`, "window is for campaigns: set type: Campaign, or remove window"),
		Entry("a window that ends before it begins",
			`{type: Campaign, window: {startTime: "2027-03-01T08:00:00Z", endTime: "2027-02-01T08:00:00Z"}}`,
			"window.endTime must be after window.startTime"),
		Entry("a window that ends as it begins",
			`{type: Campaign, window: {startTime: "2027-03-01T08:00:00Z", endTime: "2027-03-01T08:00:00Z"}}`,
			"window.endTime must be after window.startTime"),
		Entry("an unknown channel", `{channels: [Voice, Letter]}`, `supported values: "Voice", "Chat", "Email", "SMS", "Fax", "Voicemail"`),
		Entry("a channel twice", `{channels: [Voice, Voice]}`, "spec.channels[1]: Duplicate value"),
		Entry("no channel", `{channels: []}`, "spec.channels in body should have at least 1 items"),
		Entry("an extension with letters", `{extension: six}`, `write 2 to 10 digits, such as "1001"`),
		Entry("an extension without quotes", `{extension: 600}`, `must be of type string: "integer"`),
		Entry("an unknown competency", `{competency: "On"}`, `supported values: "Enabled", "Disabled"`),
		Entry("an unknown strategy", `{strategy: leastrecent}`, `supported values: "LeastRecent", "RingAll"`),
		Entry("an unknown membership", `{membership: Strict}`, `supported values: "Authoritative", "Additive", "Observe"`),
		Entry("phones that do not ring", `{timeoutSeconds: 0}`, "should be greater than or equal to 1"),
		Entry("phones that ring for days", `{timeoutSeconds: 3601}`, "should be less than or equal to 3600"),
		Entry("a negative pause", `{wrapUpSeconds: -1}`, "should be greater than or equal to 0"),
		Entry("a pause of days", `{wrapUpSeconds: 86401}`, "should be less than or equal to 86400"),
		Entry("a service level of no time", `{serviceLevelSeconds: 0}`, "should be greater than or equal to 1"),
		Entry("a service level of days", `{serviceLevelSeconds: 86401}`, "should be less than or equal to 86400"),
		Entry("a negative number of callers", `{maxCallers: -1}`, "should be greater than or equal to 0"),
		Entry("a number of callers beyond what is counted", `{maxCallers: 100001}`, "should be less than or equal to 100000"),
		Entry("a negative staff", `{minimumStaff: -1}`, "should be greater than or equal to 0"),
		Entry("a staff beyond what is counted", `{minimumStaff: 100001}`, "should be less than or equal to 100000"),
		Entry("an agent whose name is too long for one", `{agents: [{name: `+long(41)+`}]}`, "an Agent's name has at most 40 characters"),
		Entry("too many agents", `{agents: `+many(3001, `{name: a%d}`)+`}`, "must have at most 3000 items"),
		Entry("too many groups", `{groups: `+many(257, `{name: g%d}`)+`}`, "must have at most 256 items"),
		Entry("too many teams", `{teams: `+many(257, `{name: t%d}`)+`}`, "must have at most 256 items"),
		Entry("too many supervisors", `{supervisors: `+many(257, `{name: s%d}`)+`}`, "must have at most 256 items"),
		Entry("a supervisor twice", `{supervisors: [{name: carla}, {name: carla}]}`, "spec.supervisors[1]: Duplicate value"),
		Entry("a supervisor whose name no Agent can have", `{supervisors: [{name: carla-}]}`, "write an Agent's name as it is declared"),
	)

	for _, list := range []string{"agents", "groups", "teams"} {
		DescribeTable("refuses in "+list, func(entries, message string) {
			expectRefused("Queue", "support", `{channels: [Voice, Chat], `+list+`: `+entries+`}`, message)
		},
			Entry("an entry twice", `[{name: x}, {name: x, stars: 2}]`, "spec."+list+"[1]: Duplicate value"),
			Entry("an entry without a name", `[{stars: 2}]`, "spec."+list+"[0].name: Required value"),
			Entry("a name that none can have", `[{name: The North}]`, "write a name of lower-case letters, digits and '-'"),
			Entry("no star", `[{name: x, stars: 0}]`, "stars in body should be greater than or equal to 1"),
			Entry("five stars", `[{name: x, stars: 5}]`, "stars in body should be less than or equal to 4"),
			Entry("no channel", `[{name: x, channels: []}]`, "should have at least 1 items"),
			Entry("a channel twice", `[{name: x, channels: [Chat, Chat]}]`, "channels[1]: Duplicate value"),
			Entry("a channel that the queue has not", `[{name: x, channels: [Voice, Email]}]`,
				list+"[].channels must be among the queue's channels: add the channel to spec.channels, or remove it from the entry"),
		)
	}

	It("refuses half a star", func() {
		expectRefused("Queue", "support", `{agents: [{name: alice, stars: 1.5}]}`, `must be of type int32: "float64"`, "must be of type integer")
	})

	It("refuses a competency of YAML's, which is no string", func() {
		expectRefused("Queue", "support", `{competency: on}`, "must be of type string", `supported values: "Enabled", "Disabled"`)
	})

	It("refuses an entry's channel that the queue has not by default", func() {
		expectRefused("Queue", "support", `{agents: [{name: alice, channels: [Chat]}]}`, "add the channel to spec.channels")
	})

	DescribeTable("refuses a time that is none", func(time string) {
		expectNoTime("Queue", fmt.Sprintf(`{type: Campaign, window: {startTime: "%s"}}`, time), time)
		expectNoTime("Queue", fmt.Sprintf(`{type: Campaign, window: {endTime: "%s"}}`, time), time)
	}, badTimes)
})
