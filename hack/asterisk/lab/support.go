package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Supported says whether servers can be started here, and where not, why not.
func Supported() (ok bool, why string) {
	switch {
	case runtime.GOOS != "linux":
		return false, "Asterisk servers are started on Linux only"
	case os.Geteuid() != 0:
		return false, "starting Asterisk servers needs root (chroot, mount namespaces); ROSTER_TEST_ASTERISK names servers that run already"
	}
	for _, program := range []string{"unshare", "chroot", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			return false, program + " is not found: it comes with util-linux and coreutils"
		}
	}
	if out, err := exec.CommandContext(context.Background(), "unshare", "--mount", "--uts", "true").CombinedOutput(); err != nil {
		return false, "no mount and host name namespaces can be made here: " + strings.TrimSpace(string(out))
	}
	return true, ""
}

// Given are the servers of ROSTER_TEST_ASTERISK (host:port of manager interfaces, comma-separated), with the user of
// ROSTER_TEST_ASTERISK_USER and ROSTER_TEST_ASTERISK_SECRET. They run already and cannot be stopped or started: only
// the address, the user and the name are known of them. None is given where the variable is empty.
func Given() ([]*Server, error) {
	list := os.Getenv("ROSTER_TEST_ASTERISK")
	if list == "" {
		return nil, nil
	}
	user, password := os.Getenv("ROSTER_TEST_ASTERISK_USER"), os.Getenv("ROSTER_TEST_ASTERISK_SECRET")
	if user == "" || password == "" {
		return nil, errors.New("ROSTER_TEST_ASTERISK needs ROSTER_TEST_ASTERISK_USER and ROSTER_TEST_ASTERISK_SECRET")
	}
	var servers []*Server
	for i, address := range strings.Split(list, ",") {
		servers = append(servers, &Server{Name: fmt.Sprintf("pbx-%d", i+1), AMIAddress: strings.TrimSpace(address), Username: user, Password: password})
	}
	return servers, nil
}

// repositoryFolder is the top folder of the repository.
func repositoryFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "hack", "asterisk", "rootfs.sh")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run it inside the repository: hack/asterisk/rootfs.sh is not found")
		}
		dir = filepath.Dir(dir)
	}
}

// rootFilesystem is a folder with Asterisk of a version; making it takes about a minute, once.
func rootFilesystem(ctx context.Context, repository, version string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(repository, "hack", "asterisk", "rootfs.sh"), version)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("lab: Asterisk %s is not to be had: %w: %s", version, err, strings.TrimSpace(errOut.String()))
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[len(lines)-1], nil
}
