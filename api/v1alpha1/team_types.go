package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Team is a set of people who work together. A person may be in several teams.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=tm,categories=roster
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.members`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name a Team with at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
type Team struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is who belongs to the team.
	// +optional
	// +kubebuilder:default={}
	Spec TeamSpec `json:"spec,omitempty,omitzero"`

	// status is what Roster knows of the team.
	// +optional
	Status TeamStatus `json:"status,omitempty,omitzero"`
}

// TeamList is a list of Teams.
//
// +kubebuilder:object:root=true
type TeamList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Team `json:"items"`
}

// TeamSpec is who belongs to a team: the named and the selected.
type TeamSpec struct {
	// displayName is the name that people read; default: the object's name.
	// +optional
	DisplayName DisplayName `json:"displayName,omitempty"`

	// members are the people named one by one, at most 3,000.
	// Use the selector for more: it needs no list that grows.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=3000
	Members []Member `json:"members,omitempty"`

	// selector adds everyone whose labels match.
	// +optional
	Selector *LabelSelector `json:"selector,omitempty"`
}

// TeamStatus is what Roster knows of a team.
type TeamStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// members is how many people are in the team.
	// +optional
	Members *int32 `json:"members,omitempty"`

	// conditions follow kstatus: Ready, Reconciling, Stalled, and those of this kind.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
