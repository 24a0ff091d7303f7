package book

import (
	"fmt"
	"testing"

	"roster.dev/roster/api/v1alpha1"
)

// perPerson is how many cases a person has.
const perPerson = 20

// filled is a centre with a person called reader, and so many more cases of others.
func filled(cases int) *Index {
	x := New()
	for i := range perPerson {
		x.Set(held(fmt.Sprintf("reader-%d", i), "Ada", "reader"))
	}
	for i := range cases {
		x.Set(held(fmt.Sprintf("case-%d", i), "Ada", fmt.Sprintf("person-%d", i/perPerson)))
	}
	return x
}

// BenchmarkReadingOneBook does not grow with the centre's cases.
func BenchmarkReadingOneBook(b *testing.B) {
	for _, cases := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("cases=%d", cases), func(b *testing.B) {
			x := filled(cases)
			b.ReportAllocs()
			for b.Loop() {
				read := 0
				x.Clients("acme", "reader").Rows(func(batch []*ClientEntry) bool { read += len(batch); return true })
				if read != perPerson {
					b.Fatalf("%d entries", read)
				}
			}
		})
	}
}

// BenchmarkMovingACase does not grow with the centre's cases, nor with how many people follow books of their own.
func BenchmarkMovingACase(b *testing.B) {
	for _, size := range []struct{ cases, followers int }{{1_000, 1}, {100_000, 1}, {100_000, 10_000}} {
		b.Run(fmt.Sprintf("cases=%d/followers=%d", size.cases, size.followers), func(b *testing.B) {
			x := filled(size.cases)
			s := x.Clients("acme", "reader").Subscribe()
			for i := range size.followers - 1 {
				x.Clients("acme", fmt.Sprintf("person-%d", i)).Subscribe()
			}
			turns := []*v1alpha1.CaseAssignment{held("reader-0", "Ada", "nobody-else"), held("reader-0", "Ada", "reader")}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				x.Set(turns[i%2])
				if changes, err := s.take(); len(changes) != 1 || err != nil {
					b.Fatalf("%d changes, %v", len(changes), err)
				}
			}
		})
	}
}

// BenchmarkFilling tells what the index takes, the objects excepted: they are the cache's.
func BenchmarkFilling(b *testing.B) {
	const cases = 100_000
	objects := make([]*v1alpha1.CaseAssignment, cases)
	for i := range objects {
		objects[i] = held(fmt.Sprintf("case-%d", i), "Ada", fmt.Sprintf("person-%d", i/perPerson))
	}
	b.ReportAllocs()
	for b.Loop() {
		x := New()
		for _, a := range objects {
			x.Set(a)
		}
	}
}
