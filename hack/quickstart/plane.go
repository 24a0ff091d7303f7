package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	etcdProgram      = "etcd"
	apiServerProgram = "kube-apiserver"
)

// plane is etcd and kube-apiserver, run by envtest as a library.
type plane struct {
	*envtest.ControlPlane
	config     *rest.Config
	kubeconfig string
	// token of the same user.
	token string
}

func kubeconfigPath() string { return filepath.Join(runDir, "kubeconfig") }

// startPlane starts both on free ports, with the data of the last time, and writes .run/kubeconfig.
func startPlane(assets string) (*plane, error) {
	certs, err := filepath.Abs(filepath.Join(runDir, "certs"))
	if err != nil {
		return nil, err
	}
	// The certificates are new each time: envtest keeps no authority to sign with.
	if err := os.RemoveAll(certs); err != nil {
		return nil, err
	}
	data := filepath.Join(runDir, "etcd")
	for _, dir := range []string{certs, data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	etcd := &envtest.Etcd{DataDir: data, StartTimeout: time.Minute, StopTimeout: patience}
	api := &envtest.APIServer{CertDir: certs, StartTimeout: 2 * time.Minute, StopTimeout: patience}
	if etcd.Path, err = standIn(assets, etcdProgram); err != nil {
		return nil, err
	}
	if api.Path, err = standIn(assets, apiServerProgram); err != nil {
		return nil, err
	}
	etcdLog, err := newLog(etcdProgram)
	if err != nil {
		return nil, err
	}
	defer etcdLog.Close()
	apiLog, err := newLog(apiServerProgram)
	if err != nil {
		return nil, err
	}
	defer apiLog.Close()
	etcd.Out, etcd.Err, api.Out, api.Err = etcdLog, etcdLog, apiLog, apiLog
	for _, name := range []string{"manager", "kube-controller-manager"} {
		log, err := newLog(name)
		if err != nil {
			return nil, err
		}
		_ = log.Close()
	}
	token := rand.Text()
	tokens := filepath.Join(certs, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(token+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return nil, err
	}
	api.Configure().Set("token-auth-file", tokens)
	p := &plane{ControlPlane: &envtest.ControlPlane{Etcd: etcd, APIServer: api}, kubeconfig: kubeconfigPath()}
	if err := p.Start(); err != nil {
		killAll()
		return nil, err
	}
	user, err := p.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, &rest.Config{QPS: -1})
	if err != nil {
		return nil, err
	}
	p.config = user.Config()
	content, err := user.KubeConfig()
	if err != nil {
		return nil, err
	}
	p.token = token
	return p, writeKubeconfig(p.kubeconfig, content, token)
}

// writeKubeconfig writes a kubeconfig to which a token is added: what is asked of the manager's own endpoint needs one.
func writeKubeconfig(path string, content []byte, token string) error {
	config, err := clientcmd.Load(content)
	if err != nil {
		return err
	}
	for _, user := range config.AuthInfos {
		user.Token = token
	}
	return clientcmd.WriteToFile(*config, path)
}

func (p *plane) stop() {
	if p != nil {
		_ = p.Stop()
	}
}

// assetsVariable tells a stand-in where the programs are.
const assetsVariable = "ROSTER_QUICKSTART_ASSETS"

// standIn is a name of this very program under which envtest starts it; it then becomes the program itself.
func standIn(assets, program string) (string, error) {
	if err := os.Setenv(assetsVariable, assets); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(filepath.Join(runDir, "bin"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	link := filepath.Join(dir, program)
	_ = os.Remove(link)
	return link, os.Symlink(self, link)
}

// become turns this process into a program of the control plane that ends when the quickstart does, however that ends.
func become(program string) {
	dieWithParent()
	path := filepath.Join(os.Getenv(assetsVariable), program)
	if len(os.Args) != 2 || os.Args[1] != "--help" { // envtest asks for the flags first
		program, err := filepath.EvalSymlinks(path)
		if err == nil {
			_ = notePID(os.Getpid(), program)
		}
	}
	err := syscall.Exec(path, append([]string{program}, os.Args[1:]...), os.Environ())
	fmt.Fprintf(os.Stderr, "starting %s: %v\n", path, err)
	os.Exit(1)
}

// writeKubectl makes .run/kubectl, which talks to this control plane and no other.
func writeKubectl(assets, kubeconfig string) error {
	absolute, err := filepath.Abs(kubeconfig)
	if err != nil {
		return err
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	script := fmt.Sprintf("#!/bin/sh\nKUBECONFIG=%s exec %s \"$@\"\n", quote(absolute), quote(filepath.Join(assets, "kubectl")))
	path := filepath.Join(runDir, "kubectl")
	_ = os.Remove(path)
	return os.WriteFile(path, []byte(script), 0o750)
}

// writeStaff makes .run/staff, which shows the live staff list that the manager serves at an address.
func (q *quickstart) writeStaff(address string) error {
	script := fmt.Sprintf(`#!/bin/sh
# The live staff list: .run/staff [NAMESPACE [QUERY]], such as .run/staff acme 'queue=support&format=table'
exec curl --silent --show-error --insecure --no-buffer --header 'Authorization: Bearer %s' \
  "https://%s/v1alpha1/namespaces/${1:-acme}/staff?${2:-format=table}"
`, q.plane.token, address)
	path := filepath.Join(runDir, "staff")
	_ = os.Remove(path)
	return os.WriteFile(path, []byte(script), 0o700)
}

// healthy says whether the API server answers.
func (q *quickstart) healthy() bool {
	client, err := rest.HTTPClientFor(q.config)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(q.ctx, 4*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(q.config.Host, "/")+"/livez", http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return q.ctx.Err() != nil
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
