package v1alpha1_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// caseAssignmentExample is the contract's example.
const caseAssignmentExample = `
case: {id: CASE-7, title: Refund, url: "https://crm.acme.example/cases/7"}
client: {id: C-99, name: Ada Byron, phones: ["+390699999"]}
assignees: [{name: alice-martin, reason: Escalation}]
group: north
fallback: [Backup, Group]
appointment: {startTime: "2026-12-01T14:00:00Z", endTime: "2026-12-01T14:30:00Z", timeZone: Europe/Rome}
nextActionTime: "2026-11-30T08:00:00Z"
state: Open
`

var _ = Describe("CaseAssignment", func() {
	It("is accepted with nothing but a case or a client", func() {
		for key, value := range map[string]any{"case": map[string]any{"id": "CASE-7"}, "client": map[string]any{"id": "C-99"}} {
			Expect(expectAccepted("CaseAssignment", "some", `{`+key+`: {id: `+value.(map[string]any)["id"].(string)+`}}`).Object["spec"]).To(Equal(map[string]any{
				key: value, "fallback": []any{"Backup", "Group"}, "state": "Open",
			}))
		}
	})

	It("does not change when it is applied again", func() {
		expectAppliedOnce("CaseAssignment", "case-7", caseAssignmentExample)
	})

	It("is created with several people, each with a reason", func() {
		expectAppliedOnce("CaseAssignment", "case-8", `{case: {id: CASE-8}, assignees: [
			{name: a}, {name: b, reason: Vacation}, {name: c, reason: SickLeave}, {name: d, reason: Escalation},
			{name: e, reason: Backup}, {name: f, reason: Training}, {name: g, reason: Other}]}`)
	})

	It("takes as much of everything as it says it takes", func() {
		expectAccepted("CaseAssignment", long(63), `{
			case: {id: `+long(128)+`, title: `+long(256)+`, url: "https://acme.example/`+long(2000)+`"},
			client: {id: `+long(128)+`, name: `+long(256)+`, phones: `+many(16, `"+3906999990000%02d"`)+`},
			assignees: `+many(32, `{name: `+long(38)+`%02d, reason: Other}`)+`}`)
	})

	DescribeTable("accepts", func(spec string) { expectAccepted("CaseAssignment", "some", spec) },
		Entry("a client that nobody looks after", `{client: {id: C-99}, assignees: []}`),
		Entry("no fallback", `{client: {id: C-99}, fallback: []}`),
		Entry("the other order of fallbacks", `{client: {id: C-99}, fallback: [Group, Backup]}`),
		Entry("a completed case", `{case: {id: CASE-7}, state: Completed}`),
		Entry("an address with a port and a query", `{case: {id: CASE-7, url: "http://crm:8080/cases?id=7#top"}}`),
	)

	DescribeTable("refuses a name", func(name string) {
		expectRefused("CaseAssignment", name, `{case: {id: CASE-7}}`, "name a CaseAssignment with at most 63 lower-case letters, digits and '-'")
	},
		Entry("with a dot", "some.name"),
		Entry("of 64 characters", long(64)),
	)

	DescribeTable("refuses", func(spec, message string) { expectRefused("CaseAssignment", "some", spec, message) },
		Entry("nothing", ``, "spec: Required value"),
		Entry("neither case nor client", `{assignees: [{name: alice}]}`, "say what is assigned: case, or client, or both"),
		Entry("a case without an id", `{case: {title: Refund}}`, "spec.case.id: Required value"),
		Entry("a case with an empty id", `{case: {id: ""}}`, "should be at least 1 chars long"),
		Entry("a case with a line break in its id", `{case: {id: "CASE\n7"}}`, "leave out control characters, such as line breaks"),
		Entry("a case with a NUL in its title", `{case: {id: CASE-7, title: "Refund\0"}}`, "leave out control characters"),
		Entry("a url that is none", `{case: {id: CASE-7, url: cases/7}}`, "write a full web address, such as https://crm.acme.example/cases/7"),
		Entry("a url that is a program", `{case: {id: CASE-7, url: "javascript:alert(1)"}}`, "write a full web address"),
		Entry("a client without an id", `{client: {name: Ada Byron}}`, "spec.client.id: Required value"),
		Entry("a client with a line break in the id", `{client: {id: "C\n99"}}`, "leave out control characters"),
		Entry("a client with a line break in the name", `{client: {id: C-99, name: "Ada\nByron"}}`, "leave out control characters"),
		Entry("a phone in letters", `{client: {id: C-99, phones: [none]}}`, "write a telephone number in digits"),
		Entry("a phone twice", `{client: {id: C-99, phones: ["+390699999", "+390699999"]}}`, "spec.client.phones[1]: Duplicate value"),
		Entry("too many phones", `{client: {id: C-99, phones: `+many(17, `"+39069999%02d"`)+`}}`, "must have at most 16 items"),
		Entry("an assignee twice", `{case: {id: CASE-7}, assignees: [{name: alice}, {name: alice, reason: Backup}]}`, "spec.assignees[1]: Duplicate value"),
		Entry("an assignee without a name", `{case: {id: CASE-7}, assignees: [{reason: Backup}]}`, "spec.assignees[0].name: Required value"),
		Entry("an assignee whose name no Agent can have", `{case: {id: CASE-7}, assignees: [{name: Alice}]}`, "write an Agent's name as it is declared"),
		Entry("an unknown reason", `{case: {id: CASE-7}, assignees: [{name: alice, reason: Holiday}]}`,
			`supported values: "Vacation", "SickLeave", "Escalation", "Backup", "Training", "Other"`),
		Entry("too many assignees", `{case: {id: CASE-7}, assignees: `+many(33, `{name: a%d}`)+`}`, "must have at most 32 items"),
		Entry("a group whose name none can have", `{case: {id: CASE-7}, group: The North}`, "write a name of lower-case letters, digits and '-'"),
		Entry("an unknown fallback", `{case: {id: CASE-7}, fallback: [Team]}`, `supported values: "Backup", "Group"`),
		Entry("a fallback twice", `{case: {id: CASE-7}, fallback: [Group, Group]}`, "spec.fallback[1]: Duplicate value"),
		Entry("an unknown state", `{case: {id: CASE-7}, state: Closed}`, `supported values: "Open", "Completed"`),
		Entry("an appointment that ends before it begins",
			`{case: {id: CASE-7}, appointment: {startTime: "2026-12-01T09:00:00Z", endTime: "2026-12-01T08:00:00Z"}}`,
			"appointment.endTime must be after appointment.startTime"),
		Entry("an appointment of no time",
			`{case: {id: CASE-7}, appointment: {startTime: "2026-12-01T09:00:00Z", endTime: "2026-12-01T10:00:00+01:00"}}`,
			"appointment.endTime must be after appointment.startTime"),
		Entry("an appointment without a start", `{case: {id: CASE-7}, appointment: {endTime: "2026-12-01T08:00:00Z"}}`, "startTime: Required value"),
		Entry("an appointment without an end", `{case: {id: CASE-7}, appointment: {startTime: "2026-12-01T08:00:00Z"}}`, "endTime: Required value"),
		Entry("an appointment in a time zone that is none",
			`{case: {id: CASE-7}, appointment: {startTime: "2026-12-01T08:00:00Z", endTime: "2026-12-01T09:00:00Z", timeZone: "GMT 2"}}`,
			"write a time zone by its IANA name, such as Europe/Rome"),
	)

	DescribeTable("refuses a time that is none", func(time string) {
		expectNoTime("CaseAssignment", fmt.Sprintf(`{case: {id: CASE-7}, nextActionTime: "%s"}`, time), time)
		expectNoTime("CaseAssignment", fmt.Sprintf(`{case: {id: CASE-7}, appointment: {startTime: "%s", endTime: "2030-01-01T00:00:00Z"}}`, time), time)
		expectNoTime("CaseAssignment", fmt.Sprintf(`{case: {id: CASE-7}, appointment: {startTime: "2020-01-01T00:00:00Z", endTime: "%s"}}`, time), time)
	}, badTimes)
})
