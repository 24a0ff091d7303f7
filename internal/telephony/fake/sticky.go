package fake

import (
	"context"

	"roster.dev/roster/internal/telephony"
)

// ApplySticky notes where a known caller's calls go.
func (b *Backend) ApplySticky(context.Context, *telephony.Sticky) error { return nil }

// RemoveSticky forgets a known caller.
func (b *Backend) RemoveSticky(context.Context, string) error { return nil }
