package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"roster.dev/roster/api/v1alpha1"
)

const (
	// kubectlManager is the field manager of `kubectl apply --server-side`: whoever goes on with it meets no conflicts.
	kubectlManager = "kubectl"
	// appliedAnnotation on the samples' Namespace says which samples were applied: the same are not applied again,
	// so that what was edited in the cluster stays.
	appliedAnnotation = "quickstart.roster.dev/samples"
	lastApplied       = "kubectl.kubernetes.io/last-applied-configuration"
)

// samples are the objects of a folder.
type samples struct {
	objects   []*unstructured.Unstructured
	namespace string
	digest    string
	// applied now, and not at an earlier run.
	applied bool
	// people is how many Agents there are in the namespace.
	people int
	client client.Client
}

// readSamples reads the YAML files of a folder in the order of their names.
func readSamples(folder string) (*samples, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no YAML files in %s", folder)
	}
	s, hash := &samples{}, sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		hash.Write(content)
		for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096); ; {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if len(object.Object) == 0 {
				continue
			}
			s.objects = append(s.objects, object)
			if object.GetKind() == "Namespace" && s.namespace == "" {
				s.namespace = object.GetName()
			}
		}
	}
	s.digest = hex.EncodeToString(hash.Sum(nil))[:16]
	return s, nil
}

func (q *quickstart) newClient() (client.Client, error) {
	scheme := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return client.New(q.config, client.Options{Scheme: scheme})
}

