// Command pbx runs an Asterisk on the database of a centre, for developers, until it is interrupted. It is set up as
// config/asterisk ships it, in .run/pbx. Run it as root, inside the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"roster.dev/roster/hack/asterisk/lab"
	"roster.dev/roster/internal/telephony/asterisk"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pbx:", err)
		os.Exit(1)
	}
}

func run() error {
	version := flag.String("version", "22", "of Asterisk: 22 or 16")
	center := flag.String("center", "acme", "the centre's `namespace`")
	database := flag.String("database", "", "SQLite `file`; default: that of make run, .run/data/<center>.sqlite3")
	address := flag.String("address", "127.0.0.1", "IP address for phones and for the manager interface")
	folder := flag.String("folder", ".run/pbx", "`folder` of the server's configuration and logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()

	if *database == "" {
		*database = filepath.Join(".run", "data", *center+".sqlite3")
	}
	options := lab.Options{Version: *version, Centers: []string{*center}, Address: *address}
	var err error
	if options.SQLite, err = filepath.Abs(*database); err != nil {
		return err
	}
	if options.Folder, err = filepath.Abs(*folder); err != nil {
		return err
	}
	if err := makeTables(ctx, *center, options.SQLite); err != nil {
		return err
	}
	s, err := lab.Start(ctx, options)
	if err != nil {
		return err
	}
	defer s.Close()
	secret := filepath.Join(options.Folder, "etc", "manager_local.conf")
	fmt.Printf(`Asterisk %s runs on %s.

  A phone     SIP over UDP at %s, user name: an Agent's name, password:
                kubectl -n %s get secret <agent>-sip -o jsonpath='{.data.password}' | base64 -d
  Dial        an Agent's or a Queue's extension; *97 voicemail; *55<extension> listens, where one may
  The manager interface for the ContactCenter: address %s, user name and password are in
                %s
  The log     %s

Ctrl-C stops it.
`, s.Version, *database, s.SIPAddress, *center, s.AMIAddress, secret, filepath.Join(options.Folder, "log", "full.log"))
	<-ctx.Done()
	fmt.Println("Stopped.")
	return nil
}

// makeTables makes what is missing, as the manager does: Asterisk reads some of it once, when it starts.
func makeTables(ctx context.Context, center, path string) error {
	b, err := asterisk.Open(ctx, asterisk.Config{Center: center, Type: asterisk.TypeSQLite, Path: path})
	if err != nil {
		return err
	}
	_, err = b.Load(ctx)
	return errors.Join(err, b.Close())
}
