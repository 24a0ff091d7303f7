package asterisk

import (
	"testing"

	"roster.dev/roster/internal/telephony/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }
