package phone

import (
	"bytes"
	_ "embed"
	"fmt"
	"os/exec"
	"strings"
	"text/template"
)

// Supported says why phones cannot be had on this machine, and how they can; nil where they can.
func Supported() error {
	if _, err := exec.LookPath("sipp"); err != nil {
		return fmt.Errorf("SIP phones need sipp (Debian: apt-get install sip-tester): %w", err)
	}
	return nil
}

//go:embed scenario.xml.tmpl
var scenarioText string

// refusals are the final answers that refuse a request. To sipp each is a message of its own.
var refusals = []int{
	300, 301, 302, 305, 380,
	400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 413, 414, 415, 416, 420, 421, 422, 423, 429, 433, 436, 437, 438,
	480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 494,
	500, 501, 502, 503, 504, 505, 513, 580,
	600, 603, 604, 606, 607,
}

// scenario is what sipp runs.
func scenario() ([]byte, error) {
	parsed, err := template.New("scenario").Parse(scenarioText)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, map[string]any{"Refusals": refusals}); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// method of an order to sipp. No server sends these.
type method string

const (
	orderReady   method = "READY"
	orderEnroll  method = "ENROLL"
	orderDial    method = "DIAL"
	orderRing    method = "RING"
	orderAnswer  method = "ANSWER"
	orderBusy    method = "BUSY"
	orderDecline method = "DECLINE"
	orderHangUp  method = "HANGUP"
)

// order is a datagram that sipp takes for a SIP request of a call. Each has its own serial number: one that is like
// the one before would be taken for a retransmission.
func order(m method, callID string, serial int64, headers ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s sip:phone SIP/2.0\r\n", m)
	fmt.Fprintf(&b, "Via: SIP/2.0/UDP order;branch=z9hG4bK-order-%d\r\n", serial)
	fmt.Fprintf(&b, "From: <sip:order>;tag=order\r\nTo: <sip:phone>\r\n")
	fmt.Fprintf(&b, "Call-ID: %s\r\nCSeq: 1 %s\r\n", callID, m)
	for _, header := range headers {
		b.WriteString(header + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String())
}
