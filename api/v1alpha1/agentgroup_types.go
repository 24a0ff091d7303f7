package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AgentGroup is a set of people of whom each is in at most one group.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=grp,categories=roster
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.members`
// +kubebuilder:printcolumn:name="Conflicts",type=integer,JSONPath=`.status.conflictsTotal`
// +kubebuilder:printcolumn:name="Color",type=string,JSONPath=`.spec.color`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name an AgentGroup with at most 63 lower-case letters, digits and '-', beginning and ending with a letter or digit"
type AgentGroup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is whom the group claims.
	// +optional
	// +kubebuilder:default={}
	Spec AgentGroupSpec `json:"spec,omitempty,omitzero"`

	// status is what Roster knows of the group.
	// +optional
	Status AgentGroupStatus `json:"status,omitempty,omitzero"`
}

// AgentGroupList is a list of AgentGroups.
//
// +kubebuilder:object:root=true
type AgentGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgentGroup `json:"items"`
}

// AgentGroupSpec is whom a group claims: the named and the selected.
type AgentGroupSpec struct {
	// displayName is the name that people read; default: the object's name.
	// +optional
	DisplayName DisplayName `json:"displayName,omitempty"`

	// color marks the group's people in lists, in quotes: "#1F77B4".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^#[0-9A-Fa-f]{6}$')",message="write a color as # and six hexadecimal digits, such as \"#1F77B4\""
	Color string `json:"color,omitempty"`

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

// AgentGroupStatus is what Roster knows of a group.
type AgentGroupStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// members is how many people the group holds.
	// +optional
	Members *int32 `json:"members,omitempty"`

	// conflicts are people whom the group lists but another group holds, sorted; the first 50.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=50
	Conflicts []ClaimConflict `json:"conflicts,omitempty"`

	// conflictsTotal is how many conflicts there are.
	// +optional
	ConflictsTotal *int32 `json:"conflictsTotal,omitempty"`

	// conditions follow kstatus: Ready, Reconciling, Stalled, and those of this kind.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