// installCRDs installs the six kinds and waits until they are served.
func (q *quickstart) installCRDs() error {
	err := q.step("installing the CRDs", func() error {
		_, err := envtest.InstallCRDs(q.config, envtest.CRDInstallOptions{
			Paths: []string{"config/crd/bases"}, ErrorIfPathMissing: true, MaxTime: time.Minute,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("the CRDs of config/crd/bases were not accepted: %w", err)
	}
	return q.ctx.Err()
}

// refuseSecondManager makes sure that no other manager works in the user's cluster.
func (q *quickstart) refuseSecondManager() error {
	c, err := q.newClient()
	if err != nil {
		return fmt.Errorf("the cluster cannot be reached: %w", err)
	}
	leases := &coordinationv1.LeaseList{}
	ctx, cancel := context.WithTimeout(q.ctx, 15*time.Second)
	defer cancel()
	if err := c.List(ctx, leases); err != nil {
		return fmt.Errorf("the cluster cannot be reached: %w", err)
	}
	for i := range leases.Items {
		l := &leases.Items[i]
		if l.Name == "roster.staff.roster.dev" && l.Spec.RenewTime != nil && l.Spec.HolderIdentity != nil &&
			*l.Spec.HolderIdentity != "" && time.Since(l.Spec.RenewTime.Time) < time.Minute {
			return fmt.Errorf("a Roster manager (%s, Lease %s/%s) works in this cluster already: two would fight; apply config/samples with kubectl instead",
				*l.Spec.HolderIdentity, l.Namespace, l.Name)
		}
	}
	return nil
}

// applySamples applies the samples, unless these very ones were applied before.
func (q *quickstart) applySamples() (*samples, error) {
	s, err := readSamples(q.samples)
	if err != nil {
		return nil, err
	}
	if s.client, err = q.newClient(); err != nil {
		return nil, err
	}
	namespace := &unstructured.Unstructured{}
	namespace.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	err = s.client.Get(q.ctx, client.ObjectKey{Name: s.namespace}, namespace)
	if client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if err == nil && namespace.GetAnnotations()[appliedAnnotation] == s.digest {
		q.say("%s was applied before and is as it was: your edits in namespace %s stay", q.samples, s.namespace)
		return s, nil
	}
	s.applied = true
	return s, q.step(fmt.Sprintf("applying %s (%d objects)", q.samples, len(s.objects)), func() error {
		for _, object := range s.objects {
			if err := q.applyObject(s, object); err != nil {
				return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
			}
		}
		namespace.SetName(s.namespace)
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, appliedAnnotation, s.digest)
		return s.client.Patch(q.ctx, namespace, client.RawPatch("application/merge-patch+json", patch))
	})
}

// applyObject does what `kubectl apply` would: server-side, and with the annotation by which the client-side one
// knows what to take away.
func (q *quickstart) applyObject(s *samples, object *unstructured.Unstructured) error {
	declared, err := json.Marshal(object)
	if err != nil {
		return err
	}
	err = s.client.Apply(q.ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.FieldOwner(kubectlManager))
	if apierrors.IsConflict(err) {
		q.say("%s %s keeps what others have edited: %s", object.GetKind(), object.GetName(), strings.ReplaceAll(err.Error(), "\n", " "))
		return nil
	}
	if err != nil {
		return err
	}
	note := &unstructured.Unstructured{}
	note.SetGroupVersionKind(object.GroupVersionKind())
	note.SetNamespace(object.GetNamespace())
	note.SetName(object.GetName())
	note.SetAnnotations(map[string]string{lastApplied: string(declared) + "\n"})
	return s.client.Apply(q.ctx, client.ApplyConfigurationFromUnstructured(note), client.FieldOwner("kubectl-last-applied"), client.ForceOwnership)
}

// pending is an object that is not Ready.
type pending struct {
	object, reason string
}

// waitReady waits until every sample is Ready. Samples of an earlier run, which may have been edited since, need not
// be: what they wait for is told.
func (q *quickstart) waitReady(s *samples) error {
	const tick, tell = 100 * time.Millisecond, 3 * time.Second
	q.say("waiting until every object is Ready ...")
	deadline, told := time.Now().Add(q.wait), time.Now()
	if !s.applied {
		deadline = time.Now().Add(min(q.wait, time.Minute))
	}
	for {
		waiting, total, err := s.pending(q.ctx)
		switch {
		case q.ctx.Err() != nil:
			return q.ctx.Err()
		case err != nil:
			return err
		case len(waiting) == 0 && q.idle(s.people):
			q.say("all %d objects are Ready", total)
			return nil
		}
		if err := q.ended(); err != nil {
			return err
		}
		settled := !s.applied && len(waiting) > 0 && q.idle(s.people)
		if time.Now().After(deadline) || settled {
			if s.applied {
				return fmt.Errorf("after %s %d of %d objects are not Ready:%s", q.wait, len(waiting), total, list(waiting, 10))
			}
			q.say("%d of %d objects are not Ready:%s", len(waiting), total, list(waiting, 10))
			return nil
		}
		if time.Since(told) > tell {
			told = time.Now()
			if len(waiting) == 0 {
				waiting = []pending{{object: "manager", reason: "it is still looking at all objects"}}
			}
			q.say("%d of %d objects are Ready; waiting for:%s", total-len(waiting), total, list(waiting, 3))
		}
		select {
		case <-q.ctx.Done():
		case <-time.After(tick):
		}
	}
}

func list(waiting []pending, limit int) string {
	var text strings.Builder
	for _, p := range waiting[:min(limit, len(waiting))] {
		fmt.Fprintf(&text, "\n            %s: %s", p.object, p.reason)
	}
	if more := len(waiting) - limit; more > 0 {
		fmt.Fprintf(&text, "\n            and %d more", more)
	}
	return text.String()
}

// pending are the samples that are not Ready, of how many.
func (s *samples) pending(ctx context.Context) (waiting []pending, total int, err error) {
	wanted := map[schema.GroupVersionKind]map[string]bool{}
	for _, object := range s.objects {
		gvk := object.GroupVersionKind()
		if gvk.Group != v1alpha1.GroupVersion.Group {
			continue
		}
		if wanted[gvk] == nil {
			wanted[gvk] = map[string]bool{}
		}
		wanted[gvk][object.GetName()] = true
	}
	for gvk, names := range wanted {
		found := &unstructured.UnstructuredList{}
		found.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		if err := s.client.List(ctx, found, client.InNamespace(s.namespace)); err != nil {
			return nil, 0, err
		}
		if gvk.Kind == "Agent" {
			s.people = len(found.Items)
		}
		for i := range found.Items {
			if !names[found.Items[i].GetName()] {
				continue
			}
			total++
			if p := notReady(&found.Items[i]); p != nil {
				waiting = append(waiting, *p)
			}
		}
	}
	sort.Slice(waiting, func(i, j int) bool { return waiting[i].object < waiting[j].object })
	return waiting, total, nil
}

// notReady says why an object is not Ready in the sense of kstatus, or is nil where it is.
func notReady(object *unstructured.Unstructured) *pending {
	p := &pending{object: object.GetKind() + " " + object.GetName(), reason: "the manager has not looked at it yet"}
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if observed != object.GetGeneration() {
		return p
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	ready := false
	for _, c := range conditions {
		c, ok := c.(map[string]any)
		if !ok {
			continue
		}
		switch {
		case c["type"] == v1alpha1.ConditionReady && c["status"] == "True":
			ready = true
		case c["type"] == v1alpha1.ConditionReady:
			p.reason = fmt.Sprintf("%v: %v", c["reason"], c["message"])
		}
	}
	if ready {
		return nil
	}
	return p
}
