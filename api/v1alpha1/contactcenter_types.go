package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ContactCenter is the connection to a centre's telephone system, and the centre's policy. One per namespace, named default.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ctr,categories=roster
// +kubebuilder:printcolumn:name="Database",type=string,JSONPath=`.status.database.type`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.database.state`
// +kubebuilder:printcolumn:name="Servers",type=string,JSONPath=`.status.managerSummary`
// +kubebuilder:printcolumn:name="Management",type=string,JSONPath=`.spec.management`
// +kubebuilder:printcolumn:name="Agents",type=integer,JSONPath=`.status.counts.agents`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.counts.active`
// +kubebuilder:printcolumn:name="Seats",type=integer,priority=1,JSONPath=`.status.seats.used`
// +kubebuilder:printcolumn:name="Unassigned",type=integer,priority=1,JSONPath=`.status.counts.unassignedCases`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="name the ContactCenter default: a namespace is one contact centre"
type ContactCenter struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the connection and the policy.
	// +required
	Spec ContactCenterSpec `json:"spec"`

	// status is what Roster knows of the centre.
	// +optional
	Status ContactCenterStatus `json:"status,omitempty,omitzero"`
}

// ContactCenterList is a list of ContactCenters.
//
// +kubebuilder:object:root=true
type ContactCenterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ContactCenter `json:"items"`
}

// Management says whether Roster writes.
//
// +kubebuilder:validation:Enum=Manage;Observe
type Management string

const (
	// ManagementManage makes the telephone system match.
	ManagementManage Management = "Manage"
	// ManagementObserve reads, compares and reports, and writes nothing.
	ManagementObserve Management = "Observe"
)

// Adoption says what becomes of rows that exist under a name that Roster is to write.
//
// +kubebuilder:validation:Enum=Refuse;Adopt
type Adoption string

const (
	// AdoptionRefuse leaves them alone; the object is Conflicted.
	AdoptionRefuse Adoption = "Refuse"
	// AdoptionAdopt takes them over.
	AdoptionAdopt Adoption = "Adopt"
)

// CallsOnDeactivation says what becomes of a deactivated person's running calls.
//
// +kubebuilder:validation:Enum=Drain;Hangup
type CallsOnDeactivation string

// The values of callsOnDeactivation.
const (
	CallsDrain  CallsOnDeactivation = "Drain"
	CallsHangup CallsOnDeactivation = "Hangup"
)

// Toggle switches something on or off.
//
// +kubebuilder:validation:Enum=Enabled;Disabled
type Toggle string

// The values of a Toggle.
const (
	ToggleEnabled  Toggle = "Enabled"
	ToggleDisabled Toggle = "Disabled"
)

// ContactCenterSpec is the connection and the policy.
type ContactCenterSpec struct {
	// telephony is the telephone system.
	// +required
	Telephony Telephony `json:"telephony"`

	// management Observe reads, compares and reports, and writes nothing.
	// +optional
	// +kubebuilder:default=Manage
	Management Management `json:"management,omitempty"`

	// adoption Adopt takes over rows that exist under the same name; Refuse leaves them and says so.
	// +optional
	// +kubebuilder:default=Refuse
	Adoption Adoption `json:"adoption,omitempty"`

	// onReactivation is the centre's policy for agents that do not say otherwise.
	// +optional
	// +kubebuilder:default=Readd
	OnReactivation OnReactivation `json:"onReactivation,omitempty"`

	// callsOnDeactivation says what becomes of a deactivated person's running calls.
	// +optional
	// +kubebuilder:default=Drain
	CallsOnDeactivation CallsOnDeactivation `json:"callsOnDeactivation,omitempty"`

	// drainSeconds is how long a running call may go on after deactivation.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	DrainSeconds *int32 `json:"drainSeconds,omitempty"`

	// separateOperators Enabled gives a case exactly one assignee.
	// +optional
	// +kubebuilder:default=Disabled
	SeparateOperators Toggle `json:"separateOperators,omitempty"`

	// seats is how many people may work at once; absent: no limit. People on leave keep theirs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	Seats *int32 `json:"seats,omitempty"`

	// country whose telephone numbers clients' phones are written in where they have no country code, as ISO 3166-1
	// alpha-2 has it, such as IT.
	// +optional
	// +kubebuilder:validation:MaxLength=2
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z]{2}$')",message="write a country in two capital letters, such as IT"
	Country string `json:"country,omitempty"`

	// passwordPolicy is what phone passwords must meet.
	// +optional
	PasswordPolicy *PasswordPolicy `json:"passwordPolicy,omitempty"`

	// brake holds changes that take out too many people at once.
	// +optional
	Brake *Brake `json:"brake,omitempty"`

	// driftIntervalSeconds is how often the telephone system is compared with what it should be.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	DriftIntervalSeconds *int32 `json:"driftIntervalSeconds,omitempty"`
}

