// Command quickstart is `make run`: a control plane, Roster and the sample centre, until it is interrupted.
//
// Without KUBECONFIG it starts etcd, kube-apiserver and kube-controller-manager from KUBEBUILDER_ASSETS and keeps
// their data below .run; with KUBECONFIG it uses that cluster. Run it in the top folder of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

const runDir = ".run"

func init() {
	// Children end with the thread that started them, where the system has that: the main thread lives longest.
	runtime.LockOSThread()
}

func main() {
	if program := filepath.Base(os.Args[0]); program == etcdProgram || program == apiServerProgram {
		become(program)
	}
	os.Exit(run())
}

func run() int {
	samples := flag.String("samples", "config/samples", "`folder` with the objects to apply")
	wait := flag.Duration("wait", 3*time.Minute, "how long objects may take to become Ready")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())

	q := &quickstart{samples: *samples, wait: *wait, progress: newProgress(os.Stdout)}
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
	go q.handleSignals()

	err := q.up()
	if err == nil {
		err = q.stay()
	}
	q.down()
	switch {
	case errors.Is(context.Cause(q.ctx), errInterrupted):
		fmt.Println("Stopped. Nothing is left running; `make run` goes on where this ended, `make clean` forgets it.")
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nmake run failed: %v\n", err)
		if q.locked != nil {
			fmt.Fprintf(os.Stderr, "Logs: %s\nNothing is left running.\n", filepath.Join(runDir, "*.log"))
		}
		return 1
	}
	return 0
}

var errInterrupted = errors.New("interrupted")

// quickstart is what is running.
type quickstart struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	samples string
	wait    time.Duration
	*progress

	locked *os.File
	plane  *plane
	// kubeconfig is the file of the quickstart's own control plane; empty where the user's cluster is used.
	kubeconfig string
	config     *rest.Config
	controller *child
	manager    *child
	// metrics is where the manager says how much it has to do.
	metrics string

	// starting is true while nothing runs that has to be stopped in order.
	starting atomic.Bool
}

// handleSignals ends what runs: in order at the first signal, at once at the second.
func (q *quickstart) handleSignals() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	<-signals
	fmt.Println()
	q.cancel(errInterrupted)
	if !q.starting.Load() {
		<-signals
	}
	killAll()
	fmt.Println("Killed. Nothing is left running.")
	os.Exit(130)
}

// up brings everything up to the closing screen.
func (q *quickstart) up() error {
	if err := q.lock(); err != nil {
		return err
	}
	if err := q.cluster(); err != nil {
		return err
	}
	if err := q.installCRDs(); err != nil {
		return err
	}
	if err := q.startManager(); err != nil {
		return err
	}
	s, err := q.applySamples()
	if err != nil {
		return err
	}
	if err := q.waitReady(s); err != nil {
		return err
	}
	return q.closingScreen(s)
}

// lock makes sure that one quickstart runs in this folder, and ends what a killed one left.
func (q *quickstart) lock() error {
	if _, err := os.Stat("config/crd/bases"); err != nil {
		return errors.New("run it in the top folder of the repository: config/crd/bases is not here")
	}
	if err := os.MkdirAll(runDir, 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(runDir, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(f.Name())
		return fmt.Errorf("make run is running in this folder already (process %s): end it first", strings.TrimSpace(string(pid)))
	}
	q.locked = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, os.Getpid()); err != nil {
		return err
	}
	for _, name := range killAll() {
		q.say("ended a %s that a killed `make run` had left running", name)
	}
	return nil
}

// cluster is the user's where KUBECONFIG says so, else one of our own.
func (q *quickstart) cluster() error {
	if given := os.Getenv("KUBECONFIG"); given != "" {
		return q.givenCluster(given)
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		return errors.New("KUBEBUILDER_ASSETS is not set: start this with `make run`")
	}
	q.starting.Store(true)
	defer q.starting.Store(false)
	if err := q.step("etcd and kube-apiserver", func() (err error) {
		q.plane, err = startPlane(assets)
		return err
	}); err != nil {
		return fmt.Errorf("the control plane did not start: %w", err)
	}
	q.config, q.kubeconfig = q.plane.config, q.plane.kubeconfig
	if err := writeKubectl(assets, q.kubeconfig); err != nil {
		return err
	}
	var err error
	q.controller, err = startChild(filepath.Join(assets, "kube-controller-manager"), nil,
		"--kubeconfig="+q.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--controllers=namespace-controller,garbage-collector-controller")
	return err
}

func (q *quickstart) givenCluster(given string) error {
	if own, err := filepath.Abs(kubeconfigPath()); err == nil && own == given {
		return fmt.Errorf("KUBECONFIG is %s, which is make run's own control plane: unset KUBECONFIG", given)
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	config, err := loader.ClientConfig()
	if err != nil {
		return fmt.Errorf("KUBECONFIG=%s: %w", given, err)
	}
	raw, err := loader.RawConfig()
	if err != nil {
		return err
	}
	fmt.Printf(`
  ****  KUBECONFIG is set: this uses the cluster
  ****      %s   (context %s)
  ****  It installs Roster's CRDs and namespace acme there, and they stay there.

`, config.Host, raw.CurrentContext)
	q.config, q.config.QPS = config, -1
	return q.refuseSecondManager()
}

// stay keeps everything up until it is interrupted. A manager that ends is started again, as a Deployment would.
func (q *quickstart) stay() error {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	wait, failures := time.Second, 0
	for started := time.Now(); ; {
		var controllerDone <-chan struct{}
		if q.controller != nil {
			controllerDone = q.controller.done
		}
		select {
		case <-q.ctx.Done():
			return nil
		case <-controllerDone:
			return q.ended()
		case <-q.manager.done:
			if time.Since(started) > time.Minute {
				wait = time.Second
			}
			q.say("Roster's manager ended (%v); it is started again in %s, its log is %s", q.manager.err, wait, q.manager.log)
			select {
			case <-q.ctx.Done():
				return nil
			case <-time.After(wait):
			}
			wait, started = min(2*wait, 30*time.Second), time.Now()
			if err := q.startManager(); err != nil {
				return err
			}
			q.say("Roster's manager runs again")
		case <-ticker.C:
			if q.plane == nil {
				continue
			}
			if failures++; q.healthy() {
				failures = 0
			}
			if failures == 3 {
				return fmt.Errorf("kube-apiserver at %s does not answer any more", q.config.Host)
			}
		}
	}
}

// down ends everything in order.
func (q *quickstart) down() {
	if q.plane == nil && q.manager == nil {
		return
	}
	_ = q.step("stopping", func() error {
		q.manager.stop()
		q.controller.stop()
		q.plane.stop()
		return nil
	})
}
