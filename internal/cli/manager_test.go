package cli

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"roster.dev/roster/api/v1alpha1"
)

// A replica that another one leads serves client books and agendas like the leader.
func TestS6S7AStandbyServesBooks(t *testing.T) {
	c := newCluster(t, "standby")
	c.Expect(c.k8s.Create(t.Context(), &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "standby", Name: "roster.staff.roster.dev"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: ptr.To("another"), LeaseDurationSeconds: ptr.To[int32](3600), RenewTime: ptr.To(metav1.NowMicro()),
		},
	})).To(Succeed())
	refund := &v1alpha1.CaseAssignment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "standby", Name: "refund"},
		Spec: v1alpha1.CaseAssignmentSpec{
			Client: &v1alpha1.Client{ID: "C-99"}, NextActionTime: ptr.To(metav1.NewTime(time.Now().Truncate(time.Second))),
		},
	}
	c.Expect(c.k8s.Create(t.Context(), refund)).To(Succeed())
	refund.Status.Assignees = []v1alpha1.EffectiveAssignee{{Name: "alice", Via: v1alpha1.ViaDeclared, Since: metav1.Now()}}
	c.Expect(c.k8s.Status().Update(t.Context(), refund)).To(Succeed())

	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "standby", Name: "alice"}}
	c.Expect(c.k8s.Create(t.Context(), account)).To(Succeed())
	c.allow("system:serviceaccount:standby:alice", rbacv1.PolicyRule{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"agents/live"}, ResourceNames: []string{"alice"},
		Verbs: []string{"get"},
	})
	token := &authenticationv1.TokenRequest{}
	c.Expect(c.k8s.SubResource("token").Create(t.Context(), account, token)).To(Succeed())

	address := c.standby()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for _, list := range []string{"book", "agenda"} {
		c.Eventually(func() string {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
				"https://"+address+"/v1alpha1/namespaces/standby/"+list+"?agent=alice", nil)
			c.Expect(err).NotTo(HaveOccurred())
			request.Header.Set("Authorization", "Bearer "+token.Status.Token)
			response, err := client.Do(request)
			if err != nil {
				return err.Error()
			}
			defer response.Body.Close()
			text, _ := io.ReadAll(response.Body)
			return string(text)
		}, 30*time.Second, "200ms").Should(ContainSubstring(`"assignment":"refund"`))
	}
}

// standby starts a manager that does not lead, and returns the address of its endpoint.
func (c *cluster) standby() (address string) {
	c.Helper()
	program := exec.CommandContext(c.Context(), os.Args[0], "manager", "--kubeconfig", c.kubeconfig, "--data-dir", c.TempDir(),
		"--leader-elect", "--leader-election-namespace", c.namespace, "--live-bind-address", "127.0.0.1:0")
	program.Env = append(os.Environ(), asProgram+"=1")
	program.Cancel = func() error { return program.Process.Signal(os.Interrupt) }
	program.WaitDelay = 20 * time.Second
	logs, err := program.StderrPipe()
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(program.Start()).To(Succeed())
	found, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			var line struct{ Msg, Address string }
			if strings.Contains(lines.Text(), "serving the live endpoint") && json.Unmarshal(lines.Bytes(), &line) == nil {
				found <- line.Address
			}
		}
		_ = program.Wait()
	}()
	c.Cleanup(func() { <-ended })
	c.Eventually(found, 30*time.Second).Should(Receive(&address))
	return address
}
