package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestScreen(t *testing.T) {
	s := &screen{
		database: "x.sqlite3",
		members: []member{
			{queue: "billing", extension: "601", person: "Amélie Dubois", group: "north", stars: 4, channels: "Voice Email", via: "Direct,Team/billing", phase: "Active"},
			{queue: "billing", extension: "601", person: "Bob Lee", stars: 1, channels: "Voice", via: "Team/billing", phase: "OnLeave", paused: "Vacation"},
			{queue: "web-desk", person: "Bob Lee", stars: 2, channels: "Chat", via: "Direct", phase: "Active", paused: "lunch"},
		},
		away:   []person{{name: "bob-lee", display: "Bob Lee", phase: "OnLeave"}},
		counts: map[string]int{"Active": 1, "OnLeave": 1},
		notes:  []string{"Queue billing: too few"},
	}
	var out bytes.Buffer
	s.write(&out)
	want := `STAFF BY QUEUE   (read from x.sqlite3)

billing, extension 601
  Amélie Dubois  north  ****  Voice Email  via Direct, Team/billing
  Bob Lee               *     Voice        via Team/billing          OnLeave, paused: Vacation

web-desk
  Bob Lee    **  Chat  via Direct  paused: lunch

PEOPLE   1 Active, 1 OnLeave
  Bob Lee  OnLeave

THINGS TO KNOW
  Queue billing: too few
`
	if out.String() != want {
		t.Errorf("the screen reads\n%s\nwant\n%s", out.String(), want)
	}
}

// Issue 2, 8: the samples are about 30 people with all five roles, four groups, five teams and eight queues.
func TestSamples(t *testing.T) {
	s, err := readSamples(filepath.Join("..", "..", "config", "samples"))
	if err != nil {
		t.Fatal(err)
	}
	kinds, roles, channels := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, o := range s.objects {
		kinds[o.GetKind()]++
		if o.GetKind() != "Namespace" && o.GetNamespace() != s.namespace {
			t.Errorf("%s %s is in namespace %q", o.GetKind(), o.GetName(), o.GetNamespace())
		}
		switch o.GetKind() {
		case "Agent":
			role, _, _ := unstructured.NestedString(o.Object, "spec", "role")
			roles[role] = true
		case "Queue":
			list, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "channels")
			for _, c := range list {
				channels[c] = true
			}
		}
	}
	for kind, want := range map[string]int{"Agent": 32, "AgentGroup": 4, "Team": 5, "Queue": 8, "ContactCenter": 1, "CaseAssignment": 5} {
		if kinds[kind] != want {
			t.Errorf("%d objects of kind %s, want %d", kinds[kind], kind, want)
		}
	}
	if delete(roles, ""); len(roles) != 5 {
		t.Errorf("roles %v, want all five", roles)
	}
	if len(channels) != 6 {
		t.Errorf("channels %v, want all six", channels)
	}
}

func TestNotReady(t *testing.T) {
	condition := func(kind, status, reason, message string) map[string]any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": message}
	}
	for _, c := range []struct {
		reason     string
		observed   int64
		conditions []any
		want       string
	}{
		{"never looked at", 0, nil, "the manager has not looked at it yet"},
		{"edited since", 1, []any{condition("Ready", "True", "", "")}, "the manager has not looked at it yet"},
		{"ready", 2, []any{condition("Ready", "True", "", "")}, ""},
		{"waiting", 2, []any{condition("Ready", "False", "MissingReference", "waits for x")}, "MissingReference: waits for x"},
	} {
		o := &unstructured.Unstructured{Object: map[string]any{
			"kind": "Agent", "metadata": map[string]any{"name": "a", "generation": int64(2)},
			"status": map[string]any{"observedGeneration": c.observed, "conditions": c.conditions},
		}}
		got := ""
		if p := notReady(o); p != nil {
			got = p.reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.reason, got, c.want)
		}
	}
}

// What a killed quickstart left is ended; a process that only has the number of one is not.
func TestLeftovers(t *testing.T) {
	if programOf(os.Getpid()) == "" {
		t.Skip("no /proc here")
	}
	t.Chdir(t.TempDir())
	if err := os.Mkdir(runDir, 0o750); err != nil {
		t.Fatal(err)
	}
	sleeper := func() *exec.Cmd {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	ours, other := sleeper(), sleeper()
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if err := notePID(ours.Process.Pid, programOf(ours.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(pidFile, os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, other.Process.Pid, "12345", programOf(other.Process.Pid)) // another start
	fmt.Fprintln(f, other.Process.Pid, startOf(other.Process.Pid), "/bin/another")
	fmt.Fprintln(f, "rubbish")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- ours.Wait() }()
	if ended := strings.Join(killAll(), " "); !strings.HasPrefix(ended, "sleep") && ended != filepath.Base(programOf(other.Process.Pid)) {
		t.Errorf("ended %q, want the one sleeper", ended)
	}
	if err := <-waited; err == nil {
		t.Error("the leftover ended by itself")
	}
	if programOf(other.Process.Pid) == "" {
		t.Error("another process was ended")
	}
	if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
		t.Errorf("the list of processes is still there: %v", err)
	}
}
