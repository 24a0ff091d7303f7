package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// path is a file in the server's folder.
func (s *Server) path(elem ...string) string {
	return filepath.Join(append([]string{s.folder}, elem...)...)
}

// prepare makes the server's folder: the shipped configuration, with the lab's own values in the files that are
// there to be edited.
func (s *Server) prepare(o Options, shipped string) (err error) {
	if s.folder = o.Folder; s.folder == "" {
		s.temporary = true
		if s.folder, err = os.MkdirTemp("", "roster-pbx-"); err != nil {
			return err
		}
	}
	for _, name := range []string{"etc", "lib", "db", "spool", "run", "log", "cache"} {
		if err := os.MkdirAll(s.path(name), 0o750); err != nil {
			return err
		}
	}
	files, err := s.values(o)
	if err != nil {
		return err
	}
	if o.TLS {
		if err := s.certify(); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(shipped)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext != ".conf" && ext != ".ini" {
			continue
		}
		if _, ours := files[entry.Name()]; ours {
			continue
		}
		content, err := os.ReadFile(filepath.Join(shipped, entry.Name()))
		if err != nil {
			return err
		}
		files[entry.Name()] = string(content)
	}
	for name, content := range files {
		if err := os.WriteFile(s.path("etc", name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// values are the files that differ between servers.
func (s *Server) values(o Options) (map[string]string, error) {
	dataSource, login, err := s.dataSource(o)
	if err != nil {
		return nil, err
	}
	directories := "[directories]\nastetcdir = " + insideFolder + "/etc\nastdatadir = /usr/share/asterisk\n"
	for _, d := range []string{"varlib:lib", "db:db", "spool:spool", "run:run", "log:log", "cache:cache", "key:lib"} {
		name, folder, _ := strings.Cut(d, ":")
		directories += "ast" + name + "dir = " + insideFolder + "/" + folder + "\n"
	}
	tls := ""
	if o.TLS {
		tls = fmt.Sprintf("tlsenable = yes\ntlsbindaddr = %s\ntlscertfile = %s/etc/pbx.crt\ntlsprivatekey = %[2]s/etc/pbx.key\n",
			s.AMITLSAddress, insideFolder)
	}
	centers := ""
	for _, c := range o.Centers {
		name, _, _ := strings.Cut(c, ",")
		centers += fmt.Sprintf("[%s]\nexten => _[*0-9]!,1,Gosub(roster,${FILTER(*0-9,${EXTEN})},1(%s))\n same => n,Hangup()\n\n", name, c)
	}
	files := map[string]string{
		"asterisk.conf": directories + "\n[options]\nverbose = 3\nnocolor = yes\nhideconnect = yes\nsystemname = " + s.Name + "\n",
		"resolv.conf":   "nameserver 127.0.0.1\n",
		"logger.conf": "[general]\ndateformat = %F %T.%3q\n\n[logfiles]\nmessages.log => notice,warning,error\n" +
			"full.log => notice,warning,error,verbose\n",
		"odbc.ini":              dataSource,
		"res_odbc_local.conf":   "[roster](roster-pool)\ndsn = roster\n" + login,
		"extconfig_local.conf":  "[settings](+)\nps_contacts = odbc,roster," + o.ContactsTable + "\n",
		"pjsip_local.conf":      "[transport-udp]\ntype = transport\nprotocol = udp\nbind = " + s.SIPAddress + "\n" + trunk(o.Trunk),
		"manager_local.conf":    "[general](+)\nbindaddr = " + s.IP + "\n" + tls + "\n[" + s.Username + "](roster-rights)\nsecret = " + s.Password + "\n",
		"extensions_local.conf": centers,
	}
	for name, more := range o.Local {
		files[name] += more
	}
	return files, nil
}

// dataSource is odbc.ini, and what of it is secret for res_odbc.
func (s *Server) dataSource(o Options) (ini, login string, err error) {
	if o.SQLite != "" {
		if _, err := os.Stat(o.SQLite); err != nil {
			return "", "", err
		}
		s.data = filepath.Dir(o.SQLite)
		return fmt.Sprintf("[roster]\nDriver = SQLite3\nDatabase = %s\nTimeout = 5000\nNoCreat = yes\nSyncPragma = NORMAL\n",
			filepath.Join(insideData, filepath.Base(o.SQLite))), "", nil
	}
	config, err := pgx.ParseConfig(o.PostgreSQL)
	if err != nil {
		return "", "", errors.New("lab: the connection string cannot be read") // the cause may hold the password
	}
	if filepath.IsAbs(config.Host) {
		return "", "", errors.New("lab: Asterisk reaches PostgreSQL by TCP, not by a socket")
	}
	login = "username = " + escape(config.User) + "\n"
	if config.Password != "" {
		login += "password = " + escape(config.Password) + "\n"
	}
	mode := "disable"
	if config.TLSConfig != nil {
		mode = "require"
	}
	return fmt.Sprintf("[roster]\nDriver = PostgreSQL Unicode\nServername = %s\nPort = %d\nDatabase = %s\nSSLmode = %s\n",
		config.Host, config.Port, config.Database, mode), login, nil
}

// escape is a value as Asterisk's configuration files take it, where a semicolon begins a comment.
func escape(value string) string { return strings.ReplaceAll(value, ";", `\;`) }
