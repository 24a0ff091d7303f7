// Package v1alpha1 is the API of Roster: the staff of a contact centre, declared as Kubernetes objects.
// A namespace is one contact centre; references never leave it.
//
// +kubebuilder:object:generate=true
// +groupName=staff.roster.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the API group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "staff.roster.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers every kind of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Agent{}, &AgentList{},
		&Team{}, &TeamList{},
		&AgentGroup{}, &AgentGroupList{},
		&Queue{}, &QueueList{},
		&CaseAssignment{}, &CaseAssignmentList{},
		&ContactCenter{}, &ContactCenterList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
