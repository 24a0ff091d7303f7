package asterisk

import (
	"slices"
	"strings"
	"testing"
)

// enumerations are those columns of Asterisk's migrations that are of enumerated types on PostgreSQL.
var enumerations = map[string][]string{
	"queue_strategy_values":  {"ringall", "leastrecent", "fewestcalls", "random", "rrmemory", "linear", "wrandom", "rrordered"},
	"yesno_values":           {"yes", "no"},
	"ast_bool_values":        {"0", "1", "off", "on", "false", "true", "no", "yes"},
	"pjsip_auth_type_values": {"md5", "userpass", "google_oauth"},
	"pjsip_dtmf_mode_values": {"rfc4733", "inband", "info", "auto", "auto_info"},
}

var enumerated = map[string]string{
	"queues.strategy": "queue_strategy_values", "queues.ringinuse": "yesno_values",
	"ps_auths.auth_type": "pjsip_auth_type_values", "ps_endpoints.dtmf_mode": "pjsip_dtmf_mode_values",
}

// asteriskMigrations makes Asterisk's tables as its migrations do on PostgreSQL: enumerated types, and a
// queue_members.uniqueid that is required and has no default.
func asteriskMigrations(t *testing.T) string {
	t.Helper()
	var script strings.Builder
	for name, values := range enumerations {
		script.WriteString("CREATE TYPE " + name + " AS ENUM ('" + strings.Join(values, "', '") + "');\n")
	}
	types := (&postgresDialect{}).types()
	types["bool"], types["counter"] = "ast_bool_values", "INTEGER"
	for name, table := range asteriskTables {
		for _, statement := range table.statements(name, types) {
			script.WriteString(statement + ";\n")
		}
	}
	columns := make([]string, 0, len(enumerated))
	for column := range enumerated {
		columns = append(columns, column)
	}
	slices.Sort(columns)
	for _, c := range columns {
		table, column, _ := strings.Cut(c, ".")
		script.WriteString("ALTER TABLE " + table + " ALTER COLUMN " + column + " TYPE " + enumerated[c] + " USING " + column + "::text::" + enumerated[c] + ";\n")
	}
	script.WriteString("DROP INDEX queue_members_interface;\n")
	return script.String()
}
