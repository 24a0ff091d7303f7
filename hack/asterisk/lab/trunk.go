package lab

import "net/netip"

// Outside is where phones are that call by the trunk: see Options.Trunk.
var Outside = netip.MustParsePrefix("127.16.0.0/16")

// outsideCalls matches calls from Outside. sipp sends them from elsewhere, and only says that it is there.
const outsideCalls = `match_header = Contact: /@127\.16\./`

// trunk is the endpoint of calls from outside, which are taken without a password.
func trunk(context string) string {
	if context == "" {
		return ""
	}
	return "[outside]\ntype = endpoint\ncontext = " + context + "\ndisallow = all\nallow = alaw,ulaw\n" +
		"[outside]\ntype = identify\nendpoint = outside\n" + outsideCalls + "\n"
}
