package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Where a server's own folders are, in its root filesystem. They exist there, and are empty.
const (
	insideFolder = "/mnt"
	insideData   = "/srv"
)

// inside runs a program in the root filesystem $ROOT, which it sees read-only, with the folders of the server. The mounts
// and the host name are in namespaces of the program's own and end with it. Asterisk looks its host name up to learn its
// address, and asks the root name servers where that fails: the name is the address, and name servers there are none.
const inside = `set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount --bind "$FOLDER" "$ROOT` + insideFolder + `"
if [ -n "$DATA" ]; then mount --bind "$DATA" "$ROOT` + insideData + `"; fi
mount -t tmpfs tmpfs "$ROOT/tmp"
mount -t proc proc "$ROOT/proc"
mount --bind "$FOLDER/etc/resolv.conf" "$ROOT/etc/resolv.conf"
printf %s "$IP" >/proc/sys/kernel/hostname
exec chroot "$ROOT" "$@"`

// process is a running Asterisk.
type process struct {
	cmd *exec.Cmd
	// done is closed when it has ended, with err.
	done chan struct{}
	err  error
}

// command is a program in the server's root filesystem.
func (s *Server) command(ctx context.Context, words ...string) *exec.Cmd {
	args := append([]string{"--mount", "--uts", "--propagation", "private", "sh", "-c", inside, "sh"}, words...)
	cmd := exec.CommandContext(ctx, "unshare", args...)
	cmd.Dir = "/"
	etc := filepath.Join(insideFolder, "etc")
	cmd.Env = []string{"ROOT=" + s.root, "FOLDER=" + s.folder, "DATA=" + s.data, "IP=" + s.IP, "HOME=" + insideFolder, "LC_ALL=C.UTF-8",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "ODBCSYSINI=" + etc, "ODBCINI=" + filepath.Join(etc, "odbc.ini")}
	cmd.SysProcAttr = ownGroup()
	return cmd
}

func program(args ...string) []string {
	return append([]string{"asterisk", "-C", filepath.Join(insideFolder, "etc", "asterisk.conf")}, args...)
}

// launch starts Asterisk.
func (s *Server) launch() (*process, error) {
	out, err := os.OpenFile(s.path("log", "output.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: s.command(context.Background(), program("-f")...), done: make(chan struct{})} // ended by end
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// end ends the process: when it is asked to, or by force after so long.
func (p *process) end(patience time.Duration) {
	if patience > 0 {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
			return
		case <-time.After(patience):
		}
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// CLI runs a command of Asterisk's console and returns what it prints.
func (s *Server) CLI(ctx context.Context, command string) (string, error) {
	cmd := s.command(ctx, program("-rx", command)...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(errOut.String()+out.String()))
	}
	return out.String(), nil
}

// LogTail is the last lines of the server's log, verbose messages included.
func (s *Server) LogTail(lines int) string {
	var text []byte
	for _, name := range []string{"output.log", "full.log"} {
		content, err := os.ReadFile(s.path("log", name))
		if err == nil {
			text = append(text, content...)
		}
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// PID is the server's process, 0 while it is down.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}
