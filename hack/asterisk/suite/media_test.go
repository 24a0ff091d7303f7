//go:build pbx

package suite

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"roster.dev/roster/hack/asterisk/phone"
)

// The phones of sipp are mute. What is here gives one a voice and keys: Asterisk ends a session that listens only when
// the next packet of the call comes by, and records no silence.

const (
	sampleRate = 8000
	packetTime = 20 * time.Millisecond
	packetSize = int(sampleRate * packetTime / time.Second)
	pcma       = 8
	keyTime    = 300 * time.Millisecond
)

var (
	mediaAddress = regexp.MustCompile(`(?m)^c=IN IP4 (\S+)\r?$`)
	mediaPort    = regexp.MustCompile(`(?m)^m=audio (\d+) `)
)

// sdpOf is the server's first message of a call that says where it takes media. Later ones may name the other phone: the
// server lets two phones send to each other while nobody listens.
func sdpOf(p *phone.Phone, call *phone.Call) string {
	content, err := os.ReadFile(p.Messages())
	if err != nil {
		return ""
	}
	for m := range strings.SplitSeq(string(content), "\n----------------") {
		if strings.Contains(m, " received ") && strings.Contains(m, call.ID()) && mediaPort.MatchString(m) && mediaAddress.MatchString(m) {
			return m
		}
	}
	return ""
}

// speak has a phone send sound in a call, until the spec ends.
func speak(p *phone.Phone, call *phone.Call) {
	GinkgoHelper()
	var message string
	Eventually(func() string { message = sdpOf(p, call); return message }).ShouldNot(BeEmpty(), "the server's media address")
	to, err := net.ResolveUDPAddr("udp", net.JoinHostPort(
		mediaAddress.FindStringSubmatch(message)[1], mediaPort.FindStringSubmatch(message)[1]))
	Expect(err).NotTo(HaveOccurred())
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: p.Address().Addr().AsSlice()}, to)
	Expect(err).NotTo(HaveOccurred())
	done := make(chan struct{})
	DeferCleanup(func() { close(done) })
	go func() {
		defer func() { _ = conn.Close() }()
		ticker := time.NewTicker(packetTime)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-ticker.C:
				_, _ = conn.Write(packet(n)) // of a call that is over nobody takes any
			}
		}
	}()
}

// packet is the nth RTP packet of a loud tone, in A-law, which comes before µ-law in what Roster allows.
func packet(n int) []byte {
	at := n * packetSize
	b := append(make([]byte, 0, 12+packetSize), 2<<6, pcma, byte(n>>8), byte(n),
		byte(at>>24), byte(at>>16), byte(at>>8), byte(at), 'r', 's', 't', 'r')
	for i := range packetSize {
		level := byte(0x90)
		if i/10%2 == 0 { // 400 Hz
			level = 0x10
		}
		b = append(b, level)
	}
	return b
}

// headerOf is a header's value.
func headerOf(message, name string) string {
	if m := regexp.MustCompile(`(?mi)^` + name + `:\s*(.*?)\r?$`).FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// keys are a phone's keys in a call that it made.
type keys struct {
	phone *phone.Phone
	call  *phone.Call
	conn  *net.UDPConn
	// next is the number of the next message; the phone itself has taken 1 and 2, and hangs up with 10.
	next int
}

// keysOf are the keys in a call.
func keysOf(p *phone.Phone, call *phone.Call) *keys {
	GinkgoHelper()
	Eventually(func() string { return sdpOf(p, call) }).ShouldNot(BeEmpty())
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: p.Address().Addr().AsSlice()})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return &keys{phone: p, call: call, conn: conn, next: 3}
}

// press presses keys one after the other, as slowly as a hand does: the server takes one for as long as it lasts.
func (k *keys) press(digits string) {
	GinkgoHelper()
	answer := sdpOf(k.phone, k.call)
	value := func(name string) string { return headerOf(answer, name) }
	target := strings.Trim(value("Contact"), "<>")
	host := regexp.MustCompile(`@?([\d.]+:\d+)`).FindStringSubmatch(target)[1]
	to, err := net.ResolveUDPAddr("udp", host)
	Expect(err).NotTo(HaveOccurred())
	pace := time.NewTicker(keyTime)
	defer pace.Stop()
	for i, digit := range digits {
		if i > 0 {
			<-pace.C
		}
		Expect(k.next).To(BeNumerically("<", 10), "too many keys for one call")
		body := fmt.Sprintf("Signal=%c\r\nDuration=160\r\n", digit)
		message := fmt.Sprintf("INFO %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK-%s-key-%d\r\nMax-Forwards: 70\r\n"+
			"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d INFO\r\nContent-Type: application/dtmf-relay\r\nContent-Length: %d\r\n\r\n%s",
			target, k.conn.LocalAddr(), k.call.ID(), k.next, value("From"), value("To"), k.call.ID(), k.next, len(body), body)
		Expect(k.conn.SetDeadline(time.Now().Add(5 * time.Second))).To(Succeed())
		_, err := k.conn.WriteToUDP([]byte(message), to)
		Expect(err).NotTo(HaveOccurred())
		reply := make([]byte, 4096)
		n, err := k.conn.Read(reply)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(reply[:n])).To(HavePrefix("SIP/2.0 200"))
		k.next++
	}
}
