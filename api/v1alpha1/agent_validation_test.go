package v1alpha1_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// agentExample is the contract's example.
const agentExample = `
displayName: Alice Martin
email: alice@acme.example
employeeID: E-1042
role: CustomerService
state: Active
onReactivation: Readd
reinstated: [{kind: Team, name: billing, time: "2027-02-01T09:00:00Z"}]
employment: {startTime: "2026-12-01T08:00:00Z", endTime: "2027-12-01T18:00:00Z"}
leaves:
- {startTime: "2026-12-20T00:00:00Z", endTime: "2027-01-07T00:00:00Z", reason: Vacation, backup: bob-lee}
license: Seat
timeZone: Europe/Rome
locale: it-IT
contact: {phone: "+390612345", mobile: "+39333000111"}
attributes: {costCentre: "4711"}
signature: "Alice, ACME support"
photo: {configMapKeyRef: {name: photos, key: alice.png}}
workspaces: [emea]
skills: [{name: billing, level: 3}]
endpoint:
  extension: "1001"
  passwordSecretRef: {name: alice-sip, key: password}
  voicemail: {mailbox: "1001", pinSecretRef: {name: alice-sip, key: pin}}
`

// agentFull has as much of everything as an Agent may have.
func agentFull() string {
	return `
displayName: ` + long(256) + `
email: ` + long(200) + `@` + long(53) + `
employeeID: ` + long(64) + `
reinstated: ` + many(256, `{kind: Queue, name: `+long(59)+`%04d, time: "2027-02-01T09:00:00Z"}`) + `
leaves: ` + many(64, `{startTime: "2026-12-20T00:00:00Z", endTime: "2027-01-07T00:00:00Z", backup: `+long(38)+`%02d}`) + `
attributes: ` + manyKeys(64, long(59)+`%04d: `+long(256)) + `
signature: ` + long(1024) + `
workspaces: ` + many(64, long(59)+`%04d`) + `
skills: ` + many(64, `{name: `+long(59)+`%04d, level: 10}`) + `
`
}

