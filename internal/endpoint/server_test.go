package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"

	"roster.dev/roster/internal/live"
)

// started is an endpoint that serves for itself.
func started(t *testing.T, change func(*Options)) (*Server, func() error) {
	t.Helper()
	g := NewWithT(t)
	d := &desk{}
	d.allow("carla", mayRead, mayFollow)
	options := Options{
		Address: "127.0.0.1:0", Reviewer: d, Log: logr.Discard(),
		Staff: live.NewStaff(func(string, string) live.Sight { return live.Sight{} }),
	}
	if change != nil {
		change(&options)
	}
	s, err := New(options)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Start(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { g.Expect(stop()).To(Succeed()) })
	return s, stop
}

// certificateOf is what a server shows.
func certificateOf(g *GomegaWithT, s *Server) *x509.Certificate {
	connection, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	g.Expect(err).NotTo(HaveOccurred())
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0]
}

// clientTrusting is a client that trusts what a server shows and nothing else.
func clientTrusting(g *GomegaWithT, s *Server) *http.Client {
	roots := x509.NewCertPool()
	g.Eventually(func() error {
		connection, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		roots.AddCert(connection.ConnectionState().PeerCertificates[0])
		return connection.Close()
	}, 10*time.Second).Should(Succeed())
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

func TestServerMakesACertificate(t *testing.T) {
	g := NewWithT(t)
	s, _ := started(t, nil)
	certificate := certificateOf(g, s)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	client := clientTrusting(g, s)
	defer client.CloseIdleConnections()
	host, err := os.Hostname()
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"localhost", "127.0.0.1", "::1", host} {
		_, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: name})
		g.Expect(err).NotTo(HaveOccurred(), name)
	}
	_, err = certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: "example.org"})
	g.Expect(err).To(HaveOccurred())

	response, err := client.Get("https://" + s.Addr().String() + staffPath)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	g.Expect(response.StatusCode).To(Equal(http.StatusUnauthorized))

	_, err = tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	g.Expect(err).To(HaveOccurred(), "TLS 1.1 was accepted")
	plain, err := http.Get("http://" + s.Addr().String() + staffPath)
	g.Expect(err).NotTo(HaveOccurred())
	defer plain.Body.Close()
	g.Expect(plain.StatusCode).To(Equal(http.StatusBadRequest))
}

func TestServerUsesACertificateFromFiles(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	write := func(name string) {
		certificate, err := selfSigned(time.Now(), name)
		g.Expect(err).NotTo(HaveOccurred())
		key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
		g.Expect(err).NotTo(HaveOccurred())
		for file, block := range map[string]*pem.Block{
			"tls.key": {Type: "PRIVATE KEY", Bytes: key}, "tls.crt": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		} {
			g.Expect(os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600)).To(Succeed())
		}
	}
	write("first.example")
	s, _ := started(t, func(o *Options) {
		o.CertFile, o.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	})
	g.Expect(certificateOf(g, s).DNSNames).To(Equal([]string{"first.example"}))
	write("second.example")
	g.Eventually(func() []string { return certificateOf(g, s).DNSNames }, 15*time.Second).Should(Equal([]string{"second.example"}))

	_, err := New(Options{Address: "127.0.0.1:0", CertFile: "tls.crt"})
	g.Expect(err).To(MatchError(ContainSubstring("both of certificate and key")))
	_, err = New(Options{Address: s.Addr().String()})
	g.Expect(err).To(MatchError(ContainSubstring("in use")))
}

func TestServerStopsWithFollowers(t *testing.T) {
	g := NewWithT(t)
	s, stop := started(t, nil)
	g.Expect(s.NeedLeaderElection()).To(BeFalse())
	client := clientTrusting(g, s)
	defer client.CloseIdleConnections()
	request, _ := http.NewRequest(http.MethodGet, "https://"+s.Addr().String()+staffPath+"?watch=1", nil)
	request.Header.Set("Authorization", "Bearer carla")
	response, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	began := time.Now()
	g.Expect(stop()).To(Succeed())
	g.Expect(time.Since(began)).To(BeNumerically("<", shutdownTimeout))
	text, _ := io.ReadAll(response.Body)
	g.Expect(bytes.Count(text, []byte("event: "))).To(Equal(1))
}

func TestHandlerRefusesPlainHTTP(t *testing.T) {
	r := newRig(t, nil)
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, staffPath, nil)
	request.Header.Set("Authorization", "Bearer carla")
	r.server.Handler().ServeHTTP(recorder, request)
	r.Expect(recorder.Code).To(Equal(http.StatusForbidden))
}
