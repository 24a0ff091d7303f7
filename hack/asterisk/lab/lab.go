// Package lab runs real Asterisk servers for tests and for developers: each in a root filesystem of its own
// version, on a loopback address of its own, with the configuration that config/asterisk ships.
package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Ports of every server, on its own address.
const (
	amiPort    = 5038
	amiTLSPort = 5039
	sipPort    = 5060
	// claimPort is held open while a server has the address.
	claimPort = 5037
)

// bootTime is how long an Asterisk may take to start where the context does not say.
const bootTime = time.Minute

// Options say which server to start. One of SQLite and PostgreSQL is required.
type Options struct {
	// Version is "22", the default, or "16".
	Version string
	// Name of the server; pbx-1 where empty.
	Name string
	// SQLite is the absolute path of the database file. It must exist: Roster makes it.
	SQLite string
	// PostgreSQL is a connection string of a database at an address that this machine reaches by TCP.
	PostgreSQL string
	// Centers are the contact centres, each with a dialplan context of its name; acme where empty. What follows a
	// comma is how the country writes numbers: "acme,49,0".
	Centers []string
	// Trunk is the dialplan context of calls from phones of Outside, who are shown with the name that they call as. Nobody
	// may call from there where it is empty.
	Trunk string
	// Local is what is added to the files that are there to be edited, by name.
	Local map[string]string
	// ContactsTable of this server; ps_contacts where empty.
	ContactsTable string
	// TLS opens a second AMI port, with a certificate of CACert for the server's address and name.
	TLS bool
	// Folder for the server's files, which stay; a temporary one, removed by Close, where empty.
	Folder string
	// Address is a loopback IP address; a free one where empty.
	Address string
}

// Server is an Asterisk that was started.
type Server struct {
	Name, Version string
	// IP is the server's own loopback address.
	IP string
	// AMIAddress, AMITLSAddress (empty without TLS) and SIPAddress (UDP) are host:port.
	AMIAddress, AMITLSAddress, SIPAddress string
	// Username and Password of the manager interface.
	Username, Password string
	// CACert is what the certificate of AMITLSAddress is checked with, as PEM.
	CACert []byte

	folder    string
	temporary bool
	root      string // of the root filesystem
	data      string // folder of the SQLite file; empty for none
	claim     net.Listener

	mu      sync.Mutex
	process *process
}

// Start starts a server and returns when it is fully booted. ctx bounds the start alone.
func Start(ctx context.Context, o Options) (*Server, error) {
	if ok, why := Supported(); !ok {
		return nil, errors.New(why)
	}
	if (o.SQLite == "") == (o.PostgreSQL == "") {
		return nil, errors.New("lab: give either SQLite or PostgreSQL")
	}
	s := &Server{Name: or(o.Name, "pbx-1"), Version: or(o.Version, "22"), Username: "roster", Password: secret()}
	o.ContactsTable = or(o.ContactsTable, "ps_contacts")
	if len(o.Centers) == 0 {
		o.Centers = []string{"acme"}
	}
	repository, err := repositoryFolder()
	if err != nil {
		return nil, err
	}
	if s.root, err = rootFilesystem(ctx, repository, s.Version); err != nil {
		return nil, err
	}
	if s.claim, err = claimAddress(ctx, o.Address); err != nil {
		return nil, err
	}
	s.IP = s.claim.Addr().(*net.TCPAddr).IP.String()
	s.AMIAddress = net.JoinHostPort(s.IP, strconv.Itoa(amiPort))
	s.SIPAddress = net.JoinHostPort(s.IP, strconv.Itoa(sipPort))
	if o.TLS {
		s.AMITLSAddress = net.JoinHostPort(s.IP, strconv.Itoa(amiTLSPort))
	}
	if err := s.prepare(o, filepath.Join(repository, "config", "asterisk")); err != nil {
		s.release()
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// ForTest starts a server for one test, which ends it and prints its log where the test failed. Without the rights
// to run one the test is skipped, or fails where ROSTER_REQUIRE_ALL=1.
func ForTest(t testing.TB, o Options) *Server {
	t.Helper()
	if ok, why := Supported(); !ok {
		if os.Getenv("ROSTER_REQUIRE_ALL") == "1" {
			t.Fatal(why)
		}
		t.Skip("SKIPPED, NOT PROVEN ON ASTERISK: " + why)
	}
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", s.Name, s.LogTail(80))
		}
		s.Close()
	})
	return s
}

// Start starts the server again after Stop or Kill, at the same address, and returns when it is fully booted.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		return fmt.Errorf("%s runs already", s.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	p, err := s.launch()
	if err != nil {
		return err
	}
	s.process = p
	if err := s.awaitBoot(ctx, p); err != nil {
		p.end(0)
		s.process = nil
		return fmt.Errorf("lab: Asterisk %s did not start: %w; its log ends:\n%s", s.Version, err, s.LogTail(40))
	}
	return nil
}

// Stop ends the server as its service manager does; Start starts it again.
func (s *Server) Stop() { s.end(10 * time.Second) }

// Kill ends the server as a crash of its machine does; Start starts it again.
func (s *Server) Kill() { s.end(0) }

// Restart shuts the server down and starts it again.
func (s *Server) Restart(ctx context.Context) error {
	s.Stop()
	return s.Start(ctx)
}

// Close ends the server for good, and gives its address back.
func (s *Server) Close() {
	s.Stop()
	s.release()
}

func (s *Server) end(patience time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.end(patience)
		s.process = nil
	}
}

func (s *Server) release() {
	_ = s.claim.Close()
	if s.temporary {
		_ = os.RemoveAll(s.folder)
	}
}

func or(value, instead string) string {
	if value == "" {
		return instead
	}
	return value
}

// secret is a password that nobody knows beforehand.
func secret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