var _ = Describe("Agent", func() {
	It("is accepted with nothing but a name, as a person with a phone", func() {
		Expect(expectAccepted("Agent", "alice", "").Object["spec"]).To(Equal(map[string]any{
			"role": "CustomerService", "state": "Active", "license": "Seat",
		}))
	})

	It("fills in what leaves and skills leave out", func() {
		spec := expectAccepted("Agent", "alice", `{skills: [{name: billing}], leaves: [{startTime: "2026-12-20T00:00:00Z"}]}`).Object["spec"]
		Expect(spec).To(HaveKeyWithValue("skills", ConsistOf(HaveKeyWithValue("level", BeEquivalentTo(1)))))
		Expect(spec).To(HaveKeyWithValue("leaves", ConsistOf(HaveKeyWithValue("reason", "Other"))))
	})

	It("does not change when it is applied again", func() {
		expectAppliedOnce("Agent", "alice-martin", agentExample)
		expectAppliedOnce("Agent", "empty", "{}")
	})

	It("takes as much of everything as it says it takes", func() {
		expectAccepted("Agent", long(40), agentFull())
	})

	DescribeTable("C4: knows five roles", func(role string) {
		expectAppliedOnce("Agent", "role", `{role: `+role+`}`)
	},
		Entry(nil, "CustomerService"),
		Entry(nil, "TeamSupervisor"),
		Entry(nil, "TeamLeader"),
		Entry(nil, "CallCenterSupervisor"),
		Entry(nil, "CallCenterManager"),
	)

	It("C7: has skills, with levels", func() {
		expectAppliedOnce("Agent", "skilled", `{skills: [{name: billing, level: 3}, {name: dutch, level: 10}, {name: refunds}]}`)
	})

	It("S5: belongs to workspaces", func() {
		expectAppliedOnce("Agent", "worker", `{workspaces: [emea, apac]}`)
	})

	It("S10: has a signature, of several lines", func() {
		expectAppliedOnce("Agent", "signer", `{signature: "Alice, ACME support\nWe never ask for your password."}`)
	})

	It("keeps a profile: names, contact data, employee number, further attributes", func() {
		expectAppliedOnce("Agent", "profiled", `
displayName: "Zoë O'Neill-Łukasz (地球)"
email: zoe+acme@mail.acme.example
employeeID: "0042/b"
contact: {phone: "(06) 123-45.6/7", mobile: "+39 333 000 111"}
attributes: {costCentre: "4711", "shirt size": ""}
`)
	})

	DescribeTable("accepts", func(name, spec string) { expectAccepted("Agent", name, spec) },
		Entry("a name of one letter", "a", ``),
		Entry("a name of digits", "1001", ``),
		Entry("a name of 40 characters", long(40), ``),
		Entry("employment without an end", "alice", `{employment: {startTime: "2026-12-01T08:00:00Z"}}`),
		Entry("employment without a start", "alice", `{employment: {endTime: "2026-12-01T08:00:00Z"}}`),
		Entry("employment in different zones, in order as moments", "alice",
			`{employment: {startTime: "2026-12-01T08:00:00+02:00", endTime: "2026-12-01T07:30:00+01:00"}}`),
		Entry("times with fractions of a second", "alice", `{employment: {startTime: "2026-12-01T08:00:00.123Z"}}`),
		Entry("a leave that lasts until it is edited", "alice", `{leaves: [{startTime: "2026-12-20T00:00:00Z"}]}`),
		Entry("overlapping leaves", "alice",
			`{leaves: [{startTime: "2026-12-20T00:00:00Z", endTime: "2026-12-22T00:00:00Z"}, {startTime: "2026-12-21T00:00:00Z"}]}`),
		Entry("an extension of 2 digits", "alice", `{endpoint: {extension: "10"}}`),
		Entry("an extension of 10 digits", "alice", `{endpoint: {extension: "0123456789"}}`),
		Entry("a team and a queue of one name, reinstated", "alice",
			`{reinstated: [{kind: Team, name: x, time: "2027-02-01T09:00:00Z"}, {kind: Queue, name: x, time: "2027-02-01T09:00:00Z"}]}`),
		Entry("a time zone of one part", "alice", `{timeZone: UTC}`),
		Entry("a time zone of three parts", "alice", `{timeZone: America/Argentina/Buenos_Aires}`),
		Entry("a locale with a script", "alice", `{locale: zh-Hant-TW}`),
		Entry("a Secret with dots in its name", "alice", `{endpoint: {passwordSecretRef: {name: alice.sip, key: password}}}`),
	)

	DescribeTable("refuses a name", func(name, message string) { expectRefused("Agent", name, "", message) },
		Entry("of 41 characters", long(41), "name an Agent with at most 40 lower-case letters, digits and '-'"),
		Entry("with a dot", "alice.martin", "name an Agent with at most 40 lower-case letters, digits and '-'"),
		Entry("that Asterisk takes for everybody", "anonymous", "choose another name"),
	)

	It("refuses a name with capitals, as Kubernetes does", func() {
		expectRefused("Agent", "Alice", "", "must consist of lower case alphanumeric characters", "name an Agent with at most 40 lower-case letters")
	})

	DescribeTable("refuses", func(spec, message string) { expectRefused("Agent", "alice", spec, message) },
		Entry("a displayName that would end a caller id", `{displayName: 'Alice <1001>'}`, `leave out control characters and " < > ; ^`),
		Entry("a displayName with a quote", `{displayName: 'Alice "Al" Martin'}`, `leave out control characters and " < > ; ^`),
		Entry("a displayName with a semicolon", `{displayName: 'Alice; Martin'}`, `leave out control characters and " < > ; ^`),
		Entry("a displayName with a caret", `{displayName: 'Alice^Martin'}`, `leave out control characters and " < > ; ^`),
		Entry("a displayName with a line break", `{displayName: "Alice\nMartin"}`, `leave out control characters and " < > ; ^`),
		Entry("a displayName with a NUL", `{displayName: "Alice\0Martin"}`, `leave out control characters and " < > ; ^`),
		Entry("an empty displayName", `{displayName: ""}`, "should be at least 1 chars long"),
		Entry("a displayName that is too long", `{displayName: `+long(257)+`}`, "may not be more than 256"),
		Entry("an email that is none", `{email: alice}`, "write an e-mail address, such as alice@acme.example"),
		Entry("an email with a line break", `{email: "alice@acme.example\nBcc: bob@acme.example"}`, "write an e-mail address"),
		Entry("an employeeID with a NUL", `{employeeID: "E\0"}`, "leave out control characters"),
		Entry("an unknown role", `{role: Boss}`, `supported values: "CustomerService", "TeamSupervisor", "TeamLeader", "CallCenterSupervisor", "CallCenterManager"`),
		Entry("an unknown state", `{state: deactivated}`, `supported values: "Active", "Deactivated"`),
		Entry("an unknown policy for reactivation", `{onReactivation: Keep}`, `supported values: "Readd", "Restore"`),
		Entry("an unknown license", `{license: Half}`, `supported values: "Seat", "None"`),
		Entry("a time zone that is none", `{timeZone: "+02:00"}`, "write a time zone by its IANA name, such as Europe/Rome"),
		Entry("a locale that is none", `{locale: it_IT.UTF-8}`, "write a locale as a language tag, such as it-IT"),
		Entry("a phone in letters", `{contact: {phone: ask Bob}}`, "write a telephone number in digits"),
		Entry("a mobile without digits", `{contact: {mobile: "(---)"}}`, "write a telephone number in digits"),
		Entry("an attribute whose name is too long", `{attributes: {`+long(64)+`: x}}`, "give each attribute a name of 1 to 63 characters"),
		Entry("an attribute without a name", `{attributes: {"": x}}`, "give each attribute a name of 1 to 63 characters"),
		Entry("an attribute that is no string", `{attributes: {costCentre: 4711}}`, "must be of type string"),
		Entry("a signature that is too long", `{signature: `+long(1025)+`}`, "may not be more than 1024"),
		Entry("a photo from nowhere", `{photo: {}}`, "spec.photo.configMapKeyRef: Required value"),
		Entry("a photo from a ConfigMap that cannot exist", `{photo: {configMapKeyRef: {name: ../photos, key: alice.png}}}`,
			"write the ConfigMap's name as Kubernetes has it"),
		Entry("a workspace twice", `{workspaces: [emea, emea]}`, "spec.workspaces[1]: Duplicate value"),
		Entry("a skill twice", `{skills: [{name: billing}, {name: billing, level: 2}]}`, "spec.skills[1]: Duplicate value"),
		Entry("a skill of level 0", `{skills: [{name: billing, level: 0}]}`, "should be greater than or equal to 1"),
		Entry("a skill of level 11", `{skills: [{name: billing, level: 11}]}`, "should be less than or equal to 10"),
		Entry("a skill with a name for people", `{skills: [{name: Billing and more}]}`, "write a name of lower-case letters, digits and '-'"),

		Entry("employment that ends before it begins", `{employment: {startTime: "2026-12-01T08:00:00Z", endTime: "2026-11-01T08:00:00Z"}}`,
			"employment.endTime must be after employment.startTime"),
		Entry("employment that ends as it begins", `{employment: {startTime: "2026-12-01T08:00:00Z", endTime: "2026-12-01T09:00:00+01:00"}}`,
			"employment.endTime must be after employment.startTime"),
		Entry("a leave that ends before it begins", `{leaves: [{startTime: "2026-12-20T00:00:00Z", endTime: "2026-12-19T00:00:00Z"}]}`,
			"a leave's endTime must be after its startTime"),
		Entry("a leave without a start", `{leaves: [{endTime: "2026-12-19T00:00:00Z"}]}`, "spec.leaves[0].startTime: Required value"),
		Entry("a leave for an unknown reason", `{leaves: [{startTime: "2026-12-20T00:00:00Z", reason: Holiday}]}`,
			`supported values: "Vacation", "SickLeave", "Escalation", "Backup", "Training", "Other"`),
		Entry("a person as their own backup", `{leaves: [{startTime: "2026-12-20T00:00:00Z", backup: alice}]}`,
			"name somebody else in leaves[].backup"),
		Entry("a backup whose name no Agent can have", `{leaves: [{startTime: "2026-12-20T00:00:00Z", backup: Bob Lee}]}`,
			"write an Agent's name as it is declared"),

		Entry("an extension of 1 digit", `{endpoint: {extension: "1"}}`, `write 2 to 10 digits, such as "1001"`),
		Entry("an extension of 11 digits", `{endpoint: {extension: "12345678901"}}`, `write 2 to 10 digits, such as "1001"`),
		Entry("an extension with letters", `{endpoint: {extension: "10o1"}}`, `write 2 to 10 digits, such as "1001"`),
		Entry("an extension without quotes", `{endpoint: {extension: 1001}}`, `must be of type string: "integer"`),
		Entry("a mailbox that is none", `{endpoint: {voicemail: {mailbox: alice, pinSecretRef: {name: a, key: pin}}}}`, `write 2 to 10 digits`),
		Entry("a mailbox without a PIN", `{endpoint: {voicemail: {mailbox: "1001"}}}`, "pinSecretRef: Required value"),
		Entry("a password from a Secret that cannot exist", `{endpoint: {passwordSecretRef: {name: alice/sip, key: password}}}`,
			"write the Secret's name as Kubernetes has it"),
		Entry("a password without a key", `{endpoint: {passwordSecretRef: {name: alice-sip}}}`, "passwordSecretRef.key: Required value"),

		Entry("an entry reinstated twice",
			`{reinstated: [{kind: Team, name: x, time: "2027-02-01T09:00:00Z"}, {kind: Team, name: x, time: "2027-03-01T09:00:00Z"}]}`,
			"spec.reinstated[1]: Duplicate value"),
		Entry("a group reinstated, which is never revoked", `{reinstated: [{kind: Group, name: x, time: "2027-02-01T09:00:00Z"}]}`,
			`supported values: "Team", "Queue"`),
		Entry("a reinstatement without a time", `{reinstated: [{kind: Team, name: x}]}`, "spec.reinstated[0].time: Required value"),

		Entry("too many leaves", `{leaves: `+many(65, `{startTime: "2026-12-20T00:00:00Z", backup: b%d}`)+`}`,
			"must have at most 64 items"),
		Entry("too many skills", `{skills: `+many(65, `{name: s%d}`)+`}`, "must have at most 64 items"),
		Entry("too many workspaces", `{workspaces: `+many(65, `w%d`)+`}`, "must have at most 64 items"),
		Entry("too many attributes", `{attributes: `+manyKeys(65, `a%d: x`)+`}`, "must have at most 64"),
		Entry("too many reinstatements", `{reinstated: `+many(257, `{kind: Team, name: t%d, time: "2027-02-01T09:00:00Z"}`)+`}`, "must have at most 256 items"),
	)

	DescribeTable("refuses a time that is none", func(time string) {
		for _, spec := range []string{
			`{employment: {startTime: "%s"}}`,
			`{employment: {endTime: "%s"}}`,
			`{leaves: [{startTime: "%s"}]}`,
			`{leaves: [{startTime: "2020-01-01T00:00:00Z", endTime: "%s"}]}`,
			`{reinstated: [{kind: Team, name: x, time: "%s"}]}`,
		} {
			expectNoTime("Agent", fmt.Sprintf(spec, time), time)
		}
	}, badTimes)
})
