package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/controllers"
	"roster.dev/roster/internal/book"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/endpoint"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
)

// ManagerOptions are the flags of `roster manager`.
type ManagerOptions struct {
	Kubeconfig       string
	DataDir          string
	EmbeddedDefault  string
	MetricsAddress   string
	HealthAddress    string
	LiveAddress      string
	LiveCert         string
	LiveKey          string
	LeaderElect      bool
	LeaderNamespace  string
	AgentConcurrency int
	QueueConcurrency int
	CaseConcurrency  int
	LogLevel         string
}

func newManagerCommand(version string) *cobra.Command {
	o := ManagerOptions{}
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Run the operator",
		Long: "Run the operator against a cluster that has Roster's CRDs (config/crd/bases).\n" +
			"Without --kubeconfig it uses $KUBECONFIG, ~/.kube/config or the Pod's service account.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := o.restConfig(version)
			if err != nil {
				return err
			}
			return RunManager(cmd.Context(), config, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "path of the kubeconfig `file`")
	f.StringVar(&o.DataDir, "data-dir", "data", "`folder` of the SQLite files of centres that use SQLite")
	f.StringVar(&o.EmbeddedDefault, "embedded-default", "on",
		"on: a namespace without a ContactCenter gets the SQLite file <data-dir>/<namespace>.sqlite3; off: it is told that it has none")
	f.StringVar(&o.MetricsAddress, "metrics-bind-address", "0", "`address` of the metrics endpoint, such as :8080; 0 turns it off")
	f.StringVar(&o.HealthAddress, "health-probe-bind-address", "0", "`address` of /healthz and /readyz, such as :8081; 0 turns it off")
	f.StringVar(&o.LiveAddress, "live-bind-address", "0",
		"`address` of the HTTPS endpoint that serves the live staff list, client books and agendas, and changes passwords, "+
			"such as :8443; 0 turns it off")
	f.StringVar(&o.LiveCert, "live-cert-file", "", "PEM `file` of the endpoint's certificate; default: one made at each start")
	f.StringVar(&o.LiveKey, "live-key-file", "", "PEM `file` of its key")
	f.BoolVar(&o.LeaderElect, "leader-elect", false, "let one of several managers work, the others stand by")
	f.StringVar(&o.LeaderNamespace, "leader-election-namespace", "", "`namespace` of the election's Lease; default: the Pod's")
	f.IntVar(&o.AgentConcurrency, "agent-concurrency", 64, "how many people are worked on at once")
	f.IntVar(&o.QueueConcurrency, "queue-concurrency", 8, "how many queues are worked on at once")
	f.IntVar(&o.CaseConcurrency, "case-concurrency", 64, "how many cases are worked on at once")
	f.StringVar(&o.LogLevel, "log-level", "info", "error, info or debug")
	return cmd
}

func (o *ManagerOptions) restConfig(version string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to talk to: %w", err)
	}
	config.UserAgent = "roster/" + version
	config.QPS = -1 // the API server's own priority and fairness is the limit; client-go's default is five a second
	return config, nil
}

// settled is when a manager has filled its caches, large centres included.
const settled = 30 * time.Second

// RunManager runs the operator until ctx ends.
func RunManager(ctx context.Context, config *rest.Config, o ManagerOptions) error {
	if o.EmbeddedDefault != "on" && o.EmbeddedDefault != "off" {
		return fmt.Errorf("--embedded-default is on or off, not %q", o.EmbeddedDefault)
	}
	log, err := logger(o.LogLevel)
	if err != nil {
		return err
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if os.Getenv("GOGC") == "" {
		// The cache of a large centre is read and hardly ever rewritten: once it is filled, a smaller heap is worth
		// the collector's work.
		defer time.AfterFunc(settled, func() { debug.SetGCPercent(50) }).Stop()
	}
	dataDir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dataDir, 0o750); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	mgr, err := newManager(config, o)
	if err != nil {
		return err
	}
	fleet := live.New(asterisk.OpenServer, log.WithName("live"))
	defer fleet.Close()
	staff, err := addEndpoint(mgr, fleet, o, log)
	if err != nil {
		return err
	}
	err = controllers.Setup(mgr, controllers.Options{
		Fleet: fleet, Staff: staff,
		DataDir: dataDir, EmbeddedDefault: o.EmbeddedDefault == "on",
		AgentConcurrency: o.AgentConcurrency, QueueConcurrency: o.QueueConcurrency, CaseConcurrency: o.CaseConcurrency,
		Open:     func(ns string, t center.Target) (telephony.Backend, error) { return open(ns, t, log) },
		Identify: func(t center.Target) (string, error) { return asterisk.Identity(asteriskConfig("", t)) },
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// addEndpoint adds the HTTPS endpoint and returns the staff list that it serves, nil where it is turned off.
func addEndpoint(mgr manager.Manager, fleet *live.Fleet, o ManagerOptions, log logr.Logger) (*live.Staff, error) {
	if o.LiveAddress == "0" {
		return nil, nil
	}
	staff, index := live.NewStaff(fleet.Sight), book.New()
	server, err := endpoint.New(endpoint.Options{
		Address: o.LiveAddress, CertFile: o.LiveCert, KeyFile: o.LiveKey, Staff: staff, Synced: staff.IsComplete, Book: index,
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("roster"), Log: log.WithName("endpoint"),
	})
	if err != nil {
		return nil, err
	}
	return staff, errors.Join(mgr.Add(&book.Feed{Cache: mgr.GetCache(), Index: index}), mgr.Add(server))
}

func logger(level string) (logr.Logger, error) {
	parsed, err := zapcore.ParseLevel(level)
	if err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level is error, info or debug, not %q", level)
	}
	return zap.New(zap.Level(parsed)), nil
}

func newManager(config *rest.Config, o ManagerOptions) (manager.Manager, error) {
	scheme := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	watching, err := ownConnection(config)
	if err != nil {
		return nil, err
	}
	consistent := true
	shutdown := 10 * time.Second
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:                        scheme,
		Cache:                         cache.Options{DefaultTransform: controllers.Slim, HTTPClient: watching},
		Client:                        client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &consistent}},
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              "roster.staff.roster.dev",
		LeaderElectionNamespace:       o.LeaderNamespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &shutdown,
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("ping", healthz.Ping)
}

// ownConnection makes an HTTP client that shares its connection with no other of the same configuration. The API
// server writes a connection's answers one after the other: watches that share one with all requests fall behind by
// seconds while thousands of objects are written, and are closed for being slow.
func ownConnection(config *rest.Config) (*http.Client, error) {
	own := rest.CopyConfig(config)
	own.Dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	return rest.HTTPClientFor(own)
}

func open(namespace string, target center.Target, log logr.Logger) (telephony.Backend, error) {
	config := asteriskConfig(namespace, target)
	config.Logger = log.WithName("asterisk").WithValues("namespace", namespace)
	backend, err := asterisk.Open(context.Background(), config)
	if err != nil {
		return nil, err
	}
	telephonyCounters.add(backend)
	return backend, nil
}

func asteriskConfig(namespace string, t center.Target) asterisk.Config {
	return asterisk.Config{
		Center: namespace, Type: string(t.Type), Path: t.Path, DSN: t.DSN,
		ContactsTables: strings.Split(t.ContactsTables, ","),
	}
}
