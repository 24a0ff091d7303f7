package fake

import (
	"context"
	"strings"

	"roster.dev/roster/internal/telephony"
)

// ApplySticky makes a known caller's calls go where they belong.
func (b *Backend) ApplySticky(ctx context.Context, sticky *telephony.Sticky) (changed bool, err error) {
	if err := b.begin(ctx, "ApplySticky", sticky.Phone); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.center + "/" + sticky.Phone
	have, there := b.sticky[k]
	b.sticky[k] = *sticky
	return !there || have != *sticky, nil
}

// RemoveSticky forgets a known caller.
func (b *Backend) RemoveSticky(ctx context.Context, phone string) (changed bool, err error) {
	if err := b.begin(ctx, "RemoveSticky", phone); err != nil {
		return false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.center + "/" + phone
	_, there := b.sticky[k]
	delete(b.sticky, k)
	return there, nil
}

// Sticky are the known callers of a centre, by phone.
func (s *System) Sticky(center string) map[string]telephony.Sticky {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stickyOf(center)
}

// SetSticky makes or replaces a known caller of a centre; nil removes it.
func (s *System) SetSticky(center, phone string, sticky *telephony.Sticky) {
	s.Change(func() {
		if k := center + "/" + phone; sticky == nil {
			delete(s.sticky, k)
		} else {
			s.sticky[k] = *sticky
		}
	})
}

func (s *System) stickyOf(center string) map[string]telephony.Sticky {
	found := map[string]telephony.Sticky{}
	for k, sticky := range s.sticky {
		if phone, ok := strings.CutPrefix(k, center+"/"); ok {
			found[phone] = sticky
		}
	}
	return found
}
