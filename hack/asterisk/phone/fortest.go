package phone

import (
	"os"
	"testing"
)

// ForTest starts a phone for one test, which takes it away at its end and prints its messages where the test failed.
// Dir is the test's. Without sipp the test is skipped, or fails where ROSTER_REQUIRE_ALL=1.
func ForTest(t testing.TB, config Config) *Phone {
	t.Helper()
	if err := Supported(); err != nil {
		if os.Getenv("ROSTER_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, NOT PROVEN WITH SIP PHONES: ", err)
	}
	config.Dir = t.TempDir()
	p, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the last messages of %s at %s:\n%s", config.User, p.Address(), p.lastMessages())
		}
	})
	return p
}

// lastMessages is the end of the messages file.
func (p *Phone) lastMessages() string {
	const most = 16 << 10
	content, err := os.ReadFile(p.Messages())
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-most):])
}
