package roster

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
)

// PasswordKey is the key of the password in the Secret that Roster makes.
const PasswordKey = "password"

// MadeFor says whether Roster made a Secret for this very person.
func MadeFor(secret metav1.Object, agent *v1alpha1.Agent) bool {
	if secret.GetLabels()[v1alpha1.LabelAgent] != agent.Name {
		return false
	}
	for _, o := range secret.GetOwnerReferences() {
		if o.UID == agent.UID {
			return true
		}
	}
	return false
}
