package phone

import "testing"

func TestCaller(t *testing.T) {
	for _, test := range []struct{ from, name, number string }{
		{`"Alice Martin" <sip:1001@127.0.0.1>;tag=1`, "Alice Martin", "1001"},
		{`"Al \"the\\one\"" <sip:1001@127.0.0.1>`, `Al "the\one"`, "1001"},
		{`Alice Martin <sip:1001@127.0.0.1:5060;transport=udp>;tag=1`, "Alice Martin", "1001"},
		{`<sip:1001@127.0.0.1>;tag=1`, "", "1001"},
		{`sip:1001@127.0.0.1;tag=1`, "", "1001"},
		{`"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1`, "Anonymous", "anonymous"},
		{`<sip:127.0.0.1>;tag=1`, "", ""},
	} {
		if name, number := caller(test.from); name != test.name || number != test.number {
			t.Errorf("%s: %q, %q instead of %q, %q", test.from, name, number, test.name, test.number)
		}
	}
}

// What sipp logs becomes what a call tells, also where it comes twice or too late.
func TestEvents(t *testing.T) {
	p := &Phone{calls: map[string]*Call{}, answers: map[string]chan string{}, changed: make(chan struct{}), handling: Ring()}
	out, refused := newCall(p, "out", Outgoing), newCall(p, "refused", Outgoing)
	p.calls["out"], p.calls["refused"] = out, refused
	for _, event := range [][3]string{
		{"ringing", "out"}, {"ringing", "out"}, {"answered", "out"}, {"ended", "out", "here"}, {"ended", "out", "there"},
		{"refused", "refused", "486"}, {"ended", "unknown", "here"},
	} {
		p.happened(event[0], event[1], event[2])
	}
	for what, told := range map[string]<-chan struct{}{"ringing": out.Ringing(), "answered": out.Answered(), "ended": out.Ended(), "refused": refused.Ended()} {
		select {
		case <-told:
		default:
			t.Errorf("%s is not told", what)
		}
	}
	if out.Status() != 200 || out.EndedBy() != Here {
		t.Errorf("the call has status %d and was ended by %s", out.Status(), out.EndedBy())
	}
	if refused.Status() != 486 || refused.EndedBy() != There {
		t.Errorf("the refused call has status %d and was ended by %s", refused.Status(), refused.EndedBy())
	}
}