// TelephonyType is a kind of telephone system.
//
// +kubebuilder:validation:Enum=AsteriskRealtime
type TelephonyType string

// TelephonyAsteriskRealtime is Asterisk reading its configuration from a database.
const TelephonyAsteriskRealtime TelephonyType = "AsteriskRealtime"

// Telephony is a telephone system.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'AsteriskRealtime' ? has(self.asteriskRealtime) : !has(self.asteriskRealtime)",message="telephony.type AsteriskRealtime needs telephony.asteriskRealtime with its database"
type Telephony struct {
	// type of the telephone system.
	// +required
	Type TelephonyType `json:"type"`

	// asteriskRealtime is an Asterisk Realtime database and the servers that read it.
	// +optional
	AsteriskRealtime *AsteriskRealtime `json:"asteriskRealtime,omitempty"`
}

// AsteriskRealtime is an Asterisk Realtime database and the servers that read it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.managers) || self.managers.all(m, self.managers.exists_one(n, n.contactsTable == m.contactsTable))",message="give each of the managers a contactsTable of its own: of two Asterisk servers on one table, only one learns of a forced logout",fieldPath=".managers"
type AsteriskRealtime struct {
	// database that Roster writes and Asterisk reads.
	// +required
	Database Database `json:"database"`

	// managers are the Asterisk servers' Manager Interfaces.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Managers []Manager `json:"managers,omitempty"`

	// endpointTemplate is columns of ps_endpoints that every phone gets, such as transport or webrtc.
	// Allowed are accountcode, allow, allow_subscribe, bundle, call_group, connected_line_method, cos_audio, device_state_busy_at, direct_media, direct_media_method, disable_direct_media_on_nat, disallow, dtls_auto_generate_cert, dtls_ca_file, dtls_cert_file, dtls_fingerprint, dtls_private_key, dtls_setup, dtls_verify, dtmf_mode, force_avp, force_rport, from_domain, ice_support, inband_progress, language, max_audio_streams, max_video_streams, media_address, media_encryption, media_encryption_optimistic, media_use_received_transport, message_context, moh_suggest, named_call_group, named_pickup_group, one_touch_recording, outbound_proxy, pickup_group, preferred_codec_only, rewrite_contact, rtcp_mux, rtp_ipv6, rtp_keepalive, rtp_symmetric, rtp_timeout, rtp_timeout_hold, send_diversion, send_pai, send_rpid, srtp_tag_32, t38_udptl, timers, timers_min_se, timers_sess_expires, tone_zone, tos_audio, transport, trust_id_inbound, trust_id_outbound, use_avpf, use_ptime, user_eq_phone, webrtc.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['accountcode','allow','allow_subscribe','bundle','call_group','connected_line_method','cos_audio','device_state_busy_at','direct_media','direct_media_method','disable_direct_media_on_nat','disallow','dtls_auto_generate_cert','dtls_ca_file','dtls_cert_file','dtls_fingerprint','dtls_private_key','dtls_setup','dtls_verify','dtmf_mode','force_avp','force_rport','from_domain','ice_support','inband_progress','language','max_audio_streams','max_video_streams','media_address','media_encryption','media_encryption_optimistic','media_use_received_transport','message_context','moh_suggest','named_call_group','named_pickup_group','one_touch_recording','outbound_proxy','pickup_group','preferred_codec_only','rewrite_contact','rtcp_mux','rtp_ipv6','rtp_keepalive','rtp_symmetric','rtp_timeout','rtp_timeout_hold','send_diversion','send_pai','send_rpid','srtp_tag_32','t38_udptl','timers','timers_min_se','timers_sess_expires','tone_zone','tos_audio','transport','trust_id_inbound','trust_id_outbound','use_avpf','use_ptime','user_eq_phone','webrtc'])",message="keep to the columns that kubectl explain contactcenter.spec.telephony.asteriskRealtime.endpointTemplate lists: those that Roster writes itself (aors, auth, callerid, context, mailboxes, set_var) and those that change who may call are not among them"
	EndpointTemplate map[string]TemplateValue `json:"endpointTemplate,omitempty"`

	// context is the dialplan and voicemail context of the centre's phones; default: the namespace.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$') && self != 'roster-refused'",message="a dialplan context is letters, digits, '-' and '_', and not roster-refused, which refused phones get"
	Context string `json:"context,omitempty"`
}

