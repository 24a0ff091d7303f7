package lab

import "testing"

func TestGiven(t *testing.T) {
	t.Setenv("ROSTER_TEST_ASTERISK", "")
	if servers, err := Given(); err != nil || servers != nil {
		t.Errorf("with nothing given: %v, %v", servers, err)
	}
	t.Setenv("ROSTER_TEST_ASTERISK", "10.0.0.1:5038, pbx:5038")
	t.Setenv("ROSTER_TEST_ASTERISK_USER", "roster")
	t.Setenv("ROSTER_TEST_ASTERISK_SECRET", "")
	if _, err := Given(); err == nil {
		t.Error("servers without a secret are taken")
	}
	t.Setenv("ROSTER_TEST_ASTERISK_SECRET", "s3cret")
	servers, err := Given()
	if err != nil || len(servers) != 2 {
		t.Fatalf("%v, %v", servers, err)
	}
	if s := servers[1]; s.AMIAddress != "pbx:5038" || s.Username != "roster" || s.Password != "s3cret" || s.Name != "pbx-2" {
		t.Errorf("the second is %+v", s)
	}
}

func TestEscape(t *testing.T) {
	if got := escape("a;b=c"); got != `a\;b=c` {
		t.Errorf("got %q", got)
	}
}
