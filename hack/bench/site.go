package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

const (
	// quietGap is how long a manager does nothing to count as quiet.
	quietGap = 2 * time.Second
	// lateGap is longer than every delay that the manager gathers reports for.
	lateGap = 8 * time.Second
)

// site is a control plane with a manager at work on one centre.
type site struct {
	lab     *lab
	plane   *plane
	dataDir string
	manager *managerProcess
	// rows is the centre's database, to be read.
	rows *sql.DB
	// mark is where in the audit log the current measurement begins.
	mark int64
}

// openSite starts a control plane, creates the Secrets of staffs, starts a manager and waits until its centre is
// connected. The context that it returns ends when the manager does.
func (l *lab) openSite(ctx context.Context, staffs ...*staff) (_ *site, _ context.Context, err error) {
	l.say("starting a control plane")
	s := &site{lab: l}
	if s.plane, err = l.newPlane(ctx); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, staff := range staffs {
		if err := createAll(ctx, s.plane.client, l.concurrency, staff.secrets()); err != nil {
			return nil, nil, err
		}
	}
	if err := s.plane.client.Create(ctx, centre()); err != nil {
		return nil, nil, err
	}
	if s.dataDir, err = l.newDir("data"); err != nil {
		return nil, nil, err
	}
	if s.manager, ctx, err = l.startManager(ctx, s.plane, s.dataDir); err != nil {
		return nil, nil, err
	}
	if err := s.awaitCentre(ctx); err != nil {
		return nil, nil, err
	}
	if s.rows, err = openSQLite(filepath.Join(s.dataDir, database), false); err != nil {
		return nil, nil, err
	}
	_, err = s.manager.untilQuiet(ctx, 0, quietGap)
	return s, ctx, err
}

// awaitCentre waits until the centre's database is connected.
func (s *site) awaitCentre(ctx context.Context) error {
	centre := &v1alpha1.ContactCenter{}
	for give := time.Now().Add(2 * time.Minute); time.Now().Before(give); {
		if err := s.plane.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, centre); err != nil {
			return err
		}
		for _, c := range centre.Status.Conditions {
			if c.Type == v1alpha1.ConditionReady && c.Status == "True" {
				return nil
			}
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the ContactCenter is not Ready: %+v", centre.Status.Conditions)
}

func (s *site) close() error {
	var err error
	if s.rows != nil {
		err = s.rows.Close()
	}
	if s.manager != nil {
		err = errors.Join(err, s.manager.stop())
	}
	return errors.Join(err, s.plane.stop())
}
