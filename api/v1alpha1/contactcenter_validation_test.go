package v1alpha1_test

import (
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// contactCenterExample is the contract's example.
const contactCenterExample = `
telephony:
  type: AsteriskRealtime
  asteriskRealtime:
    database: {type: PostgreSQL, dsnSecretRef: {name: pbx-db, key: dsn}}
    managers:
    - name: pbx-1
      address: "pbx-1:5038"
      credentialsSecretRef: {name: pbx-ami}
      contactsTable: ps_contacts_1
      tls: {mode: Verify, caSecretRef: {name: pbx-ca, key: ca.crt}, serverName: pbx-1.acme.example}
    endpointTemplate: {transport: transport-wss, webrtc: "yes"}
    context: acme
management: Manage
adoption: Refuse
onReactivation: Readd
callsOnDeactivation: Drain
drainSeconds: 3600
separateOperators: Disabled
seats: 200
passwordPolicy: {minimumLength: 12, require: [Digit, Upper, Lower, Symbol]}
brake: {maximumPercent: 25, minimumCount: 5, windowSeconds: 600}
driftIntervalSeconds: 60
`

// contactCenter is a spec with further fields next to a database's, and next to the connection.
func contactCenter(realtime, policy string) string {
	if realtime != "" {
		realtime = ", " + realtime
	}
	if policy != "" {
		policy = ", " + policy
	}
	return `{telephony: {type: AsteriskRealtime, asteriskRealtime: {database: {type: SQLite, path: pbx.sqlite3}` + realtime + `}}` + policy + `}`
}

// managers is a spec with managers; each is what comes after credentials that are in order.
func managers(each ...string) string {
	for i := range each {
		each[i] = `{credentialsSecretRef: {name: ami}, ` + each[i] + `}`
	}
	return contactCenter(`managers: [`+strings.Join(each, ", ")+`]`, "")
}

// database is a spec with that database.
func database(fields string) string {
	return `{telephony: {type: AsteriskRealtime, asteriskRealtime: {database: ` + fields + `}}}`
}

var _ = Describe("ContactCenter", func() {
	It("is accepted with nothing but a database", func() {
		Expect(expectAccepted("ContactCenter", "default", contactCenter("", "")).Object["spec"]).To(Equal(map[string]any{
			"telephony": map[string]any{"type": "AsteriskRealtime", "asteriskRealtime": map[string]any{
				"database": map[string]any{"type": "SQLite", "path": "pbx.sqlite3"},
			}},
			"management": "Manage", "adoption": "Refuse", "onReactivation": "Readd",
			"callsOnDeactivation": "Drain", "drainSeconds": int64(3600), "separateOperators": "Disabled",
			"driftIntervalSeconds": int64(60),
		}))
	})

	It("fills in what a manager and a brake leave out", func() {
		spec := expectAccepted("ContactCenter", "default",
			contactCenter(`managers: [{name: pbx-1, address: "pbx-1:5038", credentialsSecretRef: {name: ami}, tls: {}}]`, `brake: {}`)).Object["spec"].(map[string]any)
		Expect(spec).To(HaveKeyWithValue("brake", Equal(map[string]any{
			"maximumPercent": int64(25), "minimumCount": int64(5), "windowSeconds": int64(600),
		})))
		Expect(spec["telephony"]).To(HaveKeyWithValue("asteriskRealtime", HaveKeyWithValue("managers", ConsistOf(And(
			HaveKeyWithValue("contactsTable", "ps_contacts"),
			HaveKeyWithValue("tls", HaveKeyWithValue("mode", "Verify")),
		)))))
	})

	It("does not change when it is applied again", func() {
		expectAppliedOnce("ContactCenter", "default", contactCenterExample)
	})

	It("does not change when it is applied again, with SQLite", func() {
		expectAppliedOnce("ContactCenter", "default", contactCenter(`managers: [{name: pbx-1, address: "pbx-1:5038", credentialsSecretRef: {name: ami}, tls: {}}]`, `brake: {}, passwordPolicy: {}`))
	})

	It("allows every column that kubectl explain lists for endpointTemplate", func() {
		columns := templateColumns()
		Expect(columns).To(ContainElements("transport", "webrtc", "media_encryption", "allow", "disallow"))
		Expect(columns).NotTo(ContainElement(BeElementOf("id", "aors", "auth", "callerid", "context", "mailboxes", "set_var")))
		for columns := range slices.Chunk(columns, 32) {
			expectAccepted("ContactCenter", "default", contactCenter(`endpointTemplate: {`+strings.Join(columns, `: "yes", `)+`: "yes"}`, ""))
		}
	})

	It("takes as much of everything as it says it takes", func() {
		expectAccepted("ContactCenter", "default", contactCenter(`
			managers: `+many(16, `{name: m%[1]d, address: "`+long(250)+`:5038", credentialsSecretRef: {name: `+long(253)+`}, contactsTable: ps_contacts`+long(50)+`%02[1]d}`)+`,
			endpointTemplate: {`+strings.Join(templateColumns()[:32], `: `+long(200)+`, `)+`: x}, context: `+long(40), ""))
	})

	DescribeTable("accepts", func(spec string) { expectAccepted("ContactCenter", "default", spec) },
		Entry("a file in a folder", database(`{type: SQLite, path: north/pbx_1.v2.sqlite3}`)),
		Entry("managers with a contacts table each",
			managers(`name: a, address: "a:5038"`, `name: b, address: "b:5038", contactsTable: ps_contacts_b`)),
		Entry("a manager by IPv4 address", managers(`name: a, address: "192.0.2.7:5038"`)),
		Entry("a manager by IPv6 address", managers(`name: a, address: "[2001:db8::7]:65535"`)),
		Entry("a certificate that is not checked", managers(`name: a, address: "a:5039", tls: {mode: SkipVerify}`)),
		Entry("no seat", contactCenter("", `seats: 0`)),
		Entry("no draining", contactCenter("", `drainSeconds: 0`)),
		Entry("a brake that holds everything", contactCenter("", `brake: {maximumPercent: 0, minimumCount: 0, windowSeconds: 1}`)),
		Entry("the other policies", contactCenter("", `management: Observe, adoption: Adopt, onReactivation: Restore, callsOnDeactivation: Hangup, separateOperators: Enabled`)),
	)

	It("refuses another name than default", func() {
		expectRefused("ContactCenter", "acme", contactCenter("", ""), "name the ContactCenter default: a namespace is one contact centre")
	})

	It("refuses an empty path", func() {
		expectRefused("ContactCenter", "default", database(`{type: SQLite, path: ""}`), "should be at least 1 chars long", "path is relative to the manager's data folder")
	})

	DescribeTable("refuses", func(spec, message string) { expectRefused("ContactCenter", "default", spec, message) },
		Entry("nothing", ``, "spec: Required value"),
		Entry("no telephone system", `{}`, "spec.telephony: Required value"),
		Entry("an unknown telephone system", `{telephony: {type: FreeSWITCH, asteriskRealtime: {database: {type: SQLite, path: a}}}}`, `supported values: "AsteriskRealtime"`),
		Entry("a telephone system without its connection", `{telephony: {type: AsteriskRealtime}}`,
			"telephony.type AsteriskRealtime needs telephony.asteriskRealtime with its database"),

		Entry("an unknown database", database(`{type: MySQL, path: a}`), `supported values: "PostgreSQL", "SQLite"`),
		Entry("PostgreSQL without a connection string", database(`{type: PostgreSQL}`), "database.type PostgreSQL needs dsnSecretRef and takes no path"),
		Entry("PostgreSQL with a path", database(`{type: PostgreSQL, dsnSecretRef: {name: a, key: dsn}, path: a}`), "database.type PostgreSQL needs dsnSecretRef and takes no path"),
		Entry("SQLite without a path", database(`{type: SQLite}`), "database.type SQLite needs path and takes no dsnSecretRef"),
		Entry("SQLite with a connection string", database(`{type: SQLite, path: a, dsnSecretRef: {name: a, key: dsn}}`), "database.type SQLite needs path and takes no dsnSecretRef"),
		Entry("a connection string from a Secret that cannot exist", database(`{type: PostgreSQL, dsnSecretRef: {name: PBX, key: dsn}}`), "write the Secret's name as Kubernetes has it"),
		Entry("a path that leaves the data folder", database(`{type: SQLite, path: ../pbx.sqlite3}`), "path is relative to the manager's data folder"),
		Entry("a path that leaves the data folder in the middle", database(`{type: SQLite, path: a/../../pbx.sqlite3}`), "path is relative to the manager's data folder"),
		Entry("a path from the root", database(`{type: SQLite, path: /var/lib/pbx.sqlite3}`), "path is relative to the manager's data folder"),
		Entry("a path with options", database(`{type: SQLite, path: "pbx.sqlite3?mode=memory"}`), "path is relative to the manager's data folder"),
		Entry("a path that is a folder", database(`{type: SQLite, path: pbx/}`), "path is relative to the manager's data folder"),

		Entry("two managers of one name", managers(`name: a, address: "a:5038"`, `name: a, address: "b:5038", contactsTable: ps_contacts_b`), "managers[1]: Duplicate value"),
		Entry("two managers on one contacts table", managers(`name: a, address: "a:5038", contactsTable: ps_contacts_1`, `name: b, address: "b:5038", contactsTable: ps_contacts_1`),
			"give each of the managers a contactsTable of its own"),
		Entry("two managers on the default contacts table", managers(`name: a, address: "a:5038"`, `name: b, address: "b:5038"`), "give each of the managers a contactsTable of its own"),
		Entry("a contacts table that is another", managers(`name: a, address: "a:5038", contactsTable: ps_auths`), "a contacts table's name begins with ps_contacts"),
		Entry("a contacts table that is SQL", managers(`name: a, address: "a:5038", contactsTable: "ps_contacts; drop table ps_auths"`), "a contacts table's name begins with ps_contacts"),
		Entry("a manager without an address", managers(`name: a`), "managers[0].address: Required value"),
		Entry("a manager without a port", managers(`name: a, address: pbx-1`), "write host:port, such as pbx-1:5038"),
		Entry("a manager at a port beyond the last", managers(`name: a, address: "pbx-1:65536"`), "write host:port, such as pbx-1:5038"),
		Entry("a manager at port 0", managers(`name: a, address: "pbx-1:0"`), "write host:port, such as pbx-1:5038"),
		Entry("a manager at a web address", managers(`name: a, address: "http://pbx-1:5038"`), "write host:port, such as pbx-1:5038"),
		Entry("a manager without credentials", contactCenter(`managers: [{name: a, address: "a:5038"}]`, ""), "credentialsSecretRef: Required value"),
		Entry("credentials from a Secret that cannot exist", contactCenter(`managers: [{name: a, address: "a:5038", credentialsSecretRef: {name: a_b}}]`, ""),
			"write the Secret's name as Kubernetes has it"),
		Entry("an unknown mode of TLS", managers(`name: a, address: "a:5038", tls: {mode: None}`), `supported values: "Verify", "SkipVerify"`),
		Entry("too many managers", contactCenter(`managers: `+many(17, `{name: m%[1]d, address: "m:5038", credentialsSecretRef: {name: ami}, contactsTable: ps_contacts_%[1]d}`), ""),
			"must have at most 16 items"),

		Entry("a template with a password", contactCenter(`endpointTemplate: {auth: ""}`, ""), "keep to the columns that kubectl explain"),
		Entry("a template with a context", contactCenter(`endpointTemplate: {transport: t, context: outbound}`, ""), "keep to the columns that kubectl explain"),
		Entry("a template with a column that is SQL", contactCenter(`endpointTemplate: {"webrtc = 'no', auth": x}`, ""), "keep to the columns that kubectl explain"),
		Entry("a template with a line break", contactCenter(`endpointTemplate: {language: "it\nauth=x"}`, ""), "leave out control characters"),
		Entry("a template with yes without quotes", contactCenter(`endpointTemplate: {webrtc: yes}`, ""), `must be of type string: "boolean"`),
		Entry("too large a template", contactCenter(`endpointTemplate: {`+strings.Join(templateColumns()[:33], `: x, `)+`: x}`, ""), "must have at most 32"),
		Entry("a context with a space", contactCenter(`context: from internal`, ""), "a dialplan context is letters, digits, '-' and '_'"),
		Entry("the context of refused phones", contactCenter(`context: roster-refused`, ""), "and not roster-refused"),

		Entry("an unknown management", contactCenter("", `management: Stop`), `supported values: "Manage", "Observe"`),
		Entry("an unknown adoption", contactCenter("", `adoption: Always`), `supported values: "Refuse", "Adopt"`),
		Entry("an unknown policy for reactivation", contactCenter("", `onReactivation: Never`), `supported values: "Readd", "Restore"`),
		Entry("an unknown policy for calls", contactCenter("", `callsOnDeactivation: Wait`), `supported values: "Drain", "Hangup"`),
		Entry("an unknown separateOperators", contactCenter("", `separateOperators: "Yes"`), `supported values: "Enabled", "Disabled"`),
		Entry("draining for days", contactCenter("", `drainSeconds: 86401`), "should be less than or equal to 86400"),
		Entry("draining for less than no time", contactCenter("", `drainSeconds: -1`), "should be greater than or equal to 0"),
		Entry("less than no seats", contactCenter("", `seats: -1`), "should be greater than or equal to 0"),
		Entry("seats beyond what is counted", contactCenter("", `seats: 1000001`), "should be less than or equal to 1000000"),
		Entry("passwords of no length", contactCenter("", `passwordPolicy: {minimumLength: 0}`), "should be greater than or equal to 1"),
		Entry("passwords longer than phones take", contactCenter("", `passwordPolicy: {minimumLength: 65}`), "should be less than or equal to 64"),
		Entry("passwords of an unknown class", contactCenter("", `passwordPolicy: {require: [Emoji]}`), `supported values: "Digit", "Upper", "Lower", "Symbol"`),
		Entry("passwords with a class twice", contactCenter("", `passwordPolicy: {require: [Digit, Digit]}`), "require[1]: Duplicate value"),
		Entry("a brake at more than all", contactCenter("", `brake: {maximumPercent: 101}`), "should be less than or equal to 100"),
		Entry("a brake at less than none", contactCenter("", `brake: {maximumPercent: -1}`), "should be greater than or equal to 0"),
		Entry("a brake that lets less than none go", contactCenter("", `brake: {minimumCount: -1}`), "should be greater than or equal to 0"),
		Entry("a brake without a window", contactCenter("", `brake: {windowSeconds: 0}`), "should be greater than or equal to 1"),
		Entry("drift looked for without rest", contactCenter("", `driftIntervalSeconds: 0`), "should be greater than or equal to 1"),
		Entry("drift looked for too seldom", contactCenter("", `driftIntervalSeconds: 86401`), "should be less than or equal to 86400"),
	)
})
