package asterisk

import "strings"

// technology begins the names of people's devices and channels.
const technology = "PJSIP/"

// phoneOf is the person whose phone a device or interface is, empty where it is nobody's.
func phoneOf(device string) string {
	name, ok := strings.CutPrefix(device, technology)
	if !ok || !isAgentName(name) {
		return ""
	}
	return name
}

// ownerOf is the person whose phone a channel is of, empty where it is nobody's: PJSIP/<name>-<eight or more hexadecimal
// digits>, and names may have dashes of their own.
func ownerOf(channel string) string {
	dash := strings.LastIndexByte(channel, '-')
	if dash < 0 || len(channel)-dash-1 < 8 || strings.Trim(channel[dash+1:], "0123456789abcdef") != "" {
		return ""
	}
	return phoneOf(channel[:dash])
}

// isAgentName says whether a person can have the name: a DNS label of at most 40 characters.
func isAgentName(name string) bool {
	if name == "" || len(name) > 40 || strings.HasPrefix(name, "-") || strings.HasSuffix(name, "-") {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
