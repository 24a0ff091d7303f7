package asterisk

import "strings"

// asteriskTable is a table as Asterisk's migrations make it (contrib/ast-db-manage/config/versions).
// Where they use an enumeration, a text of its longest value's length does the same; TEXT has a length in
// SQLite, because to res_odbc a TEXT column is too short for anything.
type asteriskTable struct {
	// columns are "name type" entries: a number is the length of a text, bool an Asterisk yes/no.
	columns string
	// constraints and indexes, with %s for the table's name.
	constraints string
	indexes     []string
}

var psContacts = asteriskTable{
	columns: `id 255!, uri 511, expiration_time bigint, qualify_frequency int, outbound_proxy 255, path text,
		user_agent 255, qualify_timeout float, reg_server 255, authenticate_qualify bool, via_addr 40,
		via_port int, call_id 255, endpoint 255, prune_on_boot bool, qualify_2xx_only bool`,
	constraints: `UNIQUE (id), UNIQUE (id, reg_server)`,
	indexes:     []string{"%s_qualifyfreq_exp (qualify_frequency, expiration_time)", "%s_endpoint (endpoint)"},
}

var asteriskTables = map[string]asteriskTable{
	"queues": {
		columns: `name 128!, musiconhold 128, announce 128, context 128, timeout int, ringinuse bool,
			setinterfacevar bool, setqueuevar bool, setqueueentryvar bool, monitor_format 8, membermacro 512,
			membergosub 512, queue_youarenext 128, queue_thereare 128, queue_callswaiting 128,
			queue_quantity1 128, queue_quantity2 128, queue_holdtime 128, queue_minutes 128, queue_minute 128,
			queue_seconds 128, queue_thankyou 128, queue_callerannounce 128, queue_reporthold 128,
			announce_frequency int, announce_to_first_user bool, min_announce_frequency int,
			announce_round_seconds int, announce_holdtime 128, announce_position 128,
			announce_position_limit int, periodic_announce 50, periodic_announce_frequency int,
			relative_periodic_announce bool, random_periodic_announce bool, retry int, wrapuptime int,
			penaltymemberslimit int, autofill bool, monitor_type 128, autopause 3, autopausedelay int,
			autopausebusy bool, autopauseunavail bool, maxlen int, servicelevel int, strategy 11,
			joinempty 128, leavewhenempty 128, reportholdtime bool, memberdelay int, weight int,
			timeoutrestart bool, defaultrule 128, timeoutpriority 128`,
		constraints: `PRIMARY KEY (name)`,
	},
	"queue_members": {
		columns: `queue_name 80!, interface 80!, membername 80, state_interface 80, penalty int, paused int,
			uniqueid counter!, wrapuptime int, ringinuse bool, reason_paused 80`,
		constraints: `PRIMARY KEY (queue_name, interface), UNIQUE (uniqueid)`,
		indexes:     []string{"%s_interface (interface)"},
	},
	"ps_endpoints": {
		columns: `id 255!, transport 40, aors 2048, auth 255, context 40, disallow 200, allow 200,
			direct_media bool, connected_line_method 8, direct_media_method 8, direct_media_glare_mitigation 8,
			disable_direct_media_on_nat bool, dtmf_mode 9, external_media_address 40, force_rport bool,
			ice_support bool, identify_by 80, mailboxes 40, moh_suggest 40, outbound_auth 255,
			outbound_proxy 255, rewrite_contact bool, rtp_ipv6 bool, rtp_symmetric bool, send_diversion bool,
			send_pai bool, send_rpid bool, timers_min_se int, timers 8, timers_sess_expires int, callerid 40,
			callerid_privacy 23, callerid_tag 40, 100rel 14, aggregate_mwi bool, trust_id_inbound bool,
			trust_id_outbound bool, use_ptime bool, use_avpf bool, media_encryption 4, inband_progress bool,
			call_group 40, pickup_group 40, named_call_group 40, named_pickup_group 40,
			device_state_busy_at int, fax_detect bool, t38_udptl bool, t38_udptl_ec 10,
			t38_udptl_maxdatagram int, t38_udptl_nat bool, t38_udptl_ipv6 bool, tone_zone 40, language 40,
			one_touch_recording bool, record_on_feature 40, record_off_feature 40, rtp_engine 40,
			allow_transfer bool, allow_subscribe bool, sdp_owner 40, sdp_session 40, tos_audio 10, tos_video 10,
			sub_min_expiry int, from_domain 40, from_user 40, mwi_from_user 40, dtls_verify 40, dtls_rekey 40,
			dtls_cert_file 200, dtls_private_key 200, dtls_cipher 200, dtls_ca_file 200, dtls_ca_path 200,
			dtls_setup 7, srtp_tag_32 bool, media_address 40, redirect_method 9, set_var text, cos_audio int,
			cos_video int, message_context 40, force_avp bool, media_use_received_transport bool,
			accountcode 80, user_eq_phone bool, moh_passthrough bool, media_encryption_optimistic bool,
			rpid_immediate bool, g726_non_standard bool, rtp_keepalive int, rtp_timeout int,
			rtp_timeout_hold int, bind_rtp_to_media_address bool, voicemail_extension 40,
			mwi_subscribe_replaces_unsolicited bool, deny 95, permit 95, acl 40, contact_deny 95,
			contact_permit 95, contact_acl 40, subscribe_context 40, fax_detect_timeout int, contact_user 80,
			preferred_codec_only bool, asymmetric_rtp_codec bool, rtcp_mux bool, allow_overlap bool,
			refer_blind_progress bool, notify_early_inuse_ringing bool, max_audio_streams int,
			max_video_streams int, webrtc bool, dtls_fingerprint 7, incoming_mwi_mailbox 40, bundle bool,
			dtls_auto_generate_cert bool, follow_early_media_fork bool, accept_multiple_sdp_answers bool,
			suppress_q850_reason_headers bool, trust_connected_line bool, send_connected_line bool,
			ignore_183_without_sdp bool, send_history_info bool, allow_unauthenticated_options bool,
			t38_bind_udptl_to_media_address bool`,
		constraints: `PRIMARY KEY (id)`,
	},
	"ps_auths": {
		columns: `id 255!, auth_type 12, nonce_lifetime int, md5_cred 40, password 80, realm 255, username 40,
			refresh_token 255, oauth_clientid 255, oauth_secret 255`,
		constraints: `PRIMARY KEY (id)`,
	},
	"ps_aors": {
		columns: `id 255!, contact 255, default_expiration int, mailboxes 80, max_contacts int,
			minimum_expiration int, remove_existing bool, qualify_frequency int, authenticate_qualify bool,
			maximum_expiration int, outbound_proxy 255, support_path bool, qualify_timeout float,
			voicemail_extension 40, remove_unavailable bool, qualify_2xx_only bool`,
		constraints: `PRIMARY KEY (id)`,
		indexes:     []string{"%s_qualifyfreq_contact (qualify_frequency, contact)"},
	},
	"voicemail": {
		columns: `uniqueid serial, context 80!, mailbox 80!, password 80!, fullname 80, alias 80, email 80,
			pager 80, attach bool, attachfmt 10, serveremail 80, language 20, tz 30, deletevoicemail bool,
			saycid bool, sendvoicemail bool, review bool, tempgreetwarn bool, operator bool, envelope bool,
			sayduration int, forcename bool, forcegreetings bool, callback 80, dialout 80, exitcontext 80,
			maxmsg int, volgain decimal, imapuser 80, imappassword 80, imapserver 80, imapport 8, imapflags 80,
			stamp timestamp`,
		indexes: []string{"%s_mailbox (mailbox)", "%s_context (context)", "%s_mailbox_context (mailbox, context)", "%s_imapuser (imapuser)"},
	},
}

// statements make the table. types are the database's names of the types.
func (t asteriskTable) statements(name string, types map[string]string) []string {
	var columns []string
	for entry := range strings.SplitSeq(t.columns, ",") {
		column, kind, _ := strings.Cut(strings.TrimSpace(entry), " ")
		kind, required := strings.CutSuffix(strings.TrimSpace(kind), "!")
		sqlType, ok := types[kind]
		if !ok {
			sqlType = "VARCHAR(" + kind + ")"
		}
		if required {
			sqlType += " NOT NULL"
		}
		columns = append(columns, quote(column)+" "+sqlType)
	}
	if t.constraints != "" {
		columns = append(columns, t.constraints)
	}
	statements := []string{"CREATE TABLE " + quote(name) + " (" + strings.Join(columns, ", ") + ")"}
	for _, index := range t.indexes {
		index, columns, _ := strings.Cut(index, " ")
		statements = append(statements, "CREATE INDEX "+quote(strings.Replace(index, "%s", name, 1))+" ON "+quote(name)+" "+columns)
	}
	return statements
}

// quote is an identifier as SQL takes it.
func quote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}