// TemplateValue is the value of an endpoint column.
//
// +kubebuilder:validation:MaxLength=200
// +kubebuilder:validation:XValidation:rule="!self.matches(r'\\p{Cc}')",message="leave out control characters, such as line breaks"
type TemplateValue string

// DatabaseType is a kind of database.
//
// +kubebuilder:validation:Enum=PostgreSQL;SQLite
type DatabaseType string

// The kinds of databases.
const (
	DatabasePostgreSQL DatabaseType = "PostgreSQL"
	DatabaseSQLite     DatabaseType = "SQLite"
)

// Database is a database that Asterisk reads.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'PostgreSQL' ? has(self.dsnSecretRef) && !has(self.path) : true",message="database.type PostgreSQL needs dsnSecretRef and takes no path"
// +kubebuilder:validation:XValidation:rule="self.type == 'SQLite' ? has(self.path) && !has(self.dsnSecretRef) : true",message="database.type SQLite needs path and takes no dsnSecretRef"
type Database struct {
	// type of the database.
	// +required
	Type DatabaseType `json:"type"`

	// dsnSecretRef is where PostgreSQL's connection string is.
	// +optional
	DSNSecretRef *SecretKeyReference `json:"dsnSecretRef,omitempty"`

	// path of the SQLite file, relative to the manager's data folder.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$')",message="path is relative to the manager's data folder: letters, digits, '.', '_' and '-', with '/' between folders, and no '..'"
	Path string `json:"path,omitempty"`
}

// Manager is one Asterisk server's Manager Interface (AMI).
type Manager struct {
	// name of the server in status and events.
	// +required
	Name ObjectName `json:"name"`

	// address is host:port; AMI's port is 5038.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=260
	// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9._-]+|[[][0-9A-Fa-f:.]+[]]):[0-9]{1,5}$') && int(self.substring(self.lastIndexOf(':') + 1)) > 0 && int(self.substring(self.lastIndexOf(':') + 1)) < 65536",message="write host:port, such as pbx-1:5038"
	Address string `json:"address"`

	// credentialsSecretRef is a Secret with the keys username and password.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef"`

	// contactsTable is the table that this server keeps registrations in; no two servers share one.
	// +optional
	// +kubebuilder:default=ps_contacts
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^ps_contacts[a-z0-9_]*$')",message="a contacts table's name begins with ps_contacts and goes on with lower-case letters, digits and '_'"
	ContactsTable string `json:"contactsTable,omitempty"`

	// tls secures the connection; absent: plain.
	// +optional
	TLS *ManagerTLS `json:"tls,omitempty"`
}

// SecretReference names a Secret in the same namespace.
type SecretReference struct {
	// name is the Secret's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="write the Secret's name as Kubernetes has it: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
	Name string `json:"name"`
}

// TLSMode says whether a server's certificate is checked.
//
// +kubebuilder:validation:Enum=Verify;SkipVerify
type TLSMode string

// The modes of TLS.
const (
	TLSVerify     TLSMode = "Verify"
	TLSSkipVerify TLSMode = "SkipVerify"
)

// ManagerTLS secures a connection to a Manager Interface.
type ManagerTLS struct {
	// mode Verify checks the server's certificate.
	// +optional
	// +kubebuilder:default=Verify
	Mode TLSMode `json:"mode,omitempty"`

	// caSecretRef is where the certificate authority is; default: the system's.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`

	// serverName to check the certificate against; default: the address's host.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServerName string `json:"serverName,omitempty"`
}

// CharacterClass is a class of characters that a password must hold.
//
// +kubebuilder:validation:Enum=Digit;Upper;Lower;Symbol
type CharacterClass string

// The classes of characters.
const (
	ClassDigit  CharacterClass = "Digit"
	ClassUpper  CharacterClass = "Upper"
	ClassLower  CharacterClass = "Lower"
	ClassSymbol CharacterClass = "Symbol"
)

// PasswordPolicy is what phone passwords must meet. Roster's own passwords meet it always.
type PasswordPolicy struct {
	// minimumLength in characters.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MinimumLength *int32 `json:"minimumLength,omitempty"`

	// require at least one character of each of these classes.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Require []CharacterClass `json:"require,omitempty"`
}

// Brake holds changes that take out too many people at once, until somebody approves.
type Brake struct {
	// maximumPercent of the effective members that may go within the window.
	// +optional
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaximumPercent *int32 `json:"maximumPercent,omitempty"`

	// minimumCount that may always go.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MinimumCount *int32 `json:"minimumCount,omitempty"`

	// windowSeconds within which removals are counted together.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	WindowSeconds *int32 `json:"windowSeconds,omitempty"`
}

// ContactCenterStatus is what Roster knows of a centre.
type ContactCenterStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// database is the connection that the centre writes to.
	// +optional
	Database *DatabaseStatus `json:"database,omitempty"`

	// managers are the connections to the Asterisk servers.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Managers []ManagerStatus `json:"managers,omitempty"`

	// managerSummary is how many servers are connected, of how many, such as 2/3.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	ManagerSummary string `json:"managerSummary,omitempty"`

	// drift is what somebody else changed on the telephone system.
	// +optional
	Drift *DriftStatus `json:"drift,omitempty"`

	// counts of the centre's objects.
	// +optional
	Counts *CenterCounts `json:"counts,omitempty"`

	// seats is how many of the centre's seats are in use, a few seconds old at most.
	// +optional
	Seats *SeatsStatus `json:"seats,omitempty"`

	// handled are the one-shot orders done, by name, with the annotation's value.
	// +optional
	// +kubebuilder:validation:MaxProperties=16
	Handled map[string]HandledOrder `json:"handled,omitempty"`

	// conditions follow kstatus: Ready, Reconciling, Stalled, and those of this kind.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConnectionState is the state of a connection.
//
// +kubebuilder:validation:Enum=Connecting;Connected;Unreachable;Refused
type ConnectionState string

// The states of a connection.
const (
	ConnectionConnecting  ConnectionState = "Connecting"
	ConnectionConnected   ConnectionState = "Connected"
	ConnectionUnreachable ConnectionState = "Unreachable"
	ConnectionRefused     ConnectionState = "Refused"
)

// DatabaseStatus is the state of the connection to a database.
type DatabaseStatus struct {
	// type of the database.
	// +optional
	Type DatabaseType `json:"type,omitempty"`

	// identity of the database without its credentials.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Identity string `json:"identity,omitempty"`

	// state of the connection.
	// +optional
	State ConnectionState `json:"state,omitempty"`

	// since is when the state began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// ManagerStatus is the state of the connection to one Asterisk server.
type ManagerStatus struct {
	// name of the server.
	// +required
	Name ObjectName `json:"name"`

	// state of the connection.
	// +optional
	State ConnectionState `json:"state,omitempty"`

	// since is when the state began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// message says what is wrong; empty while connected.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// DriftStatus counts what somebody else changed on the telephone system, since the ContactCenter was made.
type DriftStatus struct {
	// found is how many people and queues were found changed.
	// +optional
	Found int64 `json:"found,omitempty"`

	// repaired is how many of them were made as declared again.
	// +optional
	Repaired int64 `json:"repaired,omitempty"`

	// lastTime is when the last one was found.
	// +optional
	LastTime *metav1.Time `json:"lastTime,omitempty"`
}

// SeatsStatus counts seats.
type SeatsStatus struct {
	// used is how many people have a seat.
	// +optional
	Used int32 `json:"used"`

	// waiting is how many people wait for one.
	// +optional
	Waiting int32 `json:"waiting"`
}

// CenterCounts are counts of a centre's objects, a few seconds old at most.
type CenterCounts struct {
	// agents declared.
	// +optional
	Agents int32 `json:"agents"`

	// active agents.
	// +optional
	Active int32 `json:"active"`

	// onLeave agents.
	// +optional
	OnLeave int32 `json:"onLeave"`

	// pending agents.
	// +optional
	Pending int32 `json:"pending"`

	// deactivated agents, those on their way included.
	// +optional
	Deactivated int32 `json:"deactivated"`

	// teams declared.
	// +optional
	Teams int32 `json:"teams"`

	// groups declared.
	// +optional
	Groups int32 `json:"groups"`

	// queues declared.
	// +optional
	Queues int32 `json:"queues"`

	// cases that are open.
	// +optional
	Cases int32 `json:"cases"`

	// unassignedCases are the open cases that nobody holds.
	// +optional
	UnassignedCases int32 `json:"unassignedCases"`
}
